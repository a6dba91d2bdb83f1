#pragma once

#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <list>
#include <optional>

#include "supervise/clock.hpp"

namespace supervise::test {

/// Time that passes only when the test says so. Sleepers wait on timers that never expire and are
/// cancelled when their time has come. Outlives whoever sleeps on it.
class FakeClock final : public Clock {
  public:
    TimePoint now() const override { return now_; }

    boost::asio::awaitable<void> sleep_until(TimePoint when) override {
        const auto executor = co_await boost::asio::this_coro::executor;
        Sleeper sleeper{sleepers_, executor, when};
        while (when > now_) {
            // When the sleeper itself is cancelled, the next co_await throws.
            boost::system::error_code woken;
            co_await sleeper.timer.async_wait(
                boost::asio::redirect_error(boost::asio::use_awaitable, woken));
        }
        co_await boost::asio::post(executor, boost::asio::use_awaitable);
    }

    /// When the next sleeper wakes; nothing when nobody sleeps.
    std::optional<TimePoint> next() const {
        std::optional<TimePoint> earliest;
        for (const Sleeper* const sleeper : sleepers_) {
            if (sleeper->when > now_ && (!earliest || sleeper->when < *earliest)) {
                earliest = sleeper->when;
            }
        }
        return earliest;
    }

    /// Wakes all whose time has come by then, in the loop's next turn. To have them woken one after
    /// the other, advance from next() to next().
    void advance_to(TimePoint when) {
        now_ = when;
        for (Sleeper* const sleeper : sleepers_) {
            if (sleeper->when <= now_) {
                sleeper->timer.cancel();
            }
        }
    }
    void advance(Duration time) { advance_to(now_ + time); }

  private:
    struct Sleeper {
        Sleeper(std::list<Sleeper*>& sleepers, const boost::asio::any_io_executor& executor,
                TimePoint until)
            : all(sleepers),
              timer(executor, boost::asio::steady_timer::time_point::max()),
              when(until),
              place(all.insert(all.end(), this)) {}
        ~Sleeper() { all.erase(place); }
        Sleeper(const Sleeper&) = delete;
        Sleeper& operator=(const Sleeper&) = delete;

        std::list<Sleeper*>& all;
        boost::asio::steady_timer timer;
        TimePoint when;
        std::list<Sleeper*>::iterator place;
    };

    TimePoint now_{std::chrono::hours(1)};  ///< not the epoch, which means "never" in records
    std::list<Sleeper*> sleepers_;
};

}  // namespace supervise::test
