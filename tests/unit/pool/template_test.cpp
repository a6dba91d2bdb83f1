#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "tests/unit/pool/template_stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

std::string path_of(const UniqueFd& descriptor) {
    return std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor.get()));
}

}  // namespace

TEST_CASE("workers come from the template after its READY, and never before", "[pool][template]") {
    TemplateStage stage(2);
    stage.start();
    FakeWorker& parent = stage.launched(1);
    CHECK(parent.spec.argv == std::vector<std::string>{"/usr/bin/python3",
                                                       "/package/supervise/_worker_main.py", "app",
                                                       "--template", "--pool", "p"});
    stage.pass(30s);
    CHECK(stage.host().workers.size() == 1);
    CHECK(stage.status().state == "starting");
    CHECK(stage.row(1).state == "starting");
    CHECK(stage.refused().reason == ipc::Refusal::degraded);

    stage.imports(1);
    FakeWorker& first = stage.forks(parent);
    CHECK(first.leaf == "1.1");
    CHECK(stage.state(first) == "starting");
    CHECK(stage.forks_ready(parent).leaf == "2.1");
    stage.gets_ready(first);
    stage.does_a_job(first);
    CHECK(stage.hears_nothing(parent));

    const PoolSnapshot status = stage.status();
    CHECK(status.state == "running");
    CHECK(status.template_forks == 2);
    REQUIRE(status.templates.size() == 1);
    CHECK(status.templates[0].state == "ready");
    CHECK(status.templates[0].pid == parent.pid);
    CHECK(status.templates[0].forks == 2);
    CHECK(status.templates[0].workers == 2);
    CHECK(status.workers[0].pid == first.pid);
    CHECK(status.workers[0].generation == 1);
    CHECK(stage.logged("template.ready").at(0).fields.at("tasks") == "2");
}

TEST_CASE("a fork gets its own channel, mark, output and cgroups", "[pool][template]") {
    TemplateStage stage;
    stage.host().has_v1_memory = GENERATE(true, false);
    const bool own_user = GENERATE(true, false);
    if (own_user) {
        stage.settings.user = "0";
    }
    stage.start();
    FakeWorker& parent = stage.imports(1);
    const ipc::Fork request = stage.asked(parent);
    CHECK(request.born == !own_user);
    CHECK(request.joins == (own_user ? 1 : 0) + (stage.host().has_v1_memory ? 1 : 0));
    std::vector<std::string> files;
    for (std::size_t i = 4; i < parent.to_fork.size(); ++i) {
        files.push_back(std::filesystem::path(path_of(parent.to_fork[i])).filename());
    }
    std::vector<std::string> expected{own_user ? "cgroup.procs" : "1.1"};
    if (stage.host().has_v1_memory) {
        expected.push_back("tasks");
    }
    CHECK(files == expected);
    for (std::size_t i = request.born ? 5 : 4; i < parent.to_fork.size(); ++i) {
        CHECK(::write(parent.to_fork[i].get(), "0", 1) == 1);
    }
    CHECK_THAT(path_of(parent.to_fork[1]), ContainsSubstring("supervise-mark"));
    CHECK(path_of(parent.to_fork[2]).starts_with("pipe:"));
    CHECK(path_of(parent.to_fork[3]).starts_with("pipe:"));
    CHECK(path_of(parent.to_fork[2]) != path_of(parent.to_fork[3]));
}

TEST_CASE("a forked worker's output, mark and exit status are the pool's, its template's too",
          "[pool][template]") {
    TemplateStage stage;
    FakeWorker& parent = stage.start_forked();
    FakeWorker& worker = stage.worker(1, 1);
    stage.says(worker, "up");
    stage.until("the template's output", [&] {
        const auto lines = stage.logged("template.output");
        return !lines.empty() && lines[0].fields.at("pid") == std::to_string(parent.pid);
    });
    const JobId begun = stage.submit();
    stage.job(worker);
    worker.exit(3);
    stage.gone(worker);
    CHECK(stage.end_of(begun).state == JobState::lost);
    CHECK_THAT(stage.end_of(begun).report, ContainsSubstring("exit code 3"));
    REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 2); }));
    FakeWorker& next = stage.forks_ready(parent);
    const JobId given_back = stage.submit();
    stage.next(next);  // read, and not begun
    stage.dies(next, SIGKILL);
    CHECK(stage.status().jobs.queued == 1);
    CHECK(stage.listener.ends.count(given_back) == 0);
}

TEST_CASE("a forked worker that greets as a launched one does is ended", "[pool][template]") {
    TemplateStage stage;
    stage.start();
    FakeWorker& worker = stage.forks(stage.imports(1));
    ipc::Hello hello;
    hello.role = ipc::Role::worker;
    worker.send(hello);
    stage.gone(worker);
    CHECK(worker.killed);
    CHECK(stage.logged("worker.protocol_error").size() == 1);
}

