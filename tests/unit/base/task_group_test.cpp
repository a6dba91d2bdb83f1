#include "base/task_group.hpp"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>

#include "tests/support/catch.hpp"
#include "tests/support/loop.hpp"

using namespace supervise;
using namespace supervise::test;
namespace asio = boost::asio;

namespace {

/// A wait that ends when the test opens it. It resumes its coroutine right within open(), or within
/// the emit() that cancels it: the order that is hardest on the group.
class Gate {
  public:
    asio::awaitable<void> wait() {
        return asio::async_initiate<const asio::use_awaitable_t<>&,
                                    void(boost::system::error_code)>(
            [this](auto handler) { start(std::move(handler)); }, asio::use_awaitable);
    }
    void open() { complete({}); }

  private:
    template <class Handler>
    void start(Handler handler) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) {
            slot.assign(
                [this](asio::cancellation_type) { complete(asio::error::operation_aborted); });
        }
        // A handler can only be moved, a function wants to be copied.
        const auto shared = std::make_shared<Handler>(std::move(handler));
        resume_ = [shared](boost::system::error_code code) { std::move (*shared)(code); };
    }
    void complete(boost::system::error_code code) {
        if (const auto resume = std::exchange(resume_, nullptr)) {
            resume(code);
        }
    }
    std::function<void(boost::system::error_code)> resume_;
};

/// What a coroutine came to.
struct Outcome {
    bool ended = false;
    std::string error;

    void operator()(std::exception_ptr thrown) {
        ended = true;
        try {
            if (thrown) {
                std::rethrow_exception(thrown);
            }
        } catch (const std::exception& failure) {
            error = failure.what();
        }
    }
};

asio::awaitable<void> end_at_once() { co_return; }

asio::awaitable<void> fail_at_once(const char* what) {
    throw std::runtime_error(what);
    co_return;
}

asio::awaitable<void> wait_at(Gate& gate, int& ended) {
    co_await gate.wait();
    ++ended;
}

asio::awaitable<void> wait_or_note(Gate& gate, bool& aborted) {
    try {
        co_await gate.wait();
    } catch (const boost::system::system_error& failure) {
        aborted = failure.code() == asio::error::operation_aborted;
        throw;
    }
}

asio::awaitable<void> fail_after(Gate& gate, const char* what) {
    try {
        co_await gate.wait();
    } catch (const boost::system::system_error&) {
        // Cancelled: fails in its own way all the same.
    }
    throw std::runtime_error(what);
}

/// Does not end when cancelled, but when it has cleaned up.
asio::awaitable<void> clean_up(Gate& gate, Gate& cleaned, bool& clean) {
    try {
        co_await gate.wait();
    } catch (const boost::system::system_error&) {
        // Awaiting is not allowed in here.
    }
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    co_await cleaned.wait();
    clean = true;
}

asio::awaitable<void> join(TaskGroup& group) { co_await group.join(); }

struct Fixture {
    /// Joins in the background; `joined` is the outcome.
    void start_join() {
        asio::co_spawn(io, join(group),
                       asio::bind_cancellation_slot(parent.slot(), std::ref(joined)));
        run_ready(io);
    }
    asio::io_context io;
    TaskGroup group{io.get_executor()};
    asio::cancellation_signal parent;
    Outcome joined;
    Gate gates[3];
    int ended = 0;
    bool aborted[3] = {};
};

}  // namespace

TEST_CASE_METHOD(Fixture, "joining a group waits for every child", "[task_group]") {
    group.spawn("one", wait_at(gates[0], ended));
    group.spawn("two", wait_at(gates[1], ended));
    start_join();
    CHECK_FALSE(joined.ended);
    gates[0].open();
    run_ready(io);
    CHECK_FALSE(joined.ended);
    CHECK_FALSE(group.empty());
    gates[1].open();
    run_ready(io);
    CHECK(joined.ended);
    CHECK(joined.error.empty());
    CHECK(ended == 2);
    CHECK(group.empty());
}

TEST_CASE_METHOD(Fixture, "joining an empty group ends at once", "[task_group]") {
    start_join();
    CHECK(joined.ended);
}

