#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "base/unique_fd.hpp"
#include "supervisor/process/child_process.hpp"
#include "supervisor/process/launcher.hpp"

namespace supervise::test {

/// Runs one coroutine to its end; its exception is the test's.
template <class T>
T run(boost::asio::awaitable<T> task) {
    boost::asio::io_context io(1);
    std::optional<T> result;
    std::exception_ptr failure;
    boost::asio::co_spawn(io, std::move(task), [&](std::exception_ptr error, T value) {
        failure = error;
        result.emplace(std::move(value));
    });
    io.run_for(std::chrono::seconds(60));
    if (failure) {
        std::rethrow_exception(failure);
    }
    if (!result) {
        throw std::runtime_error("the coroutine did not end within a minute");
    }
    return std::move(*result);
}

struct Pipe {
    UniqueFd reader;
    UniqueFd writer;
};
Pipe make_pipe();

/// `sh -c SCRIPT` with our PATH and nothing else in its environment.
LaunchSpec shell(const std::string& script);
LaunchSpec python(const std::string& script);

/// Starts `spec`, for tests that want the process and no coroutine.
Launched launch(LaunchSpec spec);
/// Why `spec` could not be started; "" when it could.
std::string launch_error(LaunchSpec spec);

struct Captured {
    ExitStatus status;
    std::string output;  ///< stdout and stderr
};
/// Starts `spec`, reads all that it says, and waits for its end.
Captured capture(LaunchSpec spec);

/// A line of a child's output, without its newline; waits for it.
std::string read_line(int fd);
/// Waits for `launched` to end and reaps it.
ExitStatus wait(Launched launched);

std::vector<int> open_descriptors();
/// Polls (10 ms) until `condition` holds; false after 30 s.
bool eventually(const std::function<bool()>& condition);

/// Runs `act` in a thread in which the system calls `numbers` fail with ENOSYS.
void without_system_calls(const std::vector<int>& numbers, const std::function<void()>& act);

}  // namespace supervise::test
