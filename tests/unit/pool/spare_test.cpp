#include <algorithm>
#include <csignal>

#include "tests/unit/pool/template_stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t mebi = 1 << 20;

/// A pool with a template and one spare; forked() brings all of them to READY.
struct SpareStage : TemplateStage {
    explicit SpareStage(unsigned workers = 1) : TemplateStage(workers) { settings.spare = 1; }
    FakeWorker& forked() {
        FakeWorker& parent = start_forked();
        REQUIRE(forks_ready(parent).leaf == "spare.1");
        return parent;
    }
};

std::size_t spares(const Stage& stage) {
    const std::vector<WorkerSnapshot> rows = stage.status().workers;
    return static_cast<std::size_t>(
        std::count_if(rows.begin(), rows.end(), [](const auto& row) { return row.slot == 0; }));
}

}  // namespace

TEST_CASE("a spare is made when all slots are filled and a worker has become ready",
          "[pool][spare]") {
    SpareStage stage(2);
    stage.start();
    FakeWorker& parent = stage.imports(1);
    FakeWorker& first = stage.forks(parent);
    FakeWorker& second = stage.forks(parent);
    stage.pass(10s);
    CHECK(stage.hears_nothing(parent));
    stage.gets_ready(first);
    FakeWorker& spare = stage.forks_ready(parent);
    CHECK(spare.leaf == "spare.1");
    stage.gets_ready(second);
    stage.pass(10s);
    CHECK(stage.hears_nothing(parent));  // one is enough

    const PoolSnapshot status = stage.status();
    CHECK(status.workers_wanted == 2);
    REQUIRE(status.workers.size() == 3);
    CHECK(status.workers[2].slot == 0);
    CHECK(status.workers[2].incarnation == 1);
    CHECK(status.workers[2].pid == spare.pid);
    CHECK(status.workers[2].state == "idle");
    CHECK(status.workers[2].successor);
    CHECK(status.templates.at(0).workers == 3);
}

TEST_CASE("a spare has no slot, and so no job", "[pool][spare]") {
    SpareStage stage;
    stage.forked();
    const JobId first = stage.submit();
    stage.submit();
    stage.job(stage.worker(1, 1));
    stage.pass(10s);
    CHECK(stage.hears_nothing(stage.worker(0, 1)));
    CHECK(stage.status().jobs.queued == 1);
    stage.done(stage.worker(1, 1), first);
}

TEST_CASE("a spare takes over a recycled slot in the same turn", "[pool][spare]") {
    SpareStage stage;
    FakeWorker& parent = stage.forked();
    FakeWorker& old = stage.worker(1, 1);
    FakeWorker& spare = stage.worker(0, 1);
    const bool idle = GENERATE(true, false);
    if (idle) {
        stage.pool().recycle(1).value();
    } else {
        const JobId id = stage.submit();
        stage.job(old);
        stage.pool().recycle(1).value();
        CHECK(stage.current(1).pid == old.pid);
        stage.done(old, id);
    }
    CHECK(stage.state(old) == "retiring");
    CHECK(stage.current(1).pid == spare.pid);
    CHECK(stage.status().workers.at(1).incarnation == 2);
    stage.does_a_job(spare);
    CHECK(stage.status().slot_gap.count == 1);
    CHECK(stage.status().slot_gap.p99 == 0);
    stage.retires(old);
    CHECK(stage.forks_ready(parent).leaf == "spare.2");
    CHECK(stage.logged("worker.took_slot").size() == 1);
    CHECK(stage.status().recycles == std::map<std::string, std::uint64_t>{{"requested", 1}});
}

TEST_CASE("a spare takes over at once from a worker that died and had done a job",
          "[pool][spare]") {
    SpareStage stage;
    stage.settings.restart.backoff_first = 10s;
    FakeWorker& parent = stage.forked();
    FakeWorker& old = stage.worker(1, 1);
    FakeWorker& spare = stage.worker(0, 1);
    SECTION("it had") {
        stage.does_a_job(old);
        const JobId lost = stage.submit();
        const JobId waiting = stage.submit();
        stage.job(old);
        stage.dies(old, SIGKILL);
        CHECK(stage.end_of(lost).state == JobState::lost);
        CHECK(stage.job(spare) == waiting);
    }
    SECTION("it had not: this may be a loop") {
        stage.dies(old, SIGKILL);
        stage.pass(7400ms);
        CHECK(stage.status().workers.size() == 1);
        stage.pass(5200ms);
        CHECK(stage.current(1).pid == spare.pid);
    }
    SECTION("it had, and no spare is there") {
        stage.does_a_job(old);
        stage.dies(spare, SIGKILL);
        stage.dies(old, SIGKILL);
        stage.pass(7400ms);
        CHECK(stage.hears_nothing(parent));
        stage.pass(5200ms);
        FakeWorker& next = stage.forks_ready(parent);
        stage.does_a_job(next);
    }
    CHECK(stage.status().restarts["signal"] >= 1);
}