TEST_CASE_METHOD(Fixture, "a child's error cancels its siblings and comes out of join",
                 "[task_group]") {
    group.spawn("one", wait_or_note(gates[0], aborted[0]));
    group.spawn("two", fail_after(gates[1], "broken"));
    group.spawn("three", wait_or_note(gates[2], aborted[2]));
    start_join();
    gates[1].open();
    run_ready(io);
    CHECK(joined.ended);
    CHECK(joined.error == "broken");
    CHECK(aborted[0]);
    CHECK(aborted[2]);
}

TEST_CASE_METHOD(Fixture, "of several errors the first one comes out of join", "[task_group]") {
    for (Gate& gate : gates) {
        group.spawn("child", fail_after(gate, &gate == &gates[1] ? "first" : "later"));
    }
    start_join();
    gates[1].open();
    run_ready(io);
    CHECK(joined.error == "first");
}

TEST_CASE_METHOD(Fixture, "an error of a child that fails at once is kept for join",
                 "[task_group]") {
    group.spawn("one", wait_or_note(gates[0], aborted[0]));
    group.spawn("two", fail_at_once("broken"));
    run_ready(io);
    CHECK(group.empty());
    CHECK(aborted[0]);
    start_join();
    CHECK(joined.error == "broken");
}

TEST_CASE_METHOD(Fixture, "a cancelled join cancels the children and waits for them",
                 "[task_group]") {
    bool clean = false;
    Gate cleaned;
    group.spawn("one", wait_or_note(gates[0], aborted[0]));
    group.spawn("two", clean_up(gates[1], cleaned, clean));
    start_join();
    parent.emit(asio::cancellation_type::terminal);
    run_ready(io);
    CHECK(aborted[0]);
    CHECK_FALSE(joined.ended);
    cleaned.open();
    run_ready(io);
    CHECK(clean);
    CHECK(joined.ended);
    CHECK(joined.error.empty());
}

namespace {

asio::awaitable<void> join_late(TaskGroup& group, Gate& first) {
    co_await asio::this_coro::throw_if_cancelled(false);
    try {
        co_await first.wait();
    } catch (const boost::system::system_error&) {
        // Cancelled before it came to join().
    }
    co_await group.join();
}

}  // namespace

TEST_CASE_METHOD(Fixture, "an owner that is cancelled already can still join", "[task_group]") {
    group.spawn("one", wait_or_note(gates[0], aborted[0]));
    asio::co_spawn(io, join_late(group, gates[1]),
                   asio::bind_cancellation_slot(parent.slot(), std::ref(joined)));
    run_ready(io);
    parent.emit(asio::cancellation_type::terminal);
    run_ready(io);
    CHECK(aborted[0]);
    CHECK(joined.ended);
    CHECK(joined.error.empty());
}

TEST_CASE_METHOD(Fixture, "cancelling ends every child, and is no error", "[task_group]") {
    for (int i = 0; i < 3; ++i) {
        group.spawn("child", wait_or_note(gates[i], aborted[i]));
    }
    run_ready(io);
    group.cancel();
    run_ready(io);
    CHECK(group.empty());
    CHECK((aborted[0] && aborted[1] && aborted[2]));
    start_join();
    CHECK(joined.ended);
    CHECK(joined.error.empty());
}

namespace {

/// As it goes, ends others: while the group goes through its list of them.
asio::awaitable<void> open_others(Gate& own, Gate& first, Gate& second) {
    try {
        co_await own.wait();
    } catch (const boost::system::system_error&) {
        // What follows does not wait.
    }
    first.open();
    second.open();
}

asio::awaitable<void> cancel_and_spawn(TaskGroup& group, Gate& own, Gate& other, bool& aborted) {
    try {
        co_await own.wait();
    } catch (const boost::system::system_error&) {
        // What follows does not wait.
    }
    group.cancel();
    group.spawn("late", wait_or_note(other, aborted));
}

asio::awaitable<void> cancel_within(TaskGroup& group) {
    group.cancel();
    co_return;
}

asio::awaitable<void> cancel_own_group(TaskGroup& group, Gate& own, bool& aborted) {
    group.cancel();
    co_await wait_or_note(own, aborted);
}

}  // namespace

