#include "supervise/clock.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace supervise {
namespace asio = boost::asio;

namespace {

class SystemClock final : public Clock {
  public:
    TimePoint now() const override { return std::chrono::steady_clock::now(); }

    asio::awaitable<void> sleep_until(TimePoint when) override {
        const asio::any_io_executor executor = co_await asio::this_coro::executor;
        asio::steady_timer timer(executor, when);
        co_await timer.async_wait(asio::use_awaitable);
    }
};

}  // namespace

Clock& system_clock() {
    static SystemClock clock;
    return clock;
}

}  // namespace supervise