TEST_CASE("a spare that is still starting is taken rather than that another one is forked",
          "[pool][spare]") {
    SpareStage stage;
    FakeWorker& parent = stage.start_forked();
    FakeWorker& spare = stage.forks(parent);
    stage.pool().scale(2).value();
    CHECK(stage.current(2).pid == spare.pid);
    CHECK(stage.forks(parent).leaf == "spare.2");
    stage.gets_ready(spare);
    stage.does_a_job(stage.worker(1, 1));
    CHECK(stage.hears_nothing(parent));
}

TEST_CASE("whichever is ready first takes a slot over, the successor or a spare", "[pool][spare]") {
    SpareStage stage;
    FakeWorker& parent = stage.start_forked();
    FakeWorker& old = stage.worker(1, 1);
    FakeWorker& first = stage.forks(parent);
    stage.pool().recycle(1).value();  // the spare on its way becomes the successor
    FakeWorker& second = stage.forks(parent);
    CHECK(second.leaf == "spare.2");
    const bool in_order = GENERATE(true, false);
    FakeWorker& earlier = in_order ? first : second;
    FakeWorker& later = in_order ? second : first;
    stage.gets_ready(earlier);
    stage.pass(100ms);
    stage.retires(old);
    CHECK(stage.current(1).pid == earlier.pid);
    stage.gets_ready(later);
    CHECK(spares(stage) == 1);
    stage.pool().recycle(1).value();
    CHECK(stage.current(1).pid == later.pid);
    CHECK(stage.status().recycles["requested"] == 2);
}

TEST_CASE("a pool of one job a worker never lets a job wait for more than a fork",
          "[pool][spare]") {
    SpareStage stage;
    stage.settings.recycle.max_tasks = 1;
    stage.start();
    FakeWorker& parent = stage.imports(1);
    stage.forks_all(parent);
    SECTION("and for none where one is ready") {
        for (int i = 0; i < 20; ++i) {
            FakeWorker& worker = stage.current(1);
            stage.does_a_job(worker);
            stage.retires(worker);
            stage.forks_all(parent);
        }
        CHECK(stage.status().slot_gap.count == 19);
        CHECK(stage.status().slot_gap.p99 == 0);
    }
    SECTION("and not for the old ones' ends") {
        std::vector<FakeWorker*> old;
        for (int i = 0; i < 3; ++i) {
            old.push_back(&stage.current(1));
            stage.does_a_job(*old.back());
            stage.forks_all(parent);
        }
        const JobId id = stage.submit();
        stage.pass(5s);
        CHECK(stage.status().jobs.queued == 1);  // but there is a limit to what may be left behind
        stage.retires(*old[0]);
        CHECK(stage.job(stage.current(1)) == id);
    }
    SECTION("and goes on with the fork") {
        for (int i = 0; i < 3; ++i) {  // what stands by is used up
            stage.submit();
        }
        std::size_t done = 0;
        while (done < 3) {
            FakeWorker& worker = stage.current(1);
            stage.done(worker, stage.job(worker));
            ++done;
            stage.turn();
            if (stage.state(stage.current(1)) != "busy") {
                stage.forks_all(parent);
            }
        }
        CHECK(stage.status().jobs.done == 3);
    }
    CHECK(stage.status().recycles["max_tasks"] == stage.status().jobs.done);
}

