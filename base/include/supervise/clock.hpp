#pragma once

#include <boost/asio/awaitable.hpp>

#include "supervise/time.hpp"

namespace supervise {

/// The only source of time for pools and workers; tests put a FakeClock in its place.
class Clock {
  public:
    virtual ~Clock() = default;
    virtual TimePoint now() const = 0;
    /// Ends at `when`; throws `operation_aborted` when cancelled.
    virtual boost::asio::awaitable<void> sleep_until(TimePoint when) = 0;

    boost::asio::awaitable<void> sleep_for(Duration time) { return sleep_until(now() + time); }
};

/// The real one; lives as long as the program.
Clock& system_clock();

}  // namespace supervise
