// Embeds a pool of Python workers in a C++ program: this program owns the loop and the signals,
// the supervisor owns the workers. Prints the squares of 1 to 5, computed by two workers.
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "supervise/supervisor.hpp"

namespace asio = boost::asio;

namespace {

/// A folder for the sockets, readable by nobody else, gone with the program.
class RuntimeFolder {
  public:
    RuntimeFolder() {
        if (::mkdtemp(path_.data()) == nullptr) {
            throw std::runtime_error("cannot make a folder like " + path_);
        }
    }
    ~RuntimeFolder() {
        std::error_code ignored;
        std::filesystem::remove_all(path_, ignored);
    }
    RuntimeFolder(const RuntimeFolder&) = delete;
    RuntimeFolder& operator=(const RuntimeFolder&) = delete;

    const std::string& path() const { return path_; }

  private:
    std::string path_ = std::filesystem::temp_directory_path() / "embed-XXXXXX";
};

supervise::Settings settings(const std::string& runtime_dir) {
    supervise::PoolSettings pool;
    pool.name = "squares";
    pool.app = "squares";
    pool.python = "python3";
    pool.directory = APP_DIRECTORY;
    pool.module_path = {APP_DIRECTORY};
    pool.min_workers = pool.max_workers = 2;
    pool.recycle.max_tasks = 1'000;

    supervise::Settings all;
    all.supervisor.runtime_dir = runtime_dir;
    all.pools = {pool};
    return all;
}

/// One line for each warning or error; where an embedder has a log of its own, it goes there.
void print_log(supervise::LogLevel, std::string_view event, const supervise::LogField* fields,
               std::size_t count) {
    std::cerr << event;
    for (std::size_t i = 0; i < count; ++i) {
        std::cerr << ' ' << fields[i].key << '=' << fields[i].value;
    }
    std::cerr << '\n';
}

/// A pool knows its tasks, and takes jobs, once its first worker has imported the application.
asio::awaitable<void> ready(const supervise::Supervisor& supervisor, const bool& running) {
    asio::steady_timer timer(co_await asio::this_coro::executor);
    const auto starting = [&] {
        const supervise::Snapshot now = supervisor.snapshot();
        return now.pools.empty() || now.pools.front().state == "starting";
    };
    while (running && starting()) {
        timer.expires_after(std::chrono::milliseconds(20));
        co_await timer.async_wait(asio::use_awaitable);
    }
}

/// `right` says at the end whether every job did what it should. The references are to main's own.
asio::awaitable<void> work(supervise::Supervisor& supervisor, const bool& running, bool& right) {
    co_await ready(supervisor, running);
    for (std::int64_t number = 1; number <= 5; ++number) {
        std::vector<supervise::JobArgument> ids;
        ids.emplace_back(number);
        const auto ended = co_await supervisor.submit_and_wait("squares", "squares.square", ids);
        if (!ended) {
            std::cerr << ended.error().message() << '\n';
            co_return;
        }
        if (ended->state != supervise::JobState::done || !ended->result) {
            std::cerr << name_of(ended->state) << ": " << ended->error << '\n';
            co_return;
        }
        const auto result = std::get<std::int64_t>(*ended->result);
        std::cout << number << " * " << number << " = " << result << std::endl;
        if (result != number * number) {
            co_return;
        }
    }
    right = true;
}

}  // namespace

int main() try {
    // An installed library finds its Python package only from the program `supervise`; tell it.
    ::setenv("SUPERVISE_PYTHON_PACKAGE", PYTHON_PACKAGE, 0);

    const RuntimeFolder folder;
    asio::io_context loop(1);
    supervise::Hooks hooks;
    hooks.logger = supervise::Logger(print_log, supervise::LogLevel::warning);
    supervise::Supervisor supervisor(loop.get_executor(), settings(folder.path()), hooks);

    asio::signal_set signals(loop, SIGINT, SIGTERM);
    signals.async_wait([&](const boost::system::error_code& cancelled, int) {
        if (!cancelled) {
            supervisor.stop();
        }
    });

    std::exception_ptr failure;
    bool running = true;
    bool right = false;
    asio::co_spawn(loop, supervisor.run(), [&](std::exception_ptr error) {
        failure = error;
        running = false;
        signals.cancel();
    });
    asio::co_spawn(loop, work(supervisor, running, right), [&](std::exception_ptr error) {
        failure = failure ? failure : error;
        supervisor.stop();  // drains: run() ends when the last worker has gone
    });
    loop.run();
    if (failure) {
        std::rethrow_exception(failure);
    }
    return right ? EXIT_SUCCESS : EXIT_FAILURE;
} catch (const std::exception& error) {
    std::cerr << error.what() << '\n';
    return EXIT_FAILURE;
}
