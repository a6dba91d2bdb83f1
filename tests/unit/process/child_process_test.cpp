#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include "supervise/clock.hpp"
#include "supervisor/process/process_tree.hpp"
#include "support.hpp"
#include "tests/support/catch.hpp"

namespace asio = boost::asio;
using namespace supervise;
using namespace supervise::test;
using Kind = ExitStatus::Kind;

namespace {

std::unique_ptr<ChildProcess> adopt(asio::any_io_executor executor, Launched launched) {
    return std::make_unique<ChildProcess>(std::move(executor), launched.pid,
                                          std::move(launched.pidfd));
}

}  // namespace

TEST_CASE("an exit status says what happened in words", "[exit_status]") {
    CHECK(to_string({Kind::exited, 3, false}) == "exit code 3");
    CHECK(to_string({Kind::signaled, SIGKILL, false}) == "signal 9 (SIGKILL)");
    CHECK(to_string({Kind::signaled, SIGSEGV, true}) == "signal 11 (SIGSEGV), core dumped");
    CHECK(to_string({Kind::signaled, SIGRTMIN + 1, false}) ==
          "signal " + std::to_string(SIGRTMIN + 1));
    CHECK(ExitStatus{Kind::exited, 0, false}.clean());
    CHECK_FALSE(ExitStatus{Kind::signaled, 0, false}.clean());
}

TEST_CASE("exit codes and signals are told apart", "[child]") {
    CHECK(wait(launch(shell("exit 0"))) == ExitStatus{Kind::exited, 0, false});
    CHECK(wait(launch(shell("exit 9"))) == ExitStatus{Kind::exited, 9, false});
    CHECK(wait(launch(shell("exit 255"))) == ExitStatus{Kind::exited, 255, false});
    CHECK(wait(launch(shell("kill -KILL $$"))) == ExitStatus{Kind::signaled, SIGKILL, false});
    CHECK(wait(launch(shell("kill -TERM $$"))) == ExitStatus{Kind::signaled, SIGTERM, false});
}

namespace {

asio::awaitable<int> signals_until_the_end() {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const auto child = adopt(executor, launch(shell("exec sleep 1000")));
    CHECK(child->running());
    CHECK(child->signal(0).has_value());
    CHECK(child->signal_group(SIGTERM).has_value());
    const ExitStatus status = co_await child->wait();
    CHECK(status == ExitStatus{Kind::signaled, SIGTERM, false});
    CHECK_FALSE(child->running());
    CHECK(child->status() == status);
    CHECK(child->pid() > 0);
    const ExitStatus again = co_await child->wait();
    CHECK(again == status);
    CHECK(child->signal(SIGTERM).error().code.value() == ESRCH);
    CHECK(child->signal_group(SIGTERM).error().code.value() == ESRCH);
    co_return 0;
}

asio::awaitable<int> gives_up_and_waits_again() {
    using namespace asio::experimental::awaitable_operators;
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const auto child = adopt(executor, launch(shell("exec sleep 1000")));
    const auto first =
        co_await (child->wait() || system_clock().sleep_for(std::chrono::milliseconds(20)));
    CHECK(first.index() == 1);
    CHECK(child->running());
    CHECK(child->signal(SIGKILL).has_value());
    const ExitStatus status = co_await child->wait();
    CHECK(status == ExitStatus{Kind::signaled, SIGKILL, false});
    co_return 0;
}

asio::awaitable<int> status_taken_by_another() {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    const auto child = adopt(executor, launch(shell("exit 3")));
    CHECK(::waitpid(child->pid(), nullptr, 0) == child->pid());
    std::string message;
    try {
        (void)co_await child->wait();
    } catch (const ErrorException& error) {
        message = error.what();
    }
    CHECK_THAT(message, ContainsSubstring("wait for process " + std::to_string(child->pid())));
    CHECK_THAT(message, ContainsSubstring("No child processes"));
    co_return 0;
}

/// The longest time between two ticks of a 5 ms timer while `stop` is not set.
asio::awaitable<void> tick(bool& stop, std::chrono::steady_clock::duration& longest) {
    auto last = std::chrono::steady_clock::now();
    while (!stop) {
        co_await system_clock().sleep_for(std::chrono::milliseconds(5));
        const auto now = std::chrono::steady_clock::now();
        longest = std::max(longest, now - last);
        last = now;
    }
}

asio::awaitable<void> replace_many(bool& stop) {
    const asio::any_io_executor executor = co_await asio::this_coro::executor;
    for (int i = 0; i < 50; ++i) {
        // The second child's descriptor often gets the record of the first one, whose event may
        // still be under way: its wait must neither end early nor block.
        auto brief = co_await system_launcher().launch(shell("exit 1"));
        const auto first = adopt(executor, std::move(brief.value()));
        (void)co_await first->wait();
        auto lasting = co_await system_launcher().launch(shell("exec sleep 1000"));
        const auto second = adopt(executor, std::move(lasting.value()));
        using namespace asio::experimental::awaitable_operators;
        const auto ended =
            co_await (second->wait() || system_clock().sleep_for(std::chrono::milliseconds(1)));
        CHECK(ended.index() == 1);
        CHECK(second->signal(SIGKILL).has_value());
        const ExitStatus status = co_await second->wait();
        CHECK(status.value == SIGKILL);
    }
    stop = true;
}

asio::awaitable<int> stale_wake_ups(std::chrono::steady_clock::duration& longest) {
    using namespace asio::experimental::awaitable_operators;
    bool stop = false;
    co_await (replace_many(stop) && tick(stop, longest));
    co_return 0;
}

}  // namespace

TEST_CASE("a child is signalled until it is reaped and never after", "[child]") {
    run(signals_until_the_end());
}

TEST_CASE("a wait may be cancelled and begun again", "[child]") { run(gives_up_and_waits_again()); }

TEST_CASE("a status that another part of the program took is an error, not a guess", "[child]") {
    run(status_taken_by_another());
}

TEST_CASE("a stale wake-up neither ends a wait nor stops the loop", "[child]") {
    std::chrono::steady_clock::duration longest{};
    run(stale_wake_ups(longest));
    CHECK(longest < std::chrono::seconds(2));
    CHECK(children_of(::getpid()).empty());
}
