#include "daemon.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>

#include "base/log.hpp"
#include "base/task_group.hpp"
#include "config/load.hpp"
#include "supervise/supervisor.hpp"

namespace supervise {
namespace asio = boost::asio;

namespace {

Logger make_logger(const LogSettings& settings) {
    const LogLevel level = settings.level == "debug"     ? LogLevel::debug
                           : settings.level == "warning" ? LogLevel::warning
                           : settings.level == "error"   ? LogLevel::error
                                                         : LogLevel::info;
    if (settings.format == "journald") {
        return make_journal_logger(level);
    }
    const LogFormat format = settings.format == "json" ? LogFormat::json : LogFormat::text;
    return settings.file ? make_file_logger(*settings.file, level, format)
                         : make_stderr_logger(level, format);
}

/// A thousand clients and their workers need more descriptors than the customary 1,024. Returns
/// what it was, for the workers: a program that uses select(2) breaks on larger numbers.
std::vector<ResourceLimit> raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max) {
        return {};
    }
    ResourceLimit before;
    before.resource = RLIMIT_NOFILE;
    before.name = "nofile";
    before.value = limit.rlim_cur;
    before.soft_only = true;
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return {};
    }
    return {before};
}

std::variant<Settings, std::string> load_again(const std::string& path) {
    config::Loaded loaded = config::load_file(path);
    if (!loaded.has_errors()) {
        return std::move(loaded.settings);
    }
    std::string text;
    for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
        text += (text.empty() ? "" : "\n") + diagnostic.text();
    }
    return text;
}

/// SUPERVISE_TIER=C asks for no better tier than C.
std::optional<char> tier_from_environment() {
    const char* wish = std::getenv("SUPERVISE_TIER");
    if (wish == nullptr || *wish == '\0') {
        return std::nullopt;
    }
    if (wish[0] < 'A' || wish[0] > 'D' || wish[1] != '\0') {
        throw StartError("SUPERVISE_TIER is \"" + std::string(wish) + "\"; it can be A, B, C or D",
                         64);
    }
    return wish[0];
}

asio::awaitable<void> serve_signals(Supervisor& supervisor, asio::signal_set& signals) {
    bool asked_to_stop = false;
    for (;;) {
        const int number = co_await signals.async_wait(asio::use_awaitable);
        if (number == SIGHUP) {
            supervisor.reload();
        } else if (number == SIGUSR1) {
            if (const Result<void> reopened = reopen_log_files(); !reopened) {
                std::fprintf(stderr, "supervise: %s\n", reopened.error().message().c_str());
            }
            supervisor.log_state();
        } else if (asked_to_stop) {
            supervisor.hurry();
        } else {
            asked_to_stop = true;
            supervisor.stop();
        }
    }
}

asio::awaitable<void> hold_lifeline(Supervisor& supervisor, asio::posix::stream_descriptor& line) {
    char ignored[64];
    boost::system::error_code error;
    while (!error) {
        co_await line.async_read_some(asio::buffer(ignored),
                                      asio::redirect_error(asio::use_awaitable, error));
    }
    if (error != asio::error::operation_aborted) {
        supervisor.kill();
    }
}

/// Main coroutine of the daemon: the supervisor, with the signals beside it.
asio::awaitable<void> serve(Supervisor& supervisor, asio::signal_set& signals,
                            asio::posix::stream_descriptor& lifeline) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    TaskGroup beside(executor);
    beside.spawn("signals", serve_signals(supervisor, signals));
    if (lifeline.is_open()) {
        beside.spawn("lifeline", hold_lifeline(supervisor, lifeline));
    }
    std::exception_ptr failure;
    try {
        co_await supervisor.run();
    } catch (...) {
        failure = std::current_exception();
    }
    beside.cancel();
    co_await beside.join();
    if (failure) {
        std::rethrow_exception(failure);
    }
}

int run(const std::string& config_path, std::optional<int> lifeline_number, Settings settings) {
    Logger logger = make_logger(settings.supervisor.log);
    asio::io_context loop(1);
    asio::signal_set signals(loop, SIGTERM, SIGINT, SIGHUP);
    signals.add(SIGUSR1);
    asio::posix::stream_descriptor lifeline(loop);
    if (lifeline_number) {
        boost::system::error_code error;
        ::fcntl(*lifeline_number, F_SETFD, FD_CLOEXEC);
        lifeline.assign(*lifeline_number, error);
        if (error) {
            throw StartError("--lifeline " + std::to_string(*lifeline_number) +
                                 " is not a descriptor of a pipe: " + error.message(),
                             64);
        }
    }
    Hooks hooks;
    hooks.logger = logger;
    hooks.reload = [config_path] { return load_again(config_path); };
    hooks.adopt_orphans = true;
    hooks.tier = tier_from_environment();
    hooks.limits = raise_descriptor_limit();
    Supervisor supervisor(loop.get_executor(), std::move(settings), std::move(hooks));
    std::exception_ptr failure;
    asio::co_spawn(loop, serve(supervisor, signals, lifeline),
                   [&failure](std::exception_ptr error) { failure = error; });
    loop.run();
    if (!failure) {
        return 0;
    }
    try {
        std::rethrow_exception(failure);
    } catch (const StartError& error) {
        logger.error("supervise.failed", {{"error", error.what()}});
        return error.exit_code;
    }
}

}  // namespace

int run_daemon(const std::string& config_path, std::optional<int> lifeline) {
    std::signal(SIGPIPE, SIG_IGN);
    // A reload must find the file again, wherever it was started from.
    const std::string path = std::filesystem::absolute(config_path).string();
    config::Loaded loaded = config::load_file(path);
    for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
        std::fprintf(stderr, "%s\n", diagnostic.text().c_str());
    }
    if (loaded.has_errors()) {
        return 78;
    }
    try {
        return run(path, lifeline, std::move(loaded.settings));
    } catch (const StartError& error) {
        std::fprintf(stderr, "supervise: %s\n", error.what());
        return error.exit_code;
    } catch (const std::exception& error) {
        std::fprintf(stderr, "supervise: %s\n", error.what());
        return 1;
    }
}

}  // namespace supervise
