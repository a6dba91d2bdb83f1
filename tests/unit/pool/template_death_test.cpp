#include <sys/wait.h>

#include <csignal>
#include <utility>

#include "supervisor/process/orphans.hpp"
#include "tests/unit/pool/template_stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t mebi = 1 << 20;
/// restart.period: a template that has served so long is in no loop.
constexpr Duration settled = 60s;

}  // namespace

TEST_CASE("when a template dies its forks fail, its workers live on, and another takes its place",
          "[pool][template]") {
    TemplateStage stage(3);
    stage.settings.restart.backoff_first = 10s;
    stage.start();
    FakeWorker& parent = stage.imports(1);
    FakeWorker& worker = stage.forks_ready(parent);
    stage.asked(parent);  // one fork is being made, one waits in the channel
    stage.dies(parent, SIGKILL);
    stage.until("the end of two forks",
                [&] { return stage.logged("worker.not_started").size() == 2; });
    CHECK(stage.logged("worker.not_started")[0].fields.at("detail") ==
          "fork a worker: the template has gone");
    CHECK(stage.logged("worker.not_started")[0].fields.at("reason") == "launch");
    CHECK(stage.logged("worker.died").empty());
    CHECK(stage.status().restarts.empty());
    CHECK(stage.logged("template.died").at(0).fields.at("forks") == "1");
    CHECK(stage.logged("template.died").at(0).fields.at("workers") == "3");
    stage.does_a_job(worker);
    CHECK(stage.row(1).state == "gone");
    CHECK(stage.row(1).pid == 0);
    CHECK(stage.row(1).workers == 1);
    CHECK_THAT(stage.status().advice, ContainsSubstring("its template died: signal 9 (SIGKILL)"));

    stage.pass(7400ms);
    CHECK_FALSE(stage.has_template(2));
    stage.pass(5200ms);
    FakeWorker& next = stage.imports(2);
    CHECK(stage.status().advice.empty());
    REQUIRE(stage.pass_until(20s, [&] { return stage.has(2, 2) && stage.has(3, 2); }));
    CHECK(stage.forks_all(next) == 2);
    CHECK(stage.status().generation == 2);
    CHECK(stage.status().template_forks == 3);
    CHECK(stage.status().workers.at(0).generation == 1);  // not rolled over: nothing has changed
    CHECK(stage.status().workers.at(1).generation == 2);
    stage.pass(30s);
    CHECK(stage.state(worker) == "idle");

    stage.pool().recycle(1).value();
    stage.forks_ready(next);
    stage.retires(worker);
    stage.pass(1s);
    CHECK(stage.row(1).state.empty());  // forgotten with its last worker
    CHECK(stage.status().template_forks == 4);
}

TEST_CASE("an answer that was on its way when the template died counts", "[pool][template]") {
    TemplateStage stage;
    stage.start();
    FakeWorker& parent = stage.imports(1);
    const bool read = GENERATE(true, false);
    FakeWorker& worker = read ? stage.forks(parent) : stage.forks_unread(parent);
    parent.hang_up();
    parent.signal(SIGKILL);
    stage.gone(parent);
    stage.gets_ready(worker);
    stage.does_a_job(worker);
    CHECK(stage.logged("worker.died").empty());
}

TEST_CASE("all that a template had said before it died counts", "[pool][template]") {
    TemplateStage stage;
    stage.start();
    FakeWorker& parent = stage.imports(1);
    FakeWorker& child = stage.forks_silently(parent);
    for (int i = 0; i < 100; ++i) {
        parent.send(ipc::Pong{});  // more than is read in a turn
    }
    stage.answers(parent, child);
    parent.hang_up();
    parent.signal(SIGKILL);
    siginfo_t info{};  // its death is there to be seen before the first frame is read
    REQUIRE(::waitid(P_PID, static_cast<id_t>(parent.pid), &info, WEXITED | WNOWAIT) == 0);
    stage.gone(parent);
    stage.gets_ready(child);
    CHECK(stage.logged("worker.died").empty());
}

