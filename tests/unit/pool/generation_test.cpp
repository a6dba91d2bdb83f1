#include <csignal>

#include "tests/unit/pool/template_stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t mebi = 1 << 20;

std::vector<unsigned> generations(const Stage& stage) {
    std::vector<unsigned> all;
    for (const WorkerSnapshot& row : stage.status().workers) {
        all.push_back(row.generation);
    }
    return all;
}

}  // namespace

TEST_CASE("a new generation serves only after its READY; then workers roll over without a gap",
          "[pool][generation]") {
    TemplateStage stage(2);
    FakeWorker& parent = stage.start_forked();
    FakeWorker& first = stage.worker(1, 1);
    FakeWorker& second = stage.worker(2, 1);
    CHECK(stage.pool().renew_template().value() == 2);
    FakeWorker& coming = stage.launched(2);
    stage.pass(30s);
    CHECK(stage.status().generation == 1);
    CHECK(stage.row(2).state == "starting");
    stage.does_a_job(first);
    CHECK(stage.hears_nothing(parent));  // nobody rolls over yet
    stage.dies(second, SIGKILL);
    REQUIRE(stage.pass_until(1s, [&] { return stage.has(2, 2); }));
    FakeWorker& third = stage.forks_ready(parent);  // and the old one still forks

    stage.imports(2);
    CHECK(stage.status().generation == 2);
    CHECK(stage.hears_nothing(first));  // make before break
    CHECK(stage.hears_nothing(third));
    stage.does_a_job(first);
    FakeWorker& next = stage.forks_ready(coming);
    CHECK(next.leaf == "1.2");
    stage.does_a_job(next);
    stage.retires(first);
    CHECK(stage.state(third) == "idle");
    CHECK(stage.row(1).workers == 1);
    stage.pass(1s);
    CHECK(stage.hears_nothing(parent));  // it goes with its last worker, not before

    stage.forks_ready(coming);
    CHECK(std::holds_alternative<ipc::Retire>(stage.next(third)));
    CHECK(stage.hears_nothing(parent));
    third.exit(0);
    stage.gone(third);
    stage.retires(parent);
    CHECK(generations(stage) == std::vector<unsigned>{2, 2});
    CHECK(stage.status().templates.size() == 1);
    CHECK(stage.status().recycles == std::map<std::string, std::uint64_t>{{"config", 2}});
    CHECK(stage.status().template_forks == 5);
    stage.pass(60s);
    CHECK_FALSE(stage.has(1, 3));
    CHECK_FALSE(stage.has(2, 4));
}

TEST_CASE("a busy worker ends its job before it rolls over", "[pool][generation]") {
    TemplateStage stage;
    stage.start_forked();
    FakeWorker& old = stage.worker(1, 1);
    const JobId id = stage.submit();
    stage.job(old);
    stage.pool().renew_template().value();
    FakeWorker& next = stage.forks_ready(stage.imports(2));
    const JobId waiting = stage.submit();
    stage.pass(30s);
    CHECK(stage.hears_nothing(old));
    CHECK(stage.hears_nothing(next));
    stage.done(old, id);
    CHECK(stage.job(next) == waiting);
    stage.retires(old);
    CHECK(stage.status().slot_gap.count == 1);
}

TEST_CASE("a template without workers goes as soon as another one serves", "[pool][generation]") {
    TemplateStage stage;
    FakeWorker& parent = stage.start_forked();
    stage.pool().scale(0).value();
    stage.retires(stage.worker(1, 1));
    stage.pass(10s);
    CHECK(stage.hears_nothing(parent));  // it serves, though nobody wants it to
    stage.pool().renew_template().value();
    stage.imports(2);
    stage.retires(parent);
}

TEST_CASE("a worker that has served nobody yet is not waited for when its code is old",
          "[pool][generation]") {
    TemplateStage stage;
    stage.start();
    FakeWorker& parent = stage.imports(1);
    const bool forked = GENERATE(true, false);
    FakeWorker* starting = nullptr;
    if (forked) {
        starting = &stage.forks(parent);
    }
    stage.pool().renew_template().value();
    FakeWorker& coming = stage.imports(2);
    if (!forked) {
        starting = &stage.forks_unread(parent);  // it was under way
    }
    stage.gone(*starting);
    CHECK(starting->killed);
    stage.retires(parent);
    FakeWorker& worker = stage.forks_ready(coming);
    CHECK(worker.leaf == "1.2");
    stage.does_a_job(worker);
    CHECK(generations(stage) == std::vector<unsigned>{2});
    CHECK(stage.status().restarts.empty());
}