TEST_CASE_METHOD(Fixture, "a child that is being cancelled may end its siblings", "[task_group]") {
    const int first = GENERATE(0, 1, 2);
    for (int i = 0; i < 3; ++i) {
        if (i == first) {
            group.spawn("first", open_others(gates[i], gates[(i + 1) % 3], gates[(i + 2) % 3]));
        } else {
            group.spawn("other", wait_at(gates[i], ended));
        }
    }
    run_ready(io);
    SECTION("from within the loop") { run(io, cancel_within(group)); }
    SECTION("from outside of it") { group.cancel(); }
    run_ready(io);
    CHECK(group.empty());
    // Those before it in the list were cancelled; those after it were let through first.
    CHECK(ended == 2 - first);
}

TEST_CASE_METHOD(Fixture, "a child that ends while its cancellation is on its way is let go",
                 "[task_group]") {
    group.spawn("one", wait_at(gates[0], ended));
    run_ready(io);
    group.cancel();  // outside the loop: Asio posts it
    gates[0].open();
    run_ready(io);
    CHECK(group.empty());
    CHECK(ended == 1);
}

TEST_CASE_METHOD(Fixture, "a child that is being cancelled may cancel again and spawn",
                 "[task_group]") {
    group.spawn("one", cancel_and_spawn(group, gates[0], gates[2], aborted[2]));
    group.spawn("two", wait_or_note(gates[1], aborted[1]));
    run_ready(io);
    group.cancel();
    run_ready(io);
    CHECK(group.empty());
    CHECK(aborted[1]);
    CHECK(aborted[2]);
}

TEST_CASE_METHOD(Fixture, "a child may cancel its own group", "[task_group]") {
    group.spawn("one", wait_or_note(gates[0], aborted[0]));
    run_ready(io);
    group.spawn("two", cancel_own_group(group, gates[1], aborted[1]));
    start_join();
    CHECK(joined.ended);
    CHECK(joined.error.empty());
    CHECK(aborted[0]);
}

namespace {

/// Spawns from within the loop.
asio::awaitable<void> spawn_within(TaskGroup& group, asio::awaitable<void> child) {
    group.spawn("child", std::move(child));
    co_return;
}

asio::awaitable<void> end_after_dispatch() { co_await asio::dispatch(asio::use_awaitable); }

}  // namespace

TEST_CASE_METHOD(Fixture, "a child that ends at once is joined", "[task_group]") {
    const bool cancelled_before = GENERATE(false, true);
    if (cancelled_before) {
        group.cancel();
    }
    group.spawn("outside", end_at_once());
    run(io, spawn_within(group, end_at_once()));
    run(io, spawn_within(group, end_after_dispatch()));
    run_ready(io);
    CHECK(group.empty());
    start_join();
    CHECK(joined.ended);
    CHECK(joined.error.empty());
}

TEST_CASE_METHOD(Fixture, "a child spawned after cancel is cancelled where it first waits",
                 "[task_group]") {
    group.cancel();
    group.spawn("outside", wait_or_note(gates[0], aborted[0]));
    run(io, spawn_within(group, wait_or_note(gates[1], aborted[1])));
    run_ready(io);
    CHECK(group.empty());
    CHECK(aborted[0]);
    CHECK(aborted[1]);
}

TEST_CASE_METHOD(Fixture, "a child that is cancelled before it started is started all the same",
                 "[task_group]") {
    group.spawn("outside", wait_or_note(gates[0], aborted[0]));
    group.cancel();
    run_ready(io);
    CHECK(group.empty());
    CHECK(aborted[0]);
}

TEST_CASE("nothing of a group runs after it was joined and destroyed", "[task_group]") {
    asio::io_context io;
    Gate gates[2];
    int ended = 0;
    Outcome joined;
    std::optional<TaskGroup> group(std::in_place, io.get_executor());
    group->spawn("one", wait_at(gates[0], ended));
    group->spawn("two", fail_after(gates[1], "broken"));
    asio::co_spawn(io, join(*group), [&](std::exception_ptr error) {
        joined(error);
        group.reset();
    });
    run_ready(io);
    gates[1].open();
    CHECK_FALSE(joined.ended);
    run_ready(io);
    CHECK(joined.error == "broken");
    CHECK_FALSE(group.has_value());
}
