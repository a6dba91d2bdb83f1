#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace supervise::config {

/// How many letters must be typed, left out, changed or swapped with their neighbour to make `b`
/// of `a`; case and the choice of `-` or `_` do not count.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate that `word` most likely means; empty when none is near.
std::string_view nearest(std::string_view word, const std::vector<std::string>& candidates);

/// "a, b, c"
std::string join(const std::vector<std::string>& words);

}  // namespace supervise::config