TEST_CASE("a pool that grows takes its spare", "[pool][spare]") {
    SpareStage stage;
    stage.settings.max_workers = 2;
    stage.host().fresh = {50 * mebi, 10 * mebi};
    if (GENERATE(false, true)) {
        stage.settings.memory.budget = 20 * mebi;  // which has room for these two, and no more
    }
    stage.forked();
    FakeWorker& spare = stage.worker(0, 1);
    stage.submit();
    const JobId second = stage.submit();
    stage.job(stage.worker(1, 1));
    REQUIRE(stage.pass_until(200ms, [&] { return stage.status().workers_wanted == 2; }));
    CHECK(stage.job(spare) == second);
    CHECK(stage.status().workers.at(1).slot == 2);
}

TEST_CASE("a spare counts in the budget, and is not made where it has no room", "[pool][spare]") {
    SpareStage stage;
    stage.host().fresh = {50 * mebi, 10 * mebi};
    stage.host().fresh_template = {100 * mebi, 80 * mebi};
    stage.settings.memory.budget = 100 * mebi;
    SECTION("there is room") {
        stage.forked();
        CHECK(spares(stage) == 1);
    }
    SECTION("there is none") {
        stage.settings.memory.budget = 100 * mebi - 1;
        FakeWorker& parent = stage.start_forked();
        stage.pass(10s);
        CHECK(stage.hears_nothing(parent));
        parent.memory.private_bytes -= 1;
        stage.pass(1100ms);
        CHECK(stage.forks_ready(parent).leaf == "spare.1");
    }
    SECTION("there is none for a second beside it") {
        stage.settings.spare = 2;
        FakeWorker& parent = stage.forked();
        stage.pass(10s);
        CHECK(stage.hears_nothing(parent));
    }
    SECTION("where it takes the room, a recycle still has it") {
        FakeWorker& parent = stage.forked();
        FakeWorker& old = stage.worker(1, 1);
        stage.pool().recycle(1).value();
        CHECK(stage.current(1).leaf == "spare.1");
        CHECK(stage.hears_nothing(parent));  // the next one waits for the old one's end
        stage.retires(old);
        CHECK(stage.forks_ready(parent).leaf == "spare.2");
        CHECK(stage.logged("worker.order_reversed").empty());
    }
}

TEST_CASE("spawned spares come one by one, and go when fewer are wanted", "[pool][spare]") {
    Stage stage;
    stage.settings.spare = 2;
    stage.start_ready();
    FakeWorker& first = stage.ready(0, 1);
    CHECK(stage.has(0, 2));
    FakeWorker& second = stage.ready(0, 2);
    stage.pass(10s);
    CHECK_FALSE(stage.has(0, 3));
    SECTION("by a reload") {
        stage.settings.spare = 1;
        stage.pool().apply(stage.settings);
        stage.retires(second);
        CHECK(spares(stage) == 1);
        CHECK(stage.logged("worker.retiring").at(0).fields.at("reason") == "not_needed");
    }
    SECTION("and none beside no slot") {
        stage.pool().scale(0).value();
        stage.retires(stage.worker(1, 1));
        stage.retires(first);
        stage.retires(second);
        stage.pass(60s);
        CHECK(stage.status().workers.empty());
    }
    SECTION("and all at a stop") {
        stage.pool().stop();
        stage.retires(stage.worker(1, 1));
        stage.retires(first);
        stage.retires(second);
        CHECK(stage.pass_until(1s, [&] { return stage.ended(); }));
    }
    CHECK(stage.status().restarts.empty());
    CHECK(stage.status().recycles.empty());
}

TEST_CASE("a spare is not made before a slot that waits for its old worker's end",
          "[pool][spare]") {
    Stage stage;
    stage.settings.spare = 1;
    stage.start_ready();
    FakeWorker& old = stage.worker(1, 1);
    FakeWorker& spare = stage.ready(0, 1);
    stage.pool().scale(0).value();
    stage.pool().scale(1).value();
    stage.retires(spare);
    stage.pass(1s);
    CHECK_FALSE(stage.has(0, 2));
    stage.retires(old);
    stage.does_a_job(stage.ready(1, 2));
    stage.ready(0, 2);
}

TEST_CASE("the first spawned spare waits until the second may come", "[pool][spare]") {
    Stage stage;
    stage.settings.spare = 2;
    stage.start_ready();
    stage.worker(0, 1);
    stage.pass(10s);
    CHECK_FALSE(stage.has(0, 2));
}

