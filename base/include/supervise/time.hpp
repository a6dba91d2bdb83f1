#pragma once

#include <chrono>

namespace supervise {

/// Monotonic time. `std::chrono::steady_clock` is CLOCK_MONOTONIC on Linux, which worker processes
/// on this host share, so a deadline may be sent to them as it is.
using TimePoint = std::chrono::steady_clock::time_point;
using Duration = std::chrono::steady_clock::duration;

}  // namespace supervise
