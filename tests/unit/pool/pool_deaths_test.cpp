#include <csignal>

#include "tests/unit/pool/stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

Cause cause_of(const Listener::End& end) {
    return std::get<ipc::Loss>(*ipc::decode_report(end.report)).cause;
}

}  // namespace

TEST_CASE("a job that was begun is lost with its worker, with the cause", "[pool][deaths]") {
    Stage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    const JobId id = stage.submit();
    stage.job(worker);
    SECTION("a signal") {
        stage.dies(worker, SIGSEGV);
        CHECK(cause_of(stage.end_of(id)) == Cause::signal);
        CHECK(stage.status().restarts["signal"] == 1);
    }
    SECTION("memory, but no limit of its own") {
        worker.events = MemoryEvents{1, 1, 0};
        stage.dies(worker, SIGKILL);
        CHECK(cause_of(stage.end_of(id)) == Cause::oom_host);
    }
    SECTION("an exit") {
        worker.exit(3);
        stage.gone(worker);
        CHECK(cause_of(stage.end_of(id)) == Cause::exit);
        CHECK_THAT(stage.end_of(id).report, ContainsSubstring("exit code 3"));
    }
    CHECK(stage.end_of(id).state == JobState::lost);
    CHECK(stage.end_of(id).attempts == 1);
    CHECK(worker.killed);  // whatever it left in its group goes with it
    const LogLine line = stage.logged("worker.died").at(0);
    CHECK(line.level == LogLevel::warning);
    CHECK(line.fields.at("job") == std::to_string(id));
    CHECK(line.fields.at("task") == "app.work");
}

TEST_CASE("a job that its worker had not begun goes back to the head of the queue",
          "[pool][deaths]") {
    Stage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    const JobId given_back = stage.submit();
    const JobId behind = stage.submit();
    const bool read = GENERATE(true, false);
    if (read) {
        stage.next(worker);  // taken off the channel, but not begun
    }
    stage.dies(worker, SIGKILL);
    CHECK(stage.status().jobs.queued == 2);
    CHECK(stage.status().attempts.lost == 0);
    REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 2); }));
    FakeWorker& fresh = stage.ready(1, 2);
    const ipc::Message message = stage.next(fresh);
    CHECK(std::get<ipc::Job>(message).id == given_back);
    CHECK(std::get<ipc::Job>(message).attempt == 1);
    stage.done(fresh, given_back);
    CHECK(stage.job(fresh) == behind);
    CHECK(stage.end_of(given_back).attempts == 1);
}

TEST_CASE("an answer that was on its way when its worker died counts", "[pool][deaths]") {
    Stage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    const JobId id = stage.submit();
    stage.job(worker);
    ipc::Done message;
    message.id = id;
    const std::string report = done_report();
    message.report = report;
    worker.send(message);
    stage.dies(worker, SIGKILL);
    CHECK(stage.end_of(id).state == JobState::done);
}

TEST_CASE("a job that kills each of its workers is dead when its retries are spent",
          "[pool][deaths]") {
    Stage stage;
    stage.start_ready();
    const JobId id = stage.submit("app.retry");
    for (unsigned attempt = 1; attempt <= 3; ++attempt) {
        REQUIRE(stage.pass_until(5s, [&] { return stage.has(1, attempt); }));
        FakeWorker& worker = attempt == 1 ? stage.worker(1, 1) : stage.ready(1, attempt);
        const ipc::Message message = stage.next(worker);
        const auto& job = std::get<ipc::Job>(message);
        CHECK(job.attempt == attempt);
        worker.begin(job);
        stage.dies(worker, SIGSEGV);
    }
    CHECK(stage.end_of(id).state == JobState::dead);
    CHECK(stage.end_of(id).attempts == 3);
    CHECK(stage.status().attempts.lost == 3);
    CHECK(stage.status().jobs.dead == 1);
}

TEST_CASE("a job does not wait for a worker whose channel has closed when another is idle",
          "[pool][deaths]") {
    Stage stage(2);
    stage.start_ready();
    stage.worker(1, 1).hang_up();
    const JobId id = stage.submit();  // before the pool has heard of it
    CHECK(stage.job(stage.worker(2, 1)) == id);
}

TEST_CASE("an empty slot waits its back-off, and each death doubles it", "[pool][deaths]") {
    Stage stage;
    stage.settings.restart.backoff_first = 10s;
    stage.settings.restart.backoff_most = 60s;
    stage.start_ready();
    stage.dies(stage.worker(1, 1), SIGKILL);
    stage.pass(7400ms);
    CHECK_FALSE(stage.has(1, 2));
    stage.pass(5200ms);
    stage.dies(stage.worker(1, 2), SIGKILL);
    stage.pass(14900ms);
    CHECK_FALSE(stage.has(1, 3));
    stage.pass(10200ms);
    stage.ready(1, 3);
}

