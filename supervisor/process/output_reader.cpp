#include "output_reader.hpp"

#include <unistd.h>

#include <array>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <chrono>
#include <memory>

#include "line_splitter.hpp"
#include "supervise/error.hpp"

namespace supervise {
namespace asio = boost::asio;

namespace {

using Descriptor = asio::posix::stream_descriptor;

/// Lets so many lines a second through and counts the rest.
class Throttle {
  public:
    Throttle(OutputLimits limits, Clock& clock, LineHandler handler)
        : limit_(limits.lines_per_second), clock_(clock), handler_(std::move(handler)) {}

    void line(std::string_view text, bool cut) {
        if (passed_ == 0 && dropped_ == 0) {
            second_ends_ = clock_.now() + std::chrono::seconds(1);
        }
        if (passed_ < limit_) {
            ++passed_;
            handler_(text, cut, 0);
        } else {
            ++dropped_;
        }
    }
    /// To be called between reads: a second that is over is accounted for.
    void look_at_clock() {
        if ((passed_ != 0 || dropped_ != 0) && clock_.now() >= second_ends_) {
            report();
        }
    }
    void report() {
        passed_ = 0;
        if (const std::uint64_t count = std::exchange(dropped_, 0); count != 0) {
            handler_({}, false, count);
        }
    }
    bool holds_a_count() const { return dropped_ != 0; }
    TimePoint second_ends() const { return second_ends_; }

  private:
    std::uint64_t limit_;
    Clock& clock_;
    LineHandler handler_;
    TimePoint second_ends_;
    std::uint64_t passed_ = 0;
    std::uint64_t dropped_ = 0;
};

asio::awaitable<void> readable(Descriptor& pipe) {
    co_await pipe.async_wait(Descriptor::wait_read, asio::use_awaitable);
}

/// Until there is something to read, or until `when`.
asio::awaitable<void> readable_or(Descriptor& pipe, Clock& clock, TimePoint when) {
    using namespace asio::experimental::awaitable_operators;
    try {
        co_await (readable(pipe) || clock.sleep_until(when));
    } catch (const asio::multiple_exceptions&) {
        // Both were cancelled with us; callers know cancellation by this one.
        throw boost::system::system_error(asio::error::operation_aborted);
    }
}

asio::awaitable<void> read_to_end(asio::any_io_executor executor, Descriptor& pipe, Clock& clock,
                                  LineSplitter& splitter, Throttle& throttle) {
    constexpr std::size_t turn = 65'536;
    constexpr std::size_t block_size = 16'384;
    // Not initialised, so that a quiet worker's reader does not touch its pages.
    const std::unique_ptr<char[]> block(new char[block_size]);
    const LineSplitter::Line line = [&throttle](std::string_view text, bool cut) {
        throttle.line(text, cut);
    };
    std::size_t this_turn = 0;
    for (;;) {
        const ssize_t got = ::read(pipe.native_handle(), block.get(), block_size);
        throttle.look_at_clock();
        if (got > 0) {
            splitter.feed(std::string_view(block.get(), static_cast<std::size_t>(got)), line);
            this_turn += static_cast<std::size_t>(got);
            if (this_turn >= turn) {
                this_turn = 0;
                co_await asio::post(executor, asio::use_awaitable);
            }
        } else if (got == 0 || (errno != EAGAIN && errno != EINTR)) {
            // EIO is how a terminal ends; a pipe has no errors that could be mended.
            co_return;
        } else if (errno == EAGAIN && throttle.holds_a_count()) {
            this_turn = 0;
            co_await readable_or(pipe, clock, throttle.second_ends());
        } else if (errno == EAGAIN) {
            this_turn = 0;
            co_await readable(pipe);
        }
    }
}

}  // namespace

asio::awaitable<void> read_lines(asio::any_io_executor executor, UniqueFd pipe_fd,
                                 OutputLimits limits, Clock& clock, LineHandler handler) {
    Descriptor pipe(executor);
    pipe.assign(pipe_fd.get());
    pipe_fd.release();
    pipe.non_blocking(true);
    LineSplitter splitter(limits.max_line);
    Throttle throttle(limits, clock, std::move(handler));
    std::exception_ptr ended_by;
    try {
        co_await read_to_end(executor, pipe, clock, splitter, throttle);
    } catch (const boost::system::system_error&) {
        ended_by = std::current_exception();
    }
    // What came last is often what matters: it is given out after a cancellation, too.
    splitter.finish([&throttle](std::string_view text, bool cut) { throttle.line(text, cut); });
    throttle.report();
    if (ended_by) {
        std::rethrow_exception(ended_by);
    }
}

}  // namespace supervise
