#include <filesystem>

#include "tests/unit/pool/stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

Cause cause_of(const Listener::End& end) {
    return std::get<ipc::Loss>(*ipc::decode_report(end.report)).cause;
}

/// One worker busy with a job, one idle.
struct BusyStage : Stage {
    BusyStage() : Stage(2) {
        settings.grace = 10s;
        start_ready();
        says(busy(), "up");
        running = submit("app.retry");
        job(busy());
    }
    FakeWorker& busy() { return worker(1, 1); }
    FakeWorker& idle() { return worker(2, 1); }
    bool ends() {
        return pass_until(1s, [&] { return ended(); });
    }
    JobId running = 0;
};

}  // namespace

TEST_CASE("a drain lets the running job finish and the idle worker go at once", "[pool][drain]") {
    BusyStage stage;
    stage.pool().stop();
    CHECK(stage.status().state == "stopping");
    stage.retires(stage.idle());
    stage.pass(5s);
    CHECK(stage.hears_nothing(stage.busy()));
    CHECK_FALSE(stage.ended());
    stage.done(stage.busy(), stage.running);
    CHECK(stage.end_of(stage.running).state == JobState::done);
    stage.retires(stage.busy());
    CHECK(stage.ends());
    CHECK(stage.host().workers.size() == 2);
    CHECK(stage.status().restarts.empty());
}

TEST_CASE("a drain loses what is queued, each job once, and takes no more", "[pool][drain]") {
    Stage stage;
    stage.start_ready();
    const JobId running = stage.submit();
    stage.job(stage.worker(1, 1));
    const JobId queued = stage.submit("app.retry");
    stage.pool().stop();
    CHECK(stage.end_of(queued).state == JobState::lost);
    CHECK(cause_of(stage.end_of(queued)) == Cause::shutdown);
    CHECK(stage.end_of(queued).attempts == 0);
    CHECK(stage.refused().reason == ipc::Refusal::stopping);
    stage.done(stage.worker(1, 1), running);
    CHECK(stage.end_of(running).state == JobState::done);
    stage.pool().stop();  // a second time changes nothing
    CHECK(stage.end_of(queued).attempts == 0);
}

TEST_CASE("a job that fails during a drain is not tried again", "[pool][drain]") {
    BusyStage stage;
    stage.pool().stop();
    stage.failed(stage.busy(), stage.running);
    CHECK(stage.end_of(stage.running).state == JobState::failed);
}

TEST_CASE("when the grace is over a job is interrupted, and two seconds later killed",
          "[pool][drain]") {
    BusyStage stage;
    stage.pool().stop();
    stage.retires(stage.idle());
    stage.pass(9900ms);
    CHECK(stage.hears_nothing(stage.busy()));
    CHECK_FALSE(stage.busy().killed);
    stage.pass(200ms);
    stage.says(stage.busy(), "SIGINT");
    SECTION("it ends on the interrupt") {
        stage.failed(stage.busy(), stage.running);
        stage.retires(stage.busy());
        CHECK(stage.end_of(stage.running).state == JobState::failed);
    }
    SECTION("it does not") {
        stage.pass(1800ms);
        CHECK_FALSE(stage.busy().killed);
        stage.pass(200ms);
        CHECK(stage.busy().killed);
        CHECK(stage.end_of(stage.running).state == JobState::lost);
        CHECK(cause_of(stage.end_of(stage.running)) == Cause::shutdown);
        CHECK(stage.end_of(stage.running).attempts == 1);
    }
    CHECK(stage.ends());
}

TEST_CASE("a second order to stop ends the grace", "[pool][drain]") {
    BusyStage stage;
    stage.pool().stop();
    stage.pool().hurry();
    stage.pass(100ms);
    stage.says(stage.busy(), "SIGINT");
    stage.pass(2100ms);
    CHECK(stage.busy().killed);
}

TEST_CASE("a job that was not begun is lost by the shutdown, as no attempt", "[pool][drain]") {
    Stage stage;
    stage.settings.grace = 1s;
    stage.start_ready();
    const JobId id = stage.submit("app.retry");  // its worker never reads it
    stage.pool().stop();
    stage.pass(4s);
    CHECK(stage.worker(1, 1).killed);
    CHECK(stage.end_of(id).state == JobState::lost);
    CHECK(cause_of(stage.end_of(id)) == Cause::shutdown);
    CHECK(stage.end_of(id).attempts == 0);
}

TEST_CASE("a worker that is still starting is not waited for", "[pool][drain]") {
    Stage stage;
    stage.start();
    FakeWorker& worker = stage.worker(1, 1);
    stage.pool().stop();
    CHECK(worker.killed);
    stage.gone(worker);
    CHECK(stage.pass_until(1s, [&] { return stage.ended(); }));
    CHECK(stage.status().restarts.empty());
}

TEST_CASE("a worker that is being launched at the stop is not left behind", "[pool][drain]") {
    Stage stage;
    stage.start();
    stage.pool().stop();  // its process is not there yet
    stage.until("the end of its launch", [&] { return stage.host().workers.at(0).launched(); });
    stage.until("its end", [&] { return stage.status().workers.empty(); });
    CHECK(stage.host().workers[0].killed);
    CHECK(stage.pass_until(1s, [&] { return stage.ended(); }));
}

TEST_CASE("a worker that does not go when it is retired is killed", "[pool][drain]") {
    Stage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    stage.pool().recycle(1).value();
    stage.ready(1, 2);
    stage.pass(9900ms);
    CHECK_FALSE(worker.killed);
    stage.pass(300ms);
    CHECK(worker.killed);
    stage.gone(worker);
    CHECK(stage.status().recycles["requested"] == 1);
    CHECK(stage.status().restarts.empty());
    stage.does_a_job(stage.worker(1, 2));
}

TEST_CASE("a pool that nobody uses ends at once", "[pool][drain]") {
    Stage stage;
    stage.start_ready();
    stage.pool().stop();
    stage.retires(stage.worker(1, 1));
    CHECK(stage.pass_until(1s, [&] { return stage.ended(); }));
    CHECK_FALSE(std::filesystem::exists(stage.runtime_dir() + "/p.sock"));
}