TEST_CASE("a template is asked for so many forks at a time only", "[pool][template]") {
    TemplateStage stage(10);
    stage.start();
    FakeWorker& parent = stage.imports(1);
    std::vector<std::uint32_t> numbers;
    for (stage.turn();;) {
        const auto message = parent.receive();
        if (!message) {
            break;
        }
        numbers.push_back(std::get<ipc::Fork>(*message).number);
    }
    CHECK(numbers.size() == 8);
    parent.send(ipc::Forked{numbers[0], 0, "no more processes"});
    CHECK(stage.asked(parent).number == numbers.back() + 1);
    CHECK(stage.hears_nothing(parent));
}

TEST_CASE("a template that says it has forked what is no child of ours is not believed",
          "[pool][template]") {
    TemplateStage stage;
    stage.start();
    FakeWorker& parent = stage.imports(1);
    const auto not_a_child = static_cast<std::uint32_t>(::getpid());
    parent.send(ipc::Forked{stage.asked(parent).number, not_a_child, {}});
    stage.until("the end of the worker",
                [&] { return !stage.logged("worker.not_started").empty(); });
    CHECK_THAT(stage.logged("worker.not_started")[0].fields.at("detail"),
               ContainsSubstring("take over the forked worker"));
}

TEST_CASE("what breaks the protocol ends the template, and not its workers", "[pool][template]") {
    TemplateStage stage;
    FakeWorker& parent = stage.start_forked();
    SECTION("an answer to no question") { parent.send(ipc::Forked{77, 1, {}}); }
    SECTION("a job's end") { parent.send(ipc::Done{1, failed_report(), false}); }
    SECTION("a second READY") { parent.send(ipc::Ready{}); }
    SECTION("no frame at all") { parent.send_bytes("?"); }
    stage.until("its kill", [&] { return parent.killed; });
    stage.pool().recycle(1).value();
    CHECK(stage.hears_nothing(parent));  // it is not asked for any more
    stage.gone(parent);
    CHECK(stage.logged("template.protocol_error").size() == 1);
    stage.does_a_job(stage.worker(1, 1));
    REQUIRE(stage.pass_until(1s, [&] { return stage.has_template(2); }));
}

TEST_CASE("a template with nothing to serve, or of another kind, does not serve",
          "[pool][template]") {
    TemplateStage stage;
    stage.start();
    FakeWorker& parent = stage.launched(1);
    ipc::Hello hello;
    hello.role = ipc::Role::template_process;
    SECTION("no task") {
        parent.send(hello);
        parent.send(ipc::Ready{});
    }
    SECTION("a worker") {
        hello.role = ipc::Role::worker;
        parent.send(hello);
    }
    SECTION("another version") {
        hello.version_min = hello.version_max = ipc::protocol_version + 1;
        parent.send(hello);
    }
    stage.gone(parent);
    CHECK(parent.killed);
    CHECK(stage.host().workers.size() == 1);
    CHECK_THAT(stage.status().advice, ContainsSubstring("its template did not start"));
}

TEST_CASE("a template that closes its channel and stays is killed", "[pool][template]") {
    TemplateStage stage;
    FakeWorker& parent = stage.start_forked();
    parent.hang_up();
    stage.pass(1900ms);
    CHECK_FALSE(parent.killed);
    stage.pass(300ms);
    CHECK(parent.killed);
    stage.gone(parent);
    CHECK(stage.state(stage.worker(1, 1)) == "idle");
}

TEST_CASE("a template that does not get ready in time is killed, and tried again",
          "[pool][template]") {
    TemplateStage stage;
    stage.settings.start_timeout = 20s;
    stage.start();
    FakeWorker& parent = stage.launched(1);
    stage.pass(19900ms);
    CHECK_FALSE(parent.killed);
    stage.pass(300ms);
    CHECK(parent.killed);
    stage.gone(parent);
    CHECK_THAT(stage.status().advice, ContainsSubstring("start_timeout"));
    CHECK_THAT(stage.trouble().error, ContainsSubstring("not ready 20000 ms after its launch"));
    REQUIRE(stage.pass_until(1s, [&] { return stage.has_template(2); }));
    stage.does_a_job(stage.forks_ready(stage.imports(2)));
    CHECK(stage.status().advice.empty());
    CHECK(stage.status().templates.size() == 1);
}

TEST_CASE("a template that hangs in a fork is killed after 20 s", "[pool][template]") {
    TemplateStage stage(2);
    stage.start();
    FakeWorker& parent = stage.imports(1);
    FakeWorker& worker = stage.forks_ready(parent);
    stage.pass(19900ms);
    CHECK_FALSE(parent.killed);
    stage.pass(300ms);
    CHECK(parent.killed);
    stage.gone(parent);
    CHECK_THAT(stage.trouble().error, ContainsSubstring("did not fork within 20 s"));
    stage.does_a_job(worker);
    REQUIRE(stage.pass_until(2s, [&] { return stage.has_template(2); }));
    stage.imports(2);
    REQUIRE(stage.pass_until(2s, [&] { return stage.has(2, 2); }));
}