TEST_CASE("a spare that dies is followed by another within its back-off, and counts as a death",
          "[pool][spare]") {
    SpareStage stage;
    stage.settings.restart.backoff_first = 10s;
    stage.settings.restart.burst = 2;
    FakeWorker& parent = stage.forked();
    stage.dies(stage.worker(0, 1), SIGKILL);
    CHECK(stage.status().restarts["signal"] == 1);
    stage.pass(7400ms);
    CHECK(stage.hears_nothing(parent));
    stage.pass(5200ms);
    FakeWorker& second = stage.forks(parent);
    CHECK(second.leaf == "spare.2");
    CHECK(stage.status().state == "running");
    stage.dies(second, SIGKILL);
    CHECK(stage.status().state == "degraded");
    stage.does_a_job(stage.worker(1, 1));
    stage.pass(GENERATE(5s, 60s));  // within its back-off, and after
    CHECK(stage.hears_nothing(parent));
    stage.pool().resume();
    stage.forks_ready(parent);
}

TEST_CASE("a spare that does not get ready in time is killed", "[pool][spare]") {
    SpareStage stage;
    FakeWorker& parent = stage.start_forked();
    FakeWorker& spare = stage.forks(parent);
    stage.pass(60100ms);
    CHECK(spare.killed);
    stage.gone(spare);
    stage.does_a_job(stage.worker(1, 1));
}

TEST_CASE("a spare that is on its way out is not taken", "[pool][spare]") {
    SpareStage stage;
    FakeWorker& parent = stage.start_forked();
    FakeWorker& spare = stage.forks(parent);
    SECTION("killed while it starts") {
        spare.send_bytes("?");
        stage.until("its kill", [&] { return spare.killed; });
    }
    SECTION("it has hung up") {
        stage.gets_ready(spare);
        spare.hang_up();
        stage.turn();
    }
    stage.pool().scale(2).value();
    CHECK(stage.logged("worker.took_slot").empty());
    CHECK(stage.forks_ready(parent).leaf == "2.1");
}

TEST_CASE("a spare that has grown meanwhile is judged before it gets a job", "[pool][spare]") {
    SpareStage stage;
    stage.settings.recycle.max_rss = 100 * mebi;
    stage.host().fresh = {50 * mebi, 10 * mebi};
    stage.forked();
    FakeWorker& spare = stage.worker(0, 1);
    spare.memory.rss = 200 * mebi;
    stage.pass(2s);  // it is sampled
    const JobId first = stage.submit();
    const JobId second = stage.submit();
    CHECK(stage.job(stage.worker(1, 1)) == first);
    stage.pool().recycle(1).value();
    stage.done(stage.worker(1, 1), first);
    CHECK(stage.current(1).pid == spare.pid);
    CHECK(std::holds_alternative<ipc::Trim>(stage.next(spare)));
    CHECK(stage.status().jobs.queued == 1);
    CHECK(stage.listener.ends.count(second) == 0);
}

TEST_CASE("spares of an older generation go when a new one serves", "[pool][spare][generation]") {
    SpareStage stage;
    FakeWorker& parent = stage.start_forked();
    FakeWorker& spare = stage.forks(parent);
    const bool is_ready = GENERATE(true, false);
    if (is_ready) {
        stage.gets_ready(spare);
    }
    stage.pool().renew_template().value();
    FakeWorker& coming = stage.imports(2);
    if (is_ready) {
        stage.retires(spare);
    } else {
        stage.gone(spare);
        CHECK(spare.killed);
    }
    stage.forks_all(coming);
    stage.retires(stage.worker(1, 1));
    stage.retires(parent);
    stage.turn();
    stage.forks_all(coming);
    CHECK(spares(stage) == 1);
    for (const WorkerSnapshot& row : stage.status().workers) {
        CHECK(row.generation == 2);
    }
    CHECK(stage.status().restarts.empty());
}

TEST_CASE("spares of a template that has died still serve", "[pool][spare][generation]") {
    SpareStage stage;
    FakeWorker& parent = stage.forked();
    FakeWorker& old = stage.worker(1, 1);
    stage.dies(parent, SIGKILL);
    stage.pool().recycle(1).value();
    stage.retires(old);
    stage.does_a_job(stage.worker(0, 1));
    REQUIRE(stage.pass_until(1s, [&] { return stage.has_template(2); }));
    CHECK(stage.forks_ready(stage.imports(2)).leaf == "spare.2");
    stage.pass(10s);
    CHECK(stage.current(1).leaf == "spare.1");
}
