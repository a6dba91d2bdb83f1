#include <csignal>

#include "tests/unit/pool/front_stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t mebi = 1 << 20;

/// A front of 50 MiB with a line at 100.
struct LineStage : FrontStage {
    LineStage() {
        settings.front->max_rss = 100 * mebi;
        host().fresh.rss = 50 * mebi;
    }
};

}  // namespace

TEST_CASE("a front over its line goes when the next one consumes, and not before",
          "[pool][front]") {
    LineStage stage;
    FakeWorker& first = stage.start_served();
    first.memory.rss = 100 * mebi;
    stage.trims(first, 100 * mebi);
    FakeWorker& second = stage.connecting(2);
    CHECK(stage.row(second).node == "work-2@host");
    CHECK(stage.row(first).state == "ready");
    second.send(ipc::Ready{});
    stage.hears(first, "SIGTERM");
    CHECK(stage.row(first).state == "stopping");
    CHECK(stage.row(second).state == "ready");
    CHECK(stage.status().front_recycles.at("max_rss") == 1);
    stage.pass(10min);
    CHECK(stage.row(first).state == "stopping");
    stage.ends(first);
    CHECK(stage.status().front_restarts.empty());
    CHECK(stage.logged("front.died").empty());

    second.memory.rss = 100 * mebi;  // and back to the first name
    stage.trims(second, 100 * mebi);
    FakeWorker& third = stage.consumes(3);
    CHECK(stage.row(third).node == "work@host");
}

TEST_CASE("a front over its line trims first, and is replaced if that does not help for a minute",
          "[pool][front]") {
    LineStage stage;
    FakeWorker& first = stage.start_served();
    first.memory.rss = 100 * mebi;
    stage.trims(first, 60 * mebi);
    CHECK(stage.logged("front.trimmed").at(0).fields.at("came_back") == std::to_string(40 * mebi));
    stage.pass(61s);
    CHECK_FALSE(stage.has_front(2));
    SECTION("it is asked again later") {
        first.memory.rss = 100 * mebi;
        stage.trims(first, 60 * mebi);
        stage.pass(30s);
        CHECK_FALSE(stage.has_front(2));
        first.memory.rss = 100 * mebi;  // so soon
        stage.consumes(2);
    }
    SECTION("it does not answer") {
        first.memory.rss = 100 * mebi;
        stage.pass(59s);
        CHECK_FALSE(stage.has_front(2));
        stage.consumes(2);
    }
    stage.hears(first, "SIGTERM");
    CHECK(stage.status().front_recycles.at("max_rss") == 1);
}

TEST_CASE("one that does not stop in its time is killed, and its tasks go on", "[pool][front]") {
    FrontStage stage;
    stage.settings.front->stop_timeout = 10s;
    FakeWorker& first = stage.start_served();
    CHECK(stage.pool().recycle_front().value() == 2);
    stage.consumes(2);
    stage.hears(first, "SIGTERM");
    stage.pass(9s);
    CHECK(stage.row(first).state == "stopping");
    stage.pass(1200ms);
    stage.until("its end", [&] { return stage.row(first).state.empty(); });
    CHECK_THAT(stage.logged("front.gone").at(0).fields.at("detail"),
               ContainsSubstring("stop_timeout"));
}

TEST_CASE("there are never more than two fronts: a third waits for the first one's end",
          "[pool][front]") {
    FrontStage stage;
    FakeWorker& first = stage.start_served();
    stage.pool().recycle_front().value();
    FakeWorker& second = stage.consumes(2);
    stage.pool().recycle_front().value();
    stage.pool().recycle_front().value();  // is the same wish
    stage.pass(1min);
    CHECK_FALSE(stage.has_front(3));
    stage.ends(first);
    stage.consumes(3);
    stage.hears(second, "SIGTERM");
    stage.ends(second);
    stage.pass(1min);
    CHECK_FALSE(stage.has_front(4));
    CHECK(stage.status().front_recycles.at("requested") == 2);
}