TEST_CASE("a fork that has died before its template's answer is read has its exit status",
          "[pool][template]") {
    TemplateStage stage;
    stage.start();
    FakeWorker& parent = stage.imports(1);
    FakeWorker& worker = stage.forks_unread(parent);
    worker.exit(7);
    stage.gone(worker);
    REQUIRE_FALSE(stage.logged("worker.died").empty());
    CHECK(stage.logged("worker.died")[0].fields.at("detail") == "exit code 7");
}

TEST_CASE("a fork that its template has not told of yet is no orphan, unless that template dies",
          "[pool][template]") {
    TemplateStage stage;
    stage.start();
    FakeWorker& parent = stage.imports(1);
    FakeWorker& child = stage.forks_silently(parent);
    const auto reap = [&] {
        return reap_orphans([&](pid_t pid) { return stage.pool().owns(pid); });
    };
    CHECK_FALSE(stage.pool().owns(child.pid));
    CHECK(reap() == 0);
    SECTION("it tells") {
        stage.answers(parent, child);
        stage.gets_ready(child);
        CHECK(stage.pool().owns(child.pid));
        CHECK(stage.pool().owns(parent.pid));
        CHECK(reap() == 0);
        stage.does_a_job(child);
    }
    SECTION("it dies") {
        stage.dies(parent, SIGKILL);
        stage.until("the fork to be reaped", [&] { return reap() == 1; });
    }
}

TEST_CASE("a template's death is one death for the breaker, however many forks waited for it",
          "[pool][template]") {
    TemplateStage stage(12);
    stage.settings.restart.burst = 2;
    stage.start();
    stage.dies(stage.imports(1), SIGKILL);
    stage.until("the end of all forks",
                [&] { return stage.logged("worker.not_started").size() == 12; });
    CHECK(stage.status().state == "starting");
    CHECK_THAT(stage.status().advice, ContainsSubstring("its template died: signal 9 (SIGKILL)"));
    REQUIRE(stage.pass_until(1s, [&] { return stage.has_template(2); }));
    stage.dies(stage.imports(2), SIGKILL);
    CHECK(stage.status().state == "degraded");
    CHECK_THAT(stage.status().advice, ContainsSubstring("its template died: signal 9 (SIGKILL)"));
    stage.pass(60s);
    CHECK_FALSE(stage.has_template(3));
}

TEST_CASE("a template that dies soon each time is started more and more rarely",
          "[pool][template]") {
    TemplateStage stage(2);
    stage.settings.restart.backoff_first = 10s;
    stage.settings.restart.backoff_most = 1000s;
    stage.start();
    FakeWorker& first = stage.imports(1);
    FakeWorker& worker = stage.forks_ready(first);
    FakeWorker* other = &stage.forks_ready(first);
    stage.dies(first, SIGKILL);
    const bool forks = GENERATE(true, false);  // that it does says nothing: a timer may end it
    unsigned generation = 2;
    for (const Duration wait : {10s, 20s, 40s}) {
        stage.does_a_job(worker);  // which keeps the breaker from tripping
        stage.pass(wait * 74 / 100);
        CHECK_FALSE(stage.has_template(generation));
        stage.pass(wait * 53 / 100);
        FakeWorker& parent = stage.imports(generation++);
        if (forks) {
            stage.pool().recycle(2).value();
            FakeWorker& successor = stage.forks_ready(parent);
            stage.retires(*std::exchange(other, &successor));
        }
        stage.dies(parent, SIGKILL);
    }
    CHECK(stage.status().state == "running");

    REQUIRE(stage.pass_until(200s, [&] { return stage.has_template(generation); }));
    FakeWorker& last = stage.imports(generation++);
    stage.pass(settled);
    stage.dies(last, SIGKILL);
    stage.pass(12700ms);
    CHECK(stage.has_template(generation));
}