TEST_CASE("a crash loop trips the breaker, which tells how to go on, and resume resets it",
          "[pool][deaths]") {
    Stage stage;
    stage.settings.restart.burst = 3;
    stage.start_ready();
    for (unsigned i = 1; i <= 3; ++i) {
        CHECK(stage.status().state == "running");
        REQUIRE(stage.pass_until(5s, [&] { return stage.has(1, i); }));
        stage.dies(stage.worker(1, i), SIGKILL);
    }
    stage.pass(60s);
    CHECK_FALSE(stage.has(1, 4));
    CHECK(stage.status().state == "degraded");
    CHECK_THAT(stage.status().advice, ContainsSubstring("signal 9 (SIGKILL)"));
    CHECK_THAT(stage.status().advice, ContainsSubstring("supervise resume p"));
    CHECK(stage.logged("pool.degraded").size() == 1);
    CHECK(stage.refused().reason == ipc::Refusal::degraded);
    CHECK(stage.refused().message == stage.status().advice);

    stage.pool().resume();
    CHECK(stage.status().state == "running");
    stage.does_a_job(stage.ready(1, 4));
}

TEST_CASE("jobs that are done keep the breaker from tripping", "[pool][deaths]") {
    Stage stage;
    stage.settings.restart.burst = 2;
    stage.start_ready();
    for (unsigned i = 1; i <= 5; ++i) {
        REQUIRE(stage.pass_until(5s, [&] { return stage.has(1, i); }));
        FakeWorker& worker = i == 1 ? stage.worker(1, 1) : stage.ready(1, i);
        stage.does_a_job(worker);
        stage.dies(worker, SIGKILL);
    }
    CHECK(stage.status().state == "running");
}

TEST_CASE("the soft limit is a signal, the hard one a kill", "[pool][deaths]") {
    Stage stage;
    stage.tasks[0].soft_time_limit_ms = 1000;
    stage.tasks[0].time_limit_ms = 2000;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    stage.says(worker, "up");
    const JobId id = stage.submit();
    const ipc::Message message = stage.next(worker);
    const auto& job = std::get<ipc::Job>(message);
    const auto now = static_cast<std::uint64_t>(stage.clock.now().time_since_epoch().count());
    CHECK(job.soft_deadline_ns == now + 1'000'000'000);
    CHECK(job.deadline_ns == now + 2'000'000'000);
    worker.begin(job);
    stage.pass(999ms);
    stage.pass(1ms);
    stage.says(worker, "SIGUSR1");
    SECTION("a job that ends in between is done") {
        stage.done(worker, id);
        stage.pass(5s);
        CHECK_FALSE(worker.killed);
        CHECK(stage.end_of(id).state == JobState::done);
        stage.does_a_job(worker);
    }
    SECTION("one that does not is stopped") {
        stage.pass(999ms);
        CHECK_FALSE(worker.killed);
        stage.pass(1ms);
        CHECK(worker.killed);
        CHECK(cause_of(stage.end_of(id)) == Cause::time_limit);
        CHECK_THAT(stage.end_of(id).report, ContainsSubstring("over its time limit of 2000 ms"));
        CHECK(stage.status().restarts["time_limit"] == 1);
    }
    const std::vector<LogLine> lines = stage.logged("worker.output");
    CHECK(lines.size() == 2);  // "up", and one signal
}

TEST_CASE("a pool's own limits hold for tasks that say nothing, and 0 means none",
          "[pool][deaths]") {
    Stage stage;
    stage.settings.jobs.time_limit = 1s;
    stage.settings.jobs.retries = 1;
    stage.tasks[1].time_limit_ms = 0;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    stage.submit("app.retry");
    const ipc::Message message = stage.next(worker);
    CHECK(std::get<ipc::Job>(message).deadline_ns == 0);
    stage.done(worker, 1);
    const JobId id = stage.submit("app.work");
    stage.job(worker);
    stage.pass(1s);
    CHECK(worker.killed);
    stage.gone(worker);
    CHECK(stage.status().jobs.queued == 1);  // its one retry
    CHECK(stage.listener.ends.count(id) == 0);
}

TEST_CASE("a worker that closes its channel and stays is killed after two seconds",
          "[pool][deaths]") {
    Stage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    worker.hang_up();
    stage.pass(2s);
    CHECK_FALSE(worker.killed);
    stage.pass(200ms);
    CHECK(worker.killed);
    stage.gone(worker);
    CHECK_THAT(stage.logged("worker.died").at(0).fields.at("detail"),
               ContainsSubstring("it closed its channel and stays"));
}

TEST_CASE("what stays in a dead worker's group is waited for five seconds, then told",
          "[pool][deaths]") {
    Stage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    worker.populated = true;
    stage.dies(worker, SIGKILL);
    SECTION("it goes in time") {
        stage.pass(3s);
        CHECK_FALSE(worker.leaf_removed);
        worker.populated = false;
        stage.pass(200ms);
        CHECK(worker.leaf_removed);
        CHECK(stage.logged("worker.leaf_left").empty());
    }
    SECTION("it stays") {
        stage.pass(6s);
        CHECK(stage.logged("worker.leaf_left").size() == 1);
    }
    CHECK(stage.has(1, 2));  // in any case the slot goes on
}
