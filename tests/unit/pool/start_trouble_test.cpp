#include <cerrno>
#include <csignal>

#include "tests/unit/pool/template_stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* no_more = "EAGAIN: Resource temporarily unavailable";

}  // namespace

TEST_CASE("forks that the machine is too short for are told, back off, and are no deaths",
          "[pool][template][trouble]") {
    TemplateStage stage(2);
    stage.settings.restart.burst = 2;
    stage.settings.restart.backoff_first = 1s;
    stage.settings.restart.backoff_most = 8s;
    FakeWorker& parent = stage.start_forked();
    FakeWorker& other = stage.worker(2, 1);
    stage.dies(stage.worker(1, 1), SIGKILL);
    for (int i = 0; i < 6; ++i) {
        REQUIRE(stage.pass_until(10s, [&] { return stage.has(1, static_cast<unsigned>(i) + 2); }));
        stage.fails_to_fork(parent, no_more);
    }
    CHECK(stage.status().state == "running");
    CHECK_THAT(stage.status().advice,
               ContainsSubstring("pool p cannot start workers: fork a worker: Resource temporarily "
                                 "unavailable (a limit of processes is reached: pids.max"));
    CHECK_THAT(stage.status().advice, ContainsSubstring("; the next attempt is within "));
    CHECK(stage.status().restarts == std::map<std::string, std::uint64_t>{{"signal", 1}});
    CHECK(stage.logged("worker.died").size() == 1);
    CHECK(stage.logged("worker.not_started").size() == 6);
    stage.pass(5900ms);  // 75 % of backoff_most, at least
    CHECK(stage.hears_nothing(parent));
    stage.does_a_job(other);

    REQUIRE(stage.pass_until(10s, [&] { return stage.has(1, 8); }));
    CHECK_THAT(stage.status().advice, !ContainsSubstring("the next attempt"));  // it is under way
    stage.forks_ready(parent);
    CHECK(stage.status().advice.empty());
}

TEST_CASE("launches that the machine is too short for are told, back off, and are no deaths",
          "[pool][trouble]") {
    Stage stage;
    stage.settings.restart.burst = 2;
    stage.start_ready();
    stage.host().launch_failure = "/usr/bin/python3";
    stage.host().launch_error = EAGAIN;
    stage.dies(stage.worker(1, 1), SIGKILL);
    const JobId id = stage.submit();
    REQUIRE(stage.pass_until(60s, [&] { return stage.host().failed_launches == 6; }));
    CHECK(stage.status().state == "running");
    CHECK_THAT(stage.status().advice,
               ContainsSubstring("Resource temporarily unavailable (a limit of processes"));
    CHECK_THAT(stage.status().advice, ContainsSubstring("; the next attempt is within "));
    stage.host().launch_failure.clear();
    REQUIRE(stage.pass_until(60s, [&] { return stage.has(1, 8); }));
    FakeWorker& worker = stage.ready(1, 8);
    CHECK(stage.status().advice.empty());
    CHECK(stage.job(worker) == id);
    stage.done(worker, id);
}

TEST_CASE("a launch failure that nobody mends is told while it does not trip the breaker, too",
          "[pool][trouble]") {
    Stage stage;
    stage.settings.restart.burst = GENERATE(0U, 100U);
    stage.start_ready();
    stage.host().launch_failure = "/usr/bin/python3";
    stage.dies(stage.worker(1, 1), SIGKILL);
    REQUIRE(stage.pass_until(60s, [&] { return stage.host().failed_launches == 3; }));
    CHECK_THAT(stage.status().advice,
               ContainsSubstring("pool p cannot start workers: exec /usr/bin/python3: No such file "
                                 "or directory; the next attempt is within 1 s"));
    stage.pool().scale(0).value();
    CHECK(stage.status().advice.empty());  // none is wanted
}

TEST_CASE("a worker that does not become ready is told, though others work", "[pool][trouble]") {
    Stage stage(2);
    stage.start_ready();
    stage.dies(stage.worker(1, 1), SIGKILL);
    REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 2); }));
    stage.worker(1, 2).exit(3);
    stage.gone(stage.worker(1, 2));
    CHECK_THAT(stage.status().advice, ContainsSubstring("cannot start workers: exit code 3; the"));
    stage.does_a_job(stage.worker(2, 1));
    REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 3); }));
    stage.ready(1, 3);
    CHECK(stage.status().advice.empty());
}

TEST_CASE("a failed fork of another kind trips the breaker as a death does",
          "[pool][template][trouble]") {
    TemplateStage stage;
    stage.settings.restart.burst = 2;
    stage.start();
    FakeWorker& parent = stage.imports(1);
    stage.fails_to_fork(parent, "EPERM: Operation not permitted");
    REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 2); }));
    stage.fails_to_fork(parent, "EPERM: Operation not permitted");
    CHECK(stage.status().state == "degraded");
    CHECK_THAT(stage.status().advice,
               ContainsSubstring("the last: fork a worker: EPERM: Operation not permitted"));
    CHECK(stage.status().restarts.empty());
}

TEST_CASE("a template that the machine is too short for does not trip the breaker",
          "[pool][template][trouble]") {
    TemplateStage stage;
    stage.settings.restart.burst = 2;
    stage.host().launch_failure = "/usr/bin/python3";
    stage.host().launch_error = ENOMEM;
    stage.start();
    REQUIRE(stage.pass_until(60s, [&] { return stage.host().failed_launches == 5; }));
    CHECK(stage.status().state == "starting");
    CHECK_THAT(stage.status().advice, ContainsSubstring("Cannot allocate memory (memory is short"));
    CHECK_THAT(stage.status().advice, ContainsSubstring("; the next attempt is within "));
    stage.host().launch_failure.clear();
    REQUIRE(stage.pass_until(60s, [&] { return stage.has_template(6); }));
    stage.does_a_job(stage.forks_ready(stage.imports(6)));
    CHECK(stage.status().advice.empty());
}