TEST_CASE("a successor of the old generation gives way to one of the new", "[pool][generation]") {
    TemplateStage stage;
    FakeWorker& parent = stage.start_forked();
    FakeWorker& old = stage.worker(1, 1);
    stage.pool().recycle(1).value();
    FakeWorker& successor = stage.forks(parent);
    stage.pool().renew_template().value();
    FakeWorker& coming = stage.imports(2);
    stage.gone(successor);
    stage.does_a_job(old);
    stage.forks_ready(coming);
    stage.retires(old);
    CHECK(stage.current(1).parent == &coming);
}

TEST_CASE("a new generation that fails to import leaves the old one serving, and says so",
          "[pool][generation]") {
    TemplateStage stage;
    stage.settings.restart.burst = 1;
    FakeWorker& parent = stage.start_forked();
    FakeWorker& worker = stage.worker(1, 1);
    CHECK(stage.pool().renew_template().value() == 2);
    stage.fails_to_import(2, "no module named app");
    const std::string error =
        "generation 2 of the application does not serve: start failed: ImportError: no module "
        "named app; the one before it goes on";
    CHECK(stage.status().advice == "pool p: " + error);
    CHECK(stage.trouble().state == "failed");
    CHECK(stage.trouble().generation == 2);
    CHECK(stage.trouble().error == error);
    CHECK(stage.row(1).state == "ready");
    CHECK(stage.status().state == "running");
    CHECK(stage.status().generation == 1);
    CHECK(stage.logged("template.renewal_failed").size() == 1);
    stage.pass(120s);
    CHECK_FALSE(stage.has_template(3));  // the operator's to mend
    stage.does_a_job(worker);
    stage.pool().recycle(1).value();
    FakeWorker& second = stage.forks_ready(parent);
    stage.retires(worker);

    CHECK(stage.pool().renew_template().value() == 3);
    CHECK(stage.status().advice.empty());
    FakeWorker& coming = stage.imports(3);
    stage.forks_ready(coming);
    stage.retires(second);
    stage.retires(parent);
    CHECK(stage.trouble().state.empty());
    CHECK(generations(stage) == std::vector<unsigned>{3});
}

TEST_CASE("a template that dies after a newer one has failed is followed by the newest code",
          "[pool][generation]") {
    TemplateStage stage;
    FakeWorker& parent = stage.start_forked();
    FakeWorker& worker = stage.worker(1, 1);
    stage.pool().renew_template().value();
    stage.fails_to_import(2, "no module named app");
    stage.dies(parent, SIGKILL);
    REQUIRE(stage.pass_until(1s, [&] { return stage.has_template(3); }));
    stage.forks_ready(stage.imports(3));
    stage.retires(worker);
}

TEST_CASE("a second renewal takes the place of the first", "[pool][generation]") {
    TemplateStage stage;
    FakeWorker& parent = stage.start_forked();
    FakeWorker& worker = stage.worker(1, 1);
    CHECK(stage.pool().renew_template().value() == 2);
    const bool there = GENERATE(true, false);
    if (there) {
        stage.launched(2);
    }
    CHECK(stage.pool().renew_template().value() == 3);
    stage.until("the end of the first", [&] { return stage.has_ended(2); });
    CHECK(stage.host().find("template.2")->killed);
    CHECK(stage.status().advice.empty());
    FakeWorker& coming = stage.imports(3);
    stage.forks_ready(coming);
    stage.retires(worker);
    stage.retires(parent);
    CHECK(stage.logged("template.renewal_failed").empty());
    CHECK(stage.status().recycles["config"] == 1);
    stage.pass(10s);
    CHECK_FALSE(stage.has_template(4));
}

TEST_CASE("a template that dies while the next one is imported leaves that one to serve",
          "[pool][generation]") {
    TemplateStage stage;
    FakeWorker& parent = stage.start_forked();
    FakeWorker& worker = stage.worker(1, 1);
    stage.pool().renew_template().value();
    stage.launched(2);
    stage.dies(parent, SIGKILL);
    stage.pass(60s - 1s);
    CHECK_FALSE(stage.has_template(3));
    stage.forks_ready(stage.imports(2));
    stage.retires(worker);
    CHECK(stage.status().advice.empty());
}