TEST_CASE("an import that fails shows in the advice, and trips the breaker in the end",
          "[pool][template]") {
    TemplateStage stage;
    stage.settings.restart.burst = 3;
    stage.start();
    for (unsigned generation = 1; generation <= 3; ++generation) {
        CHECK(stage.status().state == "starting");
        REQUIRE(stage.pass_until(1s, [&] { return stage.has_template(generation); }));
        stage.fails_to_import(generation, "no module named app");
        CHECK(stage.trouble().state == "failed");
        CHECK(stage.trouble().generation == generation);
        CHECK_THAT(stage.trouble().error, ContainsSubstring("no module named app"));
        CHECK_THAT(stage.status().advice,
                   ContainsSubstring("its template did not start: start failed: ImportError: no "
                                     "module named app"));
    }
    CHECK(stage.status().state == "degraded");
    CHECK_THAT(stage.status().advice, ContainsSubstring("supervise resume p"));
    stage.pass(120s);
    CHECK_FALSE(stage.has_template(4));
    CHECK(stage.host().workers.size() == 3);
    CHECK(stage.refused().message == stage.status().advice);

    stage.pool().resume();
    REQUIRE(stage.pass_until(1s, [&] { return stage.has_template(4); }));
    stage.does_a_job(stage.forks_ready(stage.imports(4)));
    CHECK(stage.status().advice.empty());
}

TEST_CASE("each start of a template that fails waits twice as long as the one before",
          "[pool][template]") {
    TemplateStage stage;
    stage.settings.restart.backoff_first = 10s;
    stage.start();
    stage.fails_to_import(1, "no");
    stage.pass(7400ms);
    CHECK_FALSE(stage.has_template(2));
    stage.pass(5200ms);
    stage.fails_to_import(2, "no");
    stage.pass(14900ms);
    CHECK_FALSE(stage.has_template(3));
    stage.pass(10200ms);
    stage.imports(3);
}

TEST_CASE("a template that cannot be launched is a failed start", "[pool][template]") {
    TemplateStage stage;
    stage.host().launch_failure = "/usr/bin/python3";
    stage.start();
    stage.until("the failure", [&] { return !stage.logged("template.died").empty(); });
    CHECK_THAT(stage.status().advice, ContainsSubstring("exec /usr/bin/python3"));
    stage.host().launch_failure.clear();
    REQUIRE(stage.pass_until(1s, [&] { return stage.has_template(2); }));
    stage.does_a_job(stage.forks_ready(stage.imports(2)));
}

TEST_CASE("a worker's last job does not wait for a fork that is under way", "[pool][template]") {
    TemplateStage stage;
    stage.settings.recycle.max_tasks = 1;
    stage.start();
    FakeWorker& parent = stage.imports(1);
    FakeWorker& worker = stage.forks_ready(parent);
    FakeWorker& successor = stage.forks(parent);
    const JobId first = stage.submit();
    CHECK(stage.job(worker) == first);
    const JobId second = stage.submit();
    stage.done(worker, first);
    CHECK(stage.hears_nothing(worker));
    stage.gets_ready(successor);
    stage.retires(worker);
    stage.forks(parent);
    CHECK(stage.job(successor) == second);
}

TEST_CASE("a fork does not wait for the end of its slot's earlier workers", "[pool][template]") {
    TemplateStage stage;
    FakeWorker& parent = stage.start_forked();
    FakeWorker& first = stage.worker(1, 1);
    stage.pool().recycle(1).value();
    FakeWorker& second = stage.forks_ready(parent);
    stage.does_a_job(second);
    stage.dies(second, SIGKILL);
    CHECK(stage.state(first) == "retiring");
    stage.pass(1s);
    stage.does_a_job(stage.forks_ready(parent));
}

TEST_CASE("where the budget has no room the old worker stays until a fork can be had",
          "[pool][template]") {
    TemplateStage stage;
    stage.host().fresh = {50 << 20, 40 << 20};
    stage.settings.memory.budget = 79 << 20;
    FakeWorker& parent = stage.start_forked();
    FakeWorker& old = stage.worker(1, 1);
    stage.dies(parent, SIGKILL);
    stage.pool().recycle(1).value();
    REQUIRE(stage.pass_until(1s, [&] { return stage.has_template(2); }));
    FakeWorker& next = stage.launched(2);
    CHECK(stage.hears_nothing(old));
    stage.does_a_job(old);
    stage.imports(2);
    stage.pass(200ms);
    stage.retires(old);
    stage.does_a_job(stage.forks_ready(next));
    CHECK(stage.logged("worker.order_reversed").size() == 1);
}
