#include <csignal>

#include "tests/unit/pool/stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

ipc::Hello hello() { return {1, 1, ipc::Role::worker, 1, "a test"}; }

std::string fact(const Explanation& explanation, const std::string& name) {
    for (const auto& [key, value] : explanation.facts) {
        if (key == name) {
            return value;
        }
    }
    return "";
}

}  // namespace

TEST_CASE("a worker is launched, welcomed, given a job, and its answer is the job's end",
          "[pool][life]") {
    Stage stage;
    stage.start();
    CHECK(stage.status().state == "starting");
    CHECK(stage.refused().reason == ipc::Refusal::degraded);
    FakeWorker& worker = stage.worker(1, 1);
    CHECK(stage.state(worker) == "starting");
    CHECK(worker.spec.argv[0] == "/usr/bin/python3");
    worker.get_ready(stage.tasks);
    const ipc::Message message = stage.next(worker);
    const auto& welcome = std::get<ipc::Welcome>(message);
    CHECK(welcome.slot == 1);
    CHECK(welcome.incarnation == 1);
    CHECK(welcome.pool == "p");
    CHECK(welcome.descriptor);
    stage.until("ready", [&] { return stage.state(worker) == "idle"; });
    CHECK(stage.status().state == "running");

    const JobId id = stage.submit();
    CHECK(stage.job(worker) == id);
    CHECK(stage.state(worker) == "busy");
    CHECK(stage.status().jobs.running == 1);
    CHECK(stage.status().workers.at(0).task == "app.work");
    CHECK(stage.status().workers.at(0).job_id == id);
    stage.done(worker, id);
    CHECK(stage.end_of(id).state == JobState::done);
    CHECK(stage.state(worker) == "idle");
    CHECK(stage.status().jobs.done == 1);
    CHECK(stage.status().workers.at(0).jobs_done == 1);
}

TEST_CASE("jobs go to idle workers in their order, higher priorities first", "[pool][life]") {
    Stage stage(2);
    stage.start_ready();
    stage.submit();
    stage.submit();
    stage.submit();
    const JobId behind = stage.submit();
    CHECK(stage.job(stage.worker(1, 1)) == 1);
    CHECK(stage.job(stage.worker(2, 1)) == 2);
    stage.done(stage.worker(2, 1), 2);
    CHECK(stage.job(stage.worker(2, 1)) == 3);
    stage.done(stage.worker(1, 1), 1);
    CHECK(stage.job(stage.worker(1, 1)) == behind);
}

TEST_CASE("what a worker writes is in the log with its pool, slot and pid", "[pool][life]") {
    Stage stage;
    stage.start();
    FakeWorker& worker = stage.worker(1, 1);
    stage.says(worker, "up");
    const LogLine line = stage.logged("worker.output").at(0);
    CHECK(line.fields.at("pool") == "p");
    CHECK(line.fields.at("slot") == "1");
    CHECK(line.fields.at("stream") == "stdout");
}

TEST_CASE("a worker that cannot start says why in status, and is tried again", "[pool][life]") {
    Stage stage;
    std::string why;
    SECTION("it says so itself") {
        stage.start();
        FakeWorker& worker = stage.worker(1, 1);
        worker.send(hello());
        stage.next(worker);
        worker.send(ipc::StartFailed{"ImportError", "no module named app"});
        worker.exit(1);
        stage.gone(worker);
        why = "start failed: ImportError: no module named app";
    }
    SECTION("its program is not there") {
        stage.host().launch_failure = "/nowhere/python";
        stage.start();
        stage.until("the failure", [&] { return !stage.status().advice.empty(); });
        why = "exec /nowhere/python: No such file or directory";
        stage.host().launch_failure = "";
    }
    SECTION("it takes too long") {
        stage.settings.start_timeout = 2s;
        stage.start();
        FakeWorker& worker = stage.worker(1, 1);
        stage.pass(2s);
        CHECK_FALSE(worker.killed);
        stage.pass(200ms);
        CHECK(worker.killed);
        stage.gone(worker);
        why = "not ready 2000 ms after its launch (start_timeout)";
    }
    CHECK_THAT(stage.status().advice, ContainsSubstring(why));
    CHECK(stage.status().state == "starting");
    CHECK(stage.status().restarts["exit"] == (stage.host().failed_launches == 0 ? 1 : 0));
    REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 2); }));
    stage.does_a_job(stage.ready(1, 2));
    CHECK(stage.status().advice == "");
}

