#include <algorithm>

#include "tests/unit/pool/stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

/// A pool of 1 to 3 workers.
struct ScalingStage : Stage {
    ScalingStage() { settings.max_workers = 3; }
};

unsigned generation(const Stage& stage, unsigned slot) {
    for (const WorkerSnapshot& row : stage.status().workers) {
        if (row.slot == slot && !row.successor && row.state != "retiring") {
            return row.generation;
        }
    }
    return 0;
}

}  // namespace

TEST_CASE("scaling up fills new slots, scaling down lets idle workers go", "[pool][size]") {
    Stage stage;
    stage.start_ready();
    stage.pool().scale(3).value();
    stage.ready(2, 1);
    stage.ready(3, 1);
    CHECK(stage.status().workers_wanted == 3);
    stage.pool().scale(1).value();
    stage.retires(stage.worker(3, 1));
    stage.retires(stage.worker(2, 1));
    stage.pass(10s);
    CHECK(stage.status().workers.size() == 1);
    CHECK(stage.status().recycles.empty());
    CHECK(stage.status().restarts.empty());
    CHECK(stage.pool().scale(1025).has_error());

    stage.pool().scale(2).value();
    stage.does_a_job(stage.worker(1, 1));
    stage.ready(2, 2);
}

TEST_CASE("a busy worker that is not wanted any more goes after its job, however many wait",
          "[pool][size]") {
    Stage stage(2);
    stage.start_ready();
    for (int i = 0; i < 6; ++i) {
        stage.submit();
    }
    stage.job(stage.worker(1, 1));
    stage.job(stage.worker(2, 1));
    stage.pool().scale(1).value();
    stage.pass(1s);
    CHECK(stage.state(stage.worker(2, 1)) == "busy");
    stage.done(stage.worker(2, 1), 2);
    stage.retires(stage.worker(2, 1));
    CHECK(stage.status().jobs.queued == 4);
    CHECK_FALSE(stage.has(2, 2));
}

TEST_CASE("a worker that is starting is not waited for when its slot is not wanted",
          "[pool][size]") {
    Stage stage;
    stage.start_ready();
    stage.pool().scale(2).value();
    FakeWorker& starting = stage.worker(2, 1);
    stage.pool().scale(1).value();
    CHECK(starting.killed);
    stage.gone(starting);
    CHECK(stage.status().restarts.empty());
}

TEST_CASE("a pool of no workers runs, takes jobs, and does them when it grows", "[pool][size]") {
    Stage stage;
    stage.start_ready();
    stage.pool().scale(0).value();
    stage.retires(stage.worker(1, 1));
    stage.pass(1s);
    CHECK(stage.status().state == "running");
    const JobId id = stage.submit();
    stage.pool().scale(1).value();
    CHECK(stage.job(stage.ready(1, 2)) == id);
}

TEST_CASE("a pool grows by one worker at a time while jobs wait, up to its most", "[pool][size]") {
    ScalingStage stage;
    stage.start_ready();
    stage.pass(10s);
    CHECK(stage.status().workers_wanted == 1);
    stage.submit();
    stage.pass(10s);
    CHECK(stage.status().workers_wanted == 1);  // the one worker has it
    stage.submit();
    stage.submit();
    stage.pass(10s);
    CHECK(stage.status().workers_wanted == 2);  // the second is not ready yet
    stage.ready(2, 1);
    stage.pass(1s);
    CHECK(stage.status().workers_wanted == 3);
    stage.ready(3, 1);
    stage.submit();
    stage.pass(10s);
    CHECK(stage.status().workers_wanted == 3);
    CHECK(stage.logged("pool.scaled").size() == 2);
}

TEST_CASE("a pool shrinks again when its last worker was idle for long enough, not below its least",
          "[pool][size]") {
    ScalingStage stage;
    const bool own = GENERATE(true, false);
    if (own) {
        stage.settings.recycle.idle = 20s;
    }
    const Duration limit = own ? 20s : 60s;
    stage.start_ready();
    stage.submit();
    stage.submit();
    stage.pass(1s);
    FakeWorker& second = stage.ready(2, 1);
    stage.job(second);
    stage.done(second, 2);
    stage.job(stage.worker(1, 1));
    stage.pass(limit - 200ms);
    CHECK(stage.status().workers_wanted == 2);
    stage.pass(400ms);
    CHECK(stage.status().workers_wanted == 1);
    stage.retires(second);
    CHECK(stage.status().recycles["idle"] == 1);
    stage.done(stage.worker(1, 1), 1);
    stage.pass(10s);
    CHECK(stage.status().workers_wanted == 1);
}

