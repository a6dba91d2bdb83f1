#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

/// Small pieces of text for a terminal. Widths count characters, not bytes. Pure functions.
namespace supervise::cli {

/// Without control characters, which a name must not bring to a terminal; other bytes that are no
/// UTF-8 become '?' too.
std::string printable(std::string_view text);
std::size_t width(std::string_view text);

/// Exactly `columns` wide: filled up with blanks on the right or left. Longer text is cut at its
/// beginning, where a task's name says least.
std::string left(std::string_view text, std::size_t columns);
std::string right(std::string_view text, std::size_t columns);

/// `items`, joined by ", ", behind `label`, broken between items so that no line is longer than
/// `columns`; further lines are indented as far as the first item.
std::string listing(std::string_view label, const std::vector<std::string>& items,
                    std::size_t columns);
/// The same for words and blanks.
std::string paragraph(std::string_view label, std::string_view words, std::size_t columns);

std::string human_bytes(std::uint64_t bytes);  ///< "9.5M", "312M"
std::string human_age(double seconds);         ///< "59s", "1m01s", "1h02m", "3d04h"
std::string human_seconds(double seconds);     ///< "1.2 ms", "2.50 s"

}  // namespace supervise::cli