TEST_CASE("jobs that are done keep a template's deaths from tripping the breaker",
          "[pool][template]") {
    TemplateStage stage;
    stage.settings.restart.burst = 2;
    stage.start_forked();
    for (unsigned generation = 1; generation <= 4; ++generation) {
        stage.does_a_job(stage.worker(1, 1));
        REQUIRE(stage.pass_until(5s, [&] { return stage.has_template(generation); }));
        stage.dies(generation == 1 ? *stage.host().find("template.1") : stage.imports(generation),
                   SIGKILL);
    }
    CHECK(stage.status().state == "running");
}

TEST_CASE("a template that leaks is replaced, and its workers stay", "[pool][template]") {
    TemplateStage stage;
    stage.host().fresh_template = {300 * mebi, 200 * mebi};
    FakeWorker& parent = stage.start_forked();
    FakeWorker& worker = stage.worker(1, 1);
    parent.memory.private_bytes = 300 * mebi;  // a half more
    stage.pass(10s);
    CHECK_FALSE(stage.has_template(2));
    parent.memory.private_bytes += 1;
    stage.pass(200ms);
    CHECK(stage.logged("template.leaks").size() == 1);
    stage.launched(2);
    stage.dies(worker, SIGKILL);
    REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 2); }));
    FakeWorker& second = stage.forks_ready(parent);  // it serves until then
    FakeWorker& next = stage.imports(2);
    stage.pass(10s);
    CHECK(stage.state(second) == "idle");
    CHECK(stage.hears_nothing(parent));
    CHECK(stage.hears_nothing(next));  // nobody rolls over
    stage.pool().recycle(1).value();
    stage.forks_ready(next);
    stage.retires(second);
    stage.retires(parent);
    CHECK(stage.logged("template.leaks").size() == 1);
    CHECK(stage.status().recycles == std::map<std::string, std::uint64_t>{{"requested", 1}});
}

TEST_CASE(
    "where the successor of a template that leaks fails, it serves on, and the next one waits",
    "[pool][template]") {
    TemplateStage stage;
    stage.settings.restart.backoff_most = 40s;
    FakeWorker& parent = stage.start_forked();
    parent.memory.private_bytes = 100 * mebi;
    stage.pass(200ms);
    stage.fails_to_import(2, "no module named app");
    stage.does_a_job(stage.worker(1, 1));
    stage.pass(39s);
    CHECK_FALSE(stage.has_template(3));
    CHECK(stage.state(parent) == "ready");
    stage.pass(2s);
    CHECK(stage.has_template(3));
}

TEST_CASE("a small template is no leak before it has grown by 64 MiB", "[pool][template]") {
    TemplateStage stage;
    stage.host().fresh_template = {30 * mebi, 20 * mebi};
    FakeWorker& parent = stage.start_forked();
    parent.memory.private_bytes = 84 * mebi;
    stage.pass(10s);
    CHECK_FALSE(stage.has_template(2));
    parent.memory.private_bytes += 1;
    stage.pass(200ms);
    CHECK(stage.has_template(2));
}

TEST_CASE("the template counts in the pool's budget", "[pool][template]") {
    TemplateStage stage(2);
    stage.host().fresh = {50 * mebi, 10 * mebi};
    stage.host().fresh_template = {100 * mebi, 80 * mebi};
    stage.settings.memory.budget = GENERATE(100 * mebi, 99 * mebi);
    stage.start();
    FakeWorker& parent = stage.imports(1);
    stage.forks_ready(parent);
    stage.turn();
    CHECK(stage.has(2, 1) == (stage.settings.memory.budget == 100 * mebi));
}