TEST_CASE("a reload that concerns the process rolls one worker at a time and counts a generation",
          "[pool][size]") {
    Stage stage(3);
    stage.start_ready();
    stage.settings.environment["NEW"] = "1";
    stage.pool().apply(stage.settings);
    for (unsigned slot = 1; slot <= 3; ++slot) {
        stage.pass(100ms);
        const std::vector<WorkerSnapshot> rows = stage.status().workers;
        CHECK(std::count_if(rows.begin(), rows.end(),
                            [](const auto& row) { return row.successor; }) == 1);
        CHECK(generation(stage, slot) == 1);
        FakeWorker& fresh = stage.ready(slot, 2);
        const auto& environment = fresh.spec.environment;
        CHECK(std::count(environment.begin(), environment.end(), "NEW=1") == 1);
        CHECK(generation(stage, slot) == 2);
        stage.retires(stage.worker(slot, 1));
    }
    stage.pass(10s);
    CHECK(stage.host().workers.size() == 6);
    CHECK(stage.status().recycles == std::map<std::string, std::uint64_t>{{"config", 3}});
    CHECK(stage.status().restarts.empty());
}

TEST_CASE("a reload reaches a worker that waits before its last job", "[pool][size]") {
    Stage stage;
    stage.settings.recycle.max_tasks = 1;
    stage.start_ready();
    FakeWorker& old_spare = stage.ready(1, 2);
    stage.settings.environment["NEW"] = "1";
    stage.pool().apply(stage.settings);
    stage.retires(old_spare);  // of the old generation
    stage.ready(1, 3);
    stage.retires(stage.worker(1, 1));
    CHECK(stage.status().recycles["config"] == 1);
    stage.ready(1, 4);
    stage.does_a_job(stage.worker(1, 3));
}

TEST_CASE("a reload that concerns rules only is obeyed by the workers that there are",
          "[pool][size]") {
    Stage stage;
    stage.start_ready();
    stage.does_a_job(stage.worker(1, 1));
    stage.settings.recycle.max_tasks = 2;
    stage.pool().apply(stage.settings);
    stage.pass(1s);
    stage.ready(1, 2);
    stage.does_a_job(stage.worker(1, 1));
    stage.retires(stage.worker(1, 1));
    CHECK(generation(stage, 1) == 1);
    CHECK(stage.status().recycles == std::map<std::string, std::uint64_t>{{"max_tasks", 1}});
}

TEST_CASE("a reload starts a worker that is still starting anew", "[pool][size]") {
    Stage stage;
    stage.start();
    FakeWorker& old = stage.worker(1, 1);
    stage.settings.app = "other";
    stage.pool().apply(stage.settings);
    CHECK(old.killed);
    stage.gone(old);
    FakeWorker& fresh = stage.ready(1, 2);
    CHECK(fresh.spec.argv[2] == "other");
    CHECK(generation(stage, 1) == 2);
    CHECK(stage.status().restarts.empty());
}

TEST_CASE("a paused pool begins nothing, and goes on when it is resumed", "[pool][size]") {
    Stage stage;
    stage.start_ready();
    stage.pool().pause();
    const JobId id = stage.submit();
    stage.pass(10s);
    CHECK(stage.hears_nothing(stage.worker(1, 1)));
    CHECK(stage.status().state == "paused");
    CHECK_THAT(stage.status().advice, ContainsSubstring("supervise resume p"));
    stage.pool().resume();
    CHECK(stage.job(stage.worker(1, 1)) == id);
}

TEST_CASE("a new most leaves an elastic pool its least", "[pool][size]") {
    ScalingStage stage;
    stage.settings.min_workers = 2;
    stage.start_ready();
    const auto sizes = [&stage] {
        const PoolSettings& now = stage.pool().settings();
        return std::pair(now.min_workers, now.max_workers);
    };
    stage.pool().set_max(5).value();
    CHECK(sizes() == std::pair(2U, 5U));
    stage.pool().set_max(1).value();
    CHECK(sizes() == std::pair(1U, 1U));
    stage.pool().set_max(4).value();
    CHECK(sizes() == std::pair(2U, 4U));
    CHECK(stage.pool().set_max(1025).has_error());

    stage.pool().scale(3).value();  // from now on of fixed size
    stage.pool().set_max(4).value();
    CHECK(sizes() == std::pair(4U, 4U));
}
