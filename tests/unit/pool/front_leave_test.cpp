#include <csignal>

#include "tests/unit/pool/front_stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

/// A front that stops by itself, a task it holds still runs.
struct LeaveStage : FrontStage {
    LeaveStage() { settings.front->stop_timeout = 1min; }
    FakeWorker& leaves() {
        FakeWorker& first = start_served();
        first.send(ipc::Retire{});
        until("it to leave", [&] { return row(first).state == "stopping"; });
        return first;
    }
};

}  // namespace

TEST_CASE("a front that leaves by itself is followed by another at once", "[pool][front]") {
    LeaveStage stage;
    FakeWorker& first = stage.leaves();
    CHECK(stage.logged("front.leaving").size() == 1);
    FakeWorker& second = stage.consumes(2);
    CHECK(stage.row(second).node == "work-2@host");
    CHECK(stage.row(first).state == "stopping");
    SECTION("and ends as it was asked to") { stage.ends(first); }
    SECTION("and ends as one that would not stop") {
        stage.pass(1min);
        stage.until("its end", [&] { return stage.row(first).state.empty(); });
    }
    CHECK(stage.logged("front.died").empty());
    CHECK(stage.status().front_restarts == std::map<std::string, std::uint64_t>{{"left", 1}});
    CHECK(stage.status().advice.empty());
    CHECK(stage.row(second).state == "ready");
    stage.pass(1min);
    CHECK_FALSE(stage.has_front(3));
}

TEST_CASE("a front that leaves and fails has died", "[pool][front]") {
    LeaveStage stage;
    stage.settings.restart.burst = 1;
    FakeWorker& first = stage.leaves();
    stage.ends(first, 1);
    CHECK(stage.logged("front.died").size() == 1);
    CHECK(stage.status().front_restarts.at("exit") == 1);
    CHECK(stage.status().state == "degraded");
}

TEST_CASE("fronts that leave one after the other without a task done come ever later",
          "[pool][front]") {
    LeaveStage stage;
    stage.settings.restart.backoff_first = 10s;
    FakeWorker& first = stage.leaves();
    stage.ends(first);
    stage.pass(7400ms);
    CHECK_FALSE(stage.has_front(2));
    FakeWorker& second = stage.consumes(2);
    second.send(ipc::Retire{});
    stage.ends(second);
    stage.pass(14s);
    CHECK_FALSE(stage.has_front(3));
    stage.consumes(3);
}

TEST_CASE("a front says that it leaves only while it consumes", "[pool][front]") {
    FrontStage stage;
    stage.start_ready();
    FakeWorker& front = stage.connecting(1);
    front.send(ipc::Retire{});
    stage.until("its end", [&] { return stage.row(front).state.empty(); });
    CHECK(stage.logged("front.protocol_error").size() == 1);
}

TEST_CASE("a front whose table has gone is killed when its stop_timeout is over", "[pool][front]") {
    LeaveStage stage;
    FakeWorker& front = stage.start_served();
    PoolSettings next = stage.settings;
    next.front->stop_timeout = 10s;
    stage.pool().apply(next);
    next.front.reset();
    stage.pool().apply(next);
    stage.hears(front, "SIGTERM");
    stage.pass(9s);
    CHECK(stage.row(front).state == "stopping");
    stage.pass(1200ms);
    stage.until("its end", [&] { return stage.row(front).state.empty(); });
    CHECK_THAT(stage.logged("front.gone").at(0).fields.at("detail"),
               ContainsSubstring("stop_timeout"));
}