TEST_CASE("a stop ends a template in whatever state it is", "[pool][template][drain]") {
    TemplateStage stage;
    stage.start();
    const auto ends = [&](Duration most) {
        return stage.pass_until(most, [&] { return stage.ended(); });
    };
    SECTION("being launched") {
        stage.pool().stop();
        stage.until("its end", [&] { return stage.has_ended(1); });
        CHECK(stage.host().workers.at(0).killed);
    }
    SECTION("starting") {
        FakeWorker& parent = stage.launched(1);
        stage.pool().stop();
        CHECK(parent.killed);
        stage.gone(parent);
    }
    SECTION("forking") {
        FakeWorker& parent = stage.imports(1);
        stage.turn();
        stage.pool().stop();
        FakeWorker& worker = stage.forks_unread(parent);
        stage.gone(worker);
        CHECK(worker.killed);
        stage.retires(parent);
    }
    SECTION("forking, and hanging in it") {
        FakeWorker& parent = stage.imports(1);
        stage.asked(parent);
        stage.pool().stop();
        stage.pass(1900ms);
        CHECK_FALSE(parent.killed);
        stage.pass(300ms);
        CHECK(parent.killed);
        stage.gone(parent);
    }
    SECTION("ready, with a worker that is starting") {
        FakeWorker& parent = stage.imports(1);
        FakeWorker& worker = stage.forks(parent);
        stage.pool().stop();
        stage.gone(worker);
        stage.retires(parent);
    }
    SECTION("ready, with a worker that is busy") {
        FakeWorker& parent = stage.imports(1);
        FakeWorker& worker = stage.forks_ready(parent);
        const JobId id = stage.submit();
        stage.job(worker);
        stage.pool().stop();
        stage.retires(parent);  // it has no use any more
        stage.done(worker, id);
        stage.retires(worker);
    }
    SECTION("retiring") {
        FakeWorker& parent = stage.imports(1, {"2 threads"});  // falls back to spawning
        FakeWorker& worker = stage.ready(1, 1);
        stage.pool().stop();
        stage.retires(worker);
        CHECK_FALSE(ends(1s));
        stage.retires(parent);
    }
    SECTION("importing anew, beside one that serves") {
        FakeWorker& parent = stage.imports(1);
        FakeWorker& worker = stage.forks_ready(parent);
        stage.pool().renew_template().value();
        FakeWorker& next = stage.launched(2);
        stage.pool().stop();
        stage.gone(next);
        stage.retires(parent);
        stage.retires(worker);
    }
    SECTION("waiting to be started again") {
        stage.fails_to_import(1, "no");
        stage.pool().stop();
    }
    CHECK(ends(1s));
    CHECK(stage.status().workers.empty());
    CHECK(stage.status().restarts.empty());
    for (const FakeWorker& each : stage.host().workers) {
        CHECK(each.leaf_removed);
    }
}

TEST_CASE("a template that stays at a stop is not given the workers' grace",
          "[pool][template][drain]") {
    TemplateStage stage;
    stage.settings.grace = 1s;
    FakeWorker& parent = stage.start_forked();
    stage.pool().stop();
    stage.pass(1900ms);
    CHECK_FALSE(parent.killed);
    stage.pass(200ms);
    CHECK(parent.killed);
    CHECK_FALSE(stage.worker(1, 1).killed);
    stage.pass(1s);
    CHECK(stage.worker(1, 1).killed);
}

TEST_CASE("forks that wait for their turn fail at a stop, and hold nothing up",
          "[pool][template][drain]") {
    TemplateStage stage(10);
    stage.start();
    FakeWorker& parent = stage.imports(1);
    for (int i = 0; i < 8; ++i) {
        stage.asked(parent);
    }
    stage.pool().stop();
    stage.until("the end of the two that waited",
                [&] { return stage.logged("worker.gone").size() == 2; });
    CHECK(std::holds_alternative<ipc::Retire>(stage.next(parent)));
    parent.exit(0);
    stage.gone(parent);
    CHECK(stage.pass_until(1s, [&] { return stage.ended(); }));
    CHECK(stage.host().workers.size() == 11);
}
