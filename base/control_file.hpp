#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "supervise/error.hpp"

namespace supervise {

/// Small kernel files (/proc, /sys, cgroupfs): read whole, written in one call.
/// `dirfd` may be AT_FDCWD with an absolute path.
Result<std::string> read_control_file(int dirfd, const std::string& path);
Result<void> write_control_file(int dirfd, const std::string& path, std::string_view text);

/// The number behind `key` in a "key value" file such as memory.stat; nothing when it is not there.
std::optional<std::uint64_t> find_counter(std::string_view text, std::string_view key);

/// A whole decimal number with optional blank around it; "max" is `UINT64_MAX`.
std::optional<std::uint64_t> parse_counter(std::string_view text);

}  // namespace supervise
