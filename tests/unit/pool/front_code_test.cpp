#include "tests/unit/pool/front_stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

/// Two workers, and a front that consumes; new code has a task more.
struct CodeStage : FrontStage {
    CodeStage() : FrontStage(2) { start_served(); }
    FakeWorker& front() { return *host().find("front.1"); }
    void reload() {
        PoolSettings next = settings;
        next.app = "other";
        tasks.push_back({"app.fresh", {}, {}, {}});
        pool().apply(next);
    }
    ipc::Refusal refusal() { return refused("app.fresh").reason; }
};

}  // namespace

TEST_CASE("the front follows its workers to new code when each slot has it, and not before",
          "[pool][front]") {
    CodeStage stage;
    CHECK(stage.refusal() == ipc::Refusal::unknown_task);
    stage.reload();
    stage.pass(10s);
    CHECK_FALSE(stage.has_front(2));
    CHECK(stage.refusal() == ipc::Refusal::degraded);  // a moment later it may be otherwise
    stage.ready(1, 2);
    stage.retires(stage.worker(1, 1));
    stage.pass(1s);
    CHECK_FALSE(stage.has_front(2));
    CHECK(stage.refused("app.gone").reason == ipc::Refusal::degraded);
    stage.ready(2, 2);
    stage.retires(stage.worker(2, 1));
    FakeWorker& second = stage.connecting(2);
    CHECK(second.spec.argv.at(2) == "other");
    CHECK(stage.refused("app.gone").reason == ipc::Refusal::degraded);
    second.send(ipc::Ready{});
    stage.hears(stage.front(), "SIGTERM");
    CHECK(stage.refused("app.gone").reason == ipc::Refusal::unknown_task);
    CHECK(stage.status().front_recycles.at("config") == 1);
    stage.submit("app.fresh");
}

TEST_CASE("the front does not wait for an old worker's last job where its successor does",
          "[pool][front]") {
    CodeStage stage;
    const JobId first = stage.submit();
    const JobId last = stage.submit();
    stage.job(stage.worker(1, 1));
    stage.job(stage.worker(2, 1));
    stage.done(stage.worker(1, 1), first);
    stage.reload();
    stage.ready(1, 2);
    stage.retires(stage.worker(1, 1));
    stage.ready(2, 2);
    stage.consumes(2);
    stage.done(stage.worker(2, 1), last);
}

TEST_CASE("new code that workers cannot import does not reach the front", "[pool][front]") {
    CodeStage stage;
    stage.settings.restart.burst = 1;
    stage.reload();
    FakeWorker& failed = stage.worker(1, 2);
    failed.exit(1);
    stage.gone(failed);
    stage.pass(1min);
    CHECK_FALSE(stage.has_front(2));
    CHECK(stage.row(stage.front()).state == "ready");
}

TEST_CASE("where workers are spawned, the front follows those that replace all of them",
          "[pool][front]") {
    CodeStage stage;
    SECTION("which were asked for") {
        CHECK(stage.pool().recycle(std::nullopt).value() == 2);
        stage.pass(1s);
        CHECK_FALSE(stage.has_front(2));
        stage.ready(1, 2);
        stage.retires(stage.worker(1, 1));
        stage.ready(2, 2);
        stage.consumes(2);
        CHECK(stage.status().recycles == std::map<std::string, std::uint64_t>{{"requested", 2}});
    }
    SECTION("but not a single one") {
        CHECK(stage.pool().recycle(1).value() == 1);
        stage.ready(1, 2);
        stage.pass(1min);
        CHECK_FALSE(stage.has_front(2));
    }
}
