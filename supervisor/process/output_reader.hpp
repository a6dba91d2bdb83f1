#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <string_view>

#include "base/unique_fd.hpp"
#include "supervise/clock.hpp"

namespace supervise {

struct OutputLimits {
    std::size_t max_line = 4096;            ///< bytes; the rest of a longer line is left out
    std::uint64_t lines_per_second = 1000;  ///< more are read, counted and dropped
};

/// `line` without its newline; `cut` when bytes of it were left out. A call with `dropped` > 0 says
/// that so many lines were held back in the second that ended, and has no line.
using LineHandler = std::function<void(std::string_view line, bool cut, std::uint64_t dropped)>;

/// Reads one pipe of a worker (its stdout or stderr) until its end, line by line, in bounded
/// memory. Yields to the loop after every 64 KiB, so that a flood cannot stall it. Ends on end of
/// file, or when cancelled.
boost::asio::awaitable<void> read_lines(boost::asio::any_io_executor executor, UniqueFd pipe,
                                        OutputLimits limits, Clock& clock, LineHandler handler);

}  // namespace supervise
