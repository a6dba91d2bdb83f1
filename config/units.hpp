#pragma once

#include <boost/system/result.hpp>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "supervise/settings.hpp"

// Sizes and times as people write them. Nothing here knows of TOML.
namespace supervise::config {

/// Why a text is no size or no time, and what to write: `has no unit: write "30s"`.
struct UnitError {
    std::string message;
};

[[noreturn]] inline void throw_exception_from_error(const UnitError& error,
                                                    const boost::source_location& /*where*/) {
    throw std::invalid_argument(error.message);
}

template <class T>
using Parsed = boost::system::result<T, UnitError>;

/// "512M", "512MiB", "4096": bytes; every unit is a power of 1,024.
Parsed<std::uint64_t> parse_size(std::string_view text);
/// "250ms", "30s", "1.5s", "1h30m", "1d": the units from large to small, each once.
Parsed<Milliseconds> parse_time(std::string_view text);
/// Seconds as a plain number of the config file; rounded to milliseconds.
Parsed<Milliseconds> time_from_seconds(double seconds);

/// The shortest text that the parser above reads back to the same value.
std::string format_size(std::uint64_t bytes);
std::string format_time(Milliseconds time);

}  // namespace supervise::config