TEST_CASE("a worker that breaks the protocol is killed, and the log says what it did",
          "[pool][life]") {
    Stage stage;
    stage.start();
    FakeWorker& worker = stage.worker(1, 1);
    std::string what;
    SECTION("another version") {
        worker.send(ipc::Hello{2, 3, ipc::Role::worker, 1, "a test"});
        what = "its package supervise speaks another version of the protocol";
    }
    SECTION("READY without tasks") {
        worker.send(hello());
        worker.send(ipc::Ready{});
        what = "a message that has no place there came over its channel";
    }
    SECTION("rubbish on descriptor 3") {
        worker.send_bytes("hello world");
        what = "begins with 104, not with 83";
    }
    SECTION("an answer for a job that it does not have") {
        worker.get_ready(stage.tasks);
        const std::string report = done_report();
        worker.send(ipc::Done{7, report, false});
        what = "it answered for job 7, which it does not have";
    }
    stage.until("its end", [&] { return worker.killed; });
    stage.gone(worker);
    const LogLine line = stage.logged("worker.protocol_error").at(0);
    CHECK(line.level == LogLevel::error);
    CHECK_THAT(line.fields.at("error"), ContainsSubstring(what));
    CHECK(stage.status().restarts["exit"] == 1);
}

TEST_CASE("a worker's PING is answered", "[pool][life]") {
    Stage stage;
    stage.start_ready();
    stage.worker(1, 1).send(ipc::Ping{42});
    const ipc::Message message = stage.next(stage.worker(1, 1));
    CHECK(std::get<ipc::Pong>(message).token == 42);
}

TEST_CASE("why a job ended is told with all its attempts and their evidence", "[pool][life]") {
    Stage stage;
    stage.start_ready();
    CHECK_FALSE(stage.pool().why_job(1));
    const JobId id = stage.submit("app.retry");
    stage.job(stage.worker(1, 1));
    CHECK(stage.pool().why_job(id)->verdict == "running");
    stage.dies(stage.worker(1, 1), SIGSEGV);
    CHECK(stage.pool().why_job(id)->verdict == "queued");
    REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 2); }));
    FakeWorker& second = stage.ready(1, 2);
    stage.job(second);
    stage.done(second, id);
    const Explanation why = stage.pool().why_job(id).value();
    CHECK(why.subject == "job 1");
    CHECK(why.verdict == "done");
    CHECK(fact(why, "task") == "app.retry");
    REQUIRE(why.history.size() == 2);
    CHECK(why.history[0].subject == "attempt 1");
    CHECK(why.history[0].verdict == "lost: signal");
    CHECK_THAT(fact(why.history[0], "evidence"), ContainsSubstring("signal 11 (SIGSEGV)"));
    CHECK(why.history[1].verdict == "done");
    CHECK_THAT(fact(why.history[1], "worker"), ContainsSubstring("slot 1 incarnation 2"));
}

TEST_CASE("why a worker ended is told for its slot, the last life first", "[pool][life]") {
    Stage stage;
    stage.start_ready();
    stage.submit();
    stage.job(stage.worker(1, 1));
    stage.dies(stage.worker(1, 1), SIGSEGV);
    REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 2); }));
    stage.ready(1, 2);
    stage.pool().recycle(1).value();
    stage.ready(1, 3);
    stage.retires(stage.worker(1, 2));
    const Explanation why = stage.pool().why_worker(1).value();
    CHECK_THAT(why.subject, ContainsSubstring("worker p/1 incarnation 3"));
    CHECK(why.verdict == "is idle");
    REQUIRE(why.history.size() == 2);
    CHECK(why.history[0].verdict == "recycled: requested");
    CHECK(why.history[1].verdict == "died: signal");
    CHECK(fact(why.history[1], "job") == "1 app.work");
    CHECK(stage.pool().why_worker(2).error().code == "unknown_slot");
}