TEST_CASE("when the next front does not start the present one goes on", "[pool][front]") {
    LineStage stage;
    stage.settings.start_timeout = 20s;
    stage.settings.restart.backoff_most = 30s;
    FakeWorker& first = stage.start_served();
    first.memory.rss = 100 * mebi;
    stage.trims(first, 100 * mebi);
    FakeWorker& second = stage.launched(2);
    SECTION("because it dies") {
        second.send(ipc::StartFailed{"ImportError", "no such thing"});
        stage.ends(second, 1);
        CHECK_THAT(stage.status().advice, ContainsSubstring("no such thing"));
    }
    SECTION("because it never consumes") {
        ipc::Hello hello;
        hello.role = ipc::Role::front;
        second.send(hello);
        stage.pass(20200ms);
        stage.until("its end", [&] { return stage.row(second).state.empty(); });
        CHECK_THAT(stage.status().advice, ContainsSubstring("it did not consume"));
    }
    CHECK_THAT(stage.status().advice, ContainsSubstring("the one before it goes on"));
    CHECK(stage.status().state == "running");
    CHECK(stage.logged("front.hand_over_failed").size() == 1);
    CHECK(stage.row(first).state == "ready");
    CHECK(stage.status().front_restarts.empty());
    stage.pass(29s);
    CHECK_FALSE(stage.has_front(3));
    stage.consumes(3);  // it is still over its line
    stage.hears(first, "SIGTERM");
    CHECK(stage.status().advice.empty());
}

TEST_CASE("when the front dies while the next one starts, that one serves", "[pool][front]") {
    FrontStage stage;
    FakeWorker& first = stage.start_served();
    stage.pool().recycle_front().value();
    FakeWorker& second = stage.connecting(2);
    stage.ends(first, 1);
    stage.pass(1min);
    CHECK_FALSE(stage.has_front(3));
    second.send(ipc::Ready{});
    stage.until("the second to serve", [&] { return stage.row(second).state == "ready"; });
    CHECK(stage.status().front_recycles.empty());
    CHECK(stage.status().front_restarts.at("exit") == 1);
}

TEST_CASE("a line below a fresh front's size is an error of the settings, not a loop",
          "[pool][front]") {
    LineStage stage;
    stage.host().fresh.rss = 90 * mebi;
    stage.start_served();
    REQUIRE(stage.config_errors.size() == 1);
    CHECK_THAT(stage.config_errors[0], ContainsSubstring("front.memory.max_rss = 100 MiB is below "
                                                         "1.2 times what a fresh front has"));
    stage.pass(1h);
    CHECK_FALSE(stage.has_front(2));
}

TEST_CASE("hand-overs that give nothing back end after three", "[pool][front]") {
    LineStage stage;
    stage.start_served();
    for (const unsigned number : {1U, 2U, 3U}) {
        FakeWorker& old = *stage.host().find("front." + std::to_string(number));
        stage.host().fresh.rss = 105 * mebi;  // it has grown since the first
        old.memory.rss = 105 * mebi;
        stage.trims(old, 105 * mebi);
        stage.consumes(number + 1);
        stage.ends(old);
    }
    CHECK_THAT(stage.status().advice, ContainsSubstring("gave nothing back"));
    stage.pass(1h);
    CHECK_FALSE(stage.has_front(5));
}

TEST_CASE("a reload replaces the front only if its command line has changed", "[pool][front]") {
    FrontStage stage;
    FakeWorker& first = stage.start_served();
    PoolSettings next = stage.settings;
    next.front->max_rss = 500 * mebi;
    next.front->stop_timeout = 1min;
    stage.pool().apply(next);
    stage.pass(1min);
    CHECK_FALSE(stage.has_front(2));
    next.front->queues = {"mail"};
    stage.pool().apply(next);
    FakeWorker& second = stage.consumes(2);
    CHECK(stage.status().front_recycles.at("config") == 1);
    stage.ends(first);
    next.front.reset();
    stage.pool().apply(next);
    stage.hears(second, "SIGTERM");
    stage.ends(second);
    stage.pass(1min);
    CHECK(stage.status().fronts.empty());
    CHECK(stage.status().state == "running");
    next.front.emplace();
    stage.pool().apply(next);
    stage.consumes(3);
}

TEST_CASE("a line that is suspended stays so when the pool is scaled", "[pool][front]") {
    LineStage stage;
    stage.host().fresh.rss = 90 * mebi;
    FakeWorker& first = stage.start_served();
    const std::string advice = stage.status().advice;
    CHECK_THAT(advice, ContainsSubstring("front.memory.max_rss"));
    first.memory.rss = 150 * mebi;
    stage.pool().scale(1).value();
    stage.pass(1min);
    CHECK(stage.status().advice == advice);
    CHECK(stage.logged("front.trimmed").empty());
    CHECK_FALSE(first.receive());
    PoolSettings next = stage.settings;
    next.front->max_rss = 200 * mebi;
    stage.pool().apply(next);
    CHECK(stage.status().advice.empty());
}
