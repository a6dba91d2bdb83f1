#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <stdexcept>

namespace supervise::test {

/// Runs the loop until `task` has ended, and rethrows what it threw. A task that hangs fails the
/// test after 20 s.
inline void run(boost::asio::io_context& io, boost::asio::awaitable<void> task) {
    bool ended = false;
    std::exception_ptr error;
    boost::asio::co_spawn(io, std::move(task), [&](std::exception_ptr thrown) {
        ended = true;
        error = thrown;
    });
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    io.restart();
    while (!ended && io.run_one_until(deadline) > 0) {
    }
    if (!ended) {
        throw std::runtime_error("the coroutine has not ended in 20 s");
    }
    if (error) {
        std::rethrow_exception(error);
    }
}

/// Runs whatever is ready now.
inline void run_ready(boost::asio::io_context& io) {
    io.restart();
    while (io.poll() > 0) {
        io.restart();
    }
}

}  // namespace supervise::test
