#pragma once

#include <toml++/toml.h>

#include <optional>
#include <string_view>

#include "config/diagnostic.hpp"

namespace supervise::config {

/// A larger file is refused unread: nobody writes one by hand.
constexpr std::size_t largest_file = 1 << 20;

/// The text as a TOML table. Whatever is wrong with it as text or as TOML is one diagnostic, with
/// a hint for the mistakes that people make; then there is no table.
std::optional<toml::table> parse_toml(std::string_view text, Diagnostics& diagnostics);

}  // namespace supervise::config
