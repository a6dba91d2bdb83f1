#include <csignal>

#include "tests/unit/pool/stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

TEST_CASE("a worker is launched, welcomed, given a job, and its answer is the job's end",
          "[pool][life]") {
    Stage stage;
    stage.start();
    CHECK(stage.status().state == "starting");
    FakeWorker& worker = stage.worker(1, 1);
    CHECK(stage.state(worker) == "starting");
    CHECK(worker.spec.argv[0] == "/usr/bin/python3");
    worker.get_ready(stage.tasks);
    const ipc::Message message = stage.next(worker);
    const auto& welcome = std::get<ipc::Welcome>(message);
    CHECK(welcome.slot == 1);
    CHECK(welcome.incarnation == 1);
    CHECK(welcome.pool == "p");
    stage.until("ready", [&] { return stage.state(worker) == "idle"; });
    CHECK(stage.status().state == "running");

    const JobId id = stage.submit();
    CHECK(stage.job(worker) == id);
    CHECK(stage.state(worker) == "busy");
    CHECK(stage.status().jobs.running == 1);
    stage.done(worker, id);
    CHECK(stage.end_of(id).state == JobState::done);
    CHECK(stage.state(worker) == "idle");
    CHECK(stage.status().jobs.done == 1);
}
