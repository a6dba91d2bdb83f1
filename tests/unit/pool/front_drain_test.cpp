#include <csignal>

#include "tests/unit/pool/front_stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

/// A front, and a worker busy with a task.
struct DrainStage : FrontStage {
    DrainStage() {
        settings.grace = 10s;
        start_served();
        running = submit();
        job(busy());
        pool().stop();
        hears(front(), "SIGTERM");
    }
    FakeWorker& busy() { return worker(1, 1); }
    FakeWorker& front() { return *host().find("front.1"); }
    bool all_ended() {
        return pass_until(1s, [&] { return ended(); });
    }
    JobId running = 0;
};

}  // namespace

TEST_CASE("a drain stops the front first, and the workers when it has gone", "[pool][front]") {
    DrainStage stage;
    CHECK(stage.status().state == "stopping");
    CHECK(stage.refused().reason == ipc::Refusal::stopping);
    stage.done(stage.busy(), stage.running);
    stage.pass(1s);
    CHECK(stage.hears_nothing(stage.busy()));
    stage.ends(stage.front());
    stage.pass(100ms);
    stage.retires(stage.busy());
    CHECK(stage.all_ended());
    CHECK_FALSE(stage.has_front(2));
}

TEST_CASE("what the front has handed in before a drain is still run", "[pool][front]") {
    FrontStage stage;
    FakeWorker& front = stage.start_served();
    FakeWorker& worker = stage.worker(1, 1);
    const JobId running = stage.submit();
    stage.job(worker);
    const JobId queued = stage.submit();
    stage.pool().stop();
    stage.done(worker, running);
    CHECK(stage.job(worker) == queued);
    stage.done(worker, queued);
    CHECK(stage.end_of(queued).state == JobState::done);
    stage.ends(front);
}

TEST_CASE("at the grace's end the front is told to hurry, and all is killed two seconds later",
          "[pool][front]") {
    DrainStage stage;
    SECTION("by itself") { stage.pass(10100ms); }
    SECTION("because of a second signal") {
        stage.pool().hurry();
        stage.pass(200ms);
    }
    stage.hears(stage.front(), "SIGQUIT");
    CHECK_FALSE(stage.busy().killed);
    stage.pass(2100ms);
    stage.until("the end", [&] {
        stage.pass(10ms);
        return stage.ended();
    });
    CHECK(stage.busy().killed);
    CHECK(stage.front().killed);
}

TEST_CASE("what no worker will take goes back to the front in a drain", "[pool][front]") {
    FrontStage stage;
    stage.settings.restart.burst = 1;
    FakeWorker& front = stage.start_served();
    JobId queued = 0;
    SECTION("since the pool is paused") {
        stage.pool().pause();
        queued = stage.submit();
        stage.pool().stop();
    }
    SECTION("since its workers die again and again") {
        const JobId killer = stage.submit();
        stage.job(stage.worker(1, 1));
        queued = stage.submit();
        stage.dies(stage.worker(1, 1), SIGKILL);
        CHECK(stage.end_of(killer).state == JobState::lost);
        CHECK(stage.status().state == "degraded");
        stage.pool().stop();
    }
    SECTION("since there is none") {
        stage.pool().scale(0).value();
        stage.retires(stage.worker(1, 1));
        queued = stage.submit();
        stage.pool().stop();
    }
    stage.pass(100ms);
    CHECK(stage.end_of(queued).state == JobState::lost);
    CHECK(stage.row(front).state == "stopping");
    stage.ends(front);
}