TEST_CASE("there is nothing to renew without a template", "[pool][generation]") {
    Stage stage;
    stage.start_ready();
    const auto answer = stage.pool().renew_template();
    REQUIRE(answer.has_error());
    CHECK(answer.error().http_status == 409);
    CHECK(answer.error().code == "no_template");
    stage.pass(1s);
    CHECK(stage.host().workers.size() == 1);
}

TEST_CASE("a reload brings a new generation, whatever it changes", "[pool][generation]") {
    TemplateStage stage;
    FakeWorker& parent = stage.start_forked();
    FakeWorker& worker = stage.worker(1, 1);
    stage.settings.recycle.max_tasks = 100;
    stage.pool().apply(stage.settings);
    FakeWorker& coming = stage.imports(2);
    stage.forks_ready(coming);
    stage.retires(worker);
    stage.retires(parent);
    CHECK(stage.status().generation == 2);
}

TEST_CASE("a reload turns preload on and off", "[pool][generation]") {
    TemplateStage stage;
    stage.settings.preload = false;
    stage.start_ready();
    FakeWorker& spawned = stage.worker(1, 1);
    CHECK(stage.status().templates.empty());
    CHECK(stage.status().generation == 1);

    stage.settings.preload = true;
    stage.pool().apply(stage.settings);
    stage.launched(2);
    stage.does_a_job(spawned);
    CHECK(stage.status().generation == 1);
    FakeWorker& parent = stage.imports(2);
    FakeWorker& forked = stage.forks_ready(parent);
    stage.retires(spawned);
    stage.does_a_job(forked);

    stage.settings.preload = false;
    stage.pool().apply(stage.settings);
    CHECK(stage.status().generation == 3);
    stage.does_a_job(forked);
    FakeWorker& again = stage.ready(1, 3);
    CHECK(again.parent == nullptr);
    CHECK(stage.hears_nothing(parent));
    stage.retires(forked);
    stage.retires(parent);
    stage.does_a_job(again);
    CHECK(stage.status().templates.empty());
    CHECK(generations(stage) == std::vector<unsigned>{3});
    stage.pass(60s);
    CHECK_FALSE(stage.has_template(3));
}

TEST_CASE("where preload is turned on and the import fails, workers are spawned as before",
          "[pool][generation]") {
    TemplateStage stage;
    stage.settings.preload = false;
    stage.start_ready();
    stage.settings.preload = true;
    stage.pool().apply(stage.settings);
    stage.launched(2);
    CHECK(stage.trouble().state.empty());
    stage.dies(stage.worker(1, 1), SIGKILL);
    REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 2); }));
    stage.does_a_job(stage.ready(1, 2));  // while it is imported, too
    stage.fails_to_import(2, "no module named app");
    CHECK(stage.trouble().state == "failed");
    CHECK_THAT(stage.status().advice,
               ContainsSubstring("no module named app; workers are spawned"));
    CHECK(stage.status().state == "running");
    stage.dies(stage.worker(1, 2), SIGKILL);
    REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 3); }));
    FakeWorker& spawned = stage.ready(1, 3);
    CHECK(spawned.parent == nullptr);
    stage.does_a_job(spawned);

    stage.pool().renew_template().value();
    stage.does_a_job(stage.forks_ready(stage.imports(3)));
    CHECK(stage.status().advice.empty());
}

TEST_CASE("preload turned off while the application is imported ends the import",
          "[pool][generation]") {
    TemplateStage stage;
    stage.start();
    FakeWorker& parent = stage.launched(1);
    stage.settings.preload = false;
    stage.pool().apply(stage.settings);
    CHECK(parent.killed);
    stage.gone(parent);
    stage.does_a_job(stage.ready(1, 1));
    CHECK(stage.status().state == "running");
}

TEST_CASE("a new generation's memory lines are checked anew", "[pool][generation]") {
    TemplateStage stage;
    stage.settings.recycle.max_rss = 100 * mebi;
    stage.host().fresh = {90 * mebi, 40 * mebi};
    stage.start_forked();
    FakeWorker& old = stage.worker(1, 1);
    REQUIRE(stage.config_errors.size() == 1);
    stage.host().fresh = {50 * mebi, 40 * mebi};
    stage.pool().renew_template().value();
    FakeWorker& coming = stage.imports(2);
    FakeWorker& worker = stage.forks_ready(coming);
    stage.retires(old);
    worker.memory.rss = 120 * mebi;
    stage.does_a_job(worker);
    CHECK(std::holds_alternative<ipc::Trim>(stage.next(worker)));  // the line is obeyed again
    CHECK(stage.config_errors.size() == 1);
}
