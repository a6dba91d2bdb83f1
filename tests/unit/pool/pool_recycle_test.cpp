#include <algorithm>

#include "tests/unit/pool/stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t mebi = 1 << 20;

std::size_t successors(const Stage& stage) {
    const std::vector<WorkerSnapshot> rows = stage.status().workers;
    return static_cast<std::size_t>(
        std::count_if(rows.begin(), rows.end(), [](const auto& row) { return row.successor; }));
}

}  // namespace

TEST_CASE("make before break: the last job waits until the successor is READY", "[pool][recycle]") {
    Stage stage;
    stage.settings.recycle.max_tasks = 2;
    stage.start_ready();
    FakeWorker& old = stage.worker(1, 1);
    stage.does_a_job(old);
    CHECK(stage.worker(1, 2).pid != old.pid);

    const JobId last = stage.submit();
    stage.pass(10s);
    CHECK(stage.hears_nothing(old));
    FakeWorker& fresh = stage.ready(1, 2);
    CHECK(successors(stage) == 1);
    CHECK(stage.job(old) == last);

    const JobId next = stage.submit();
    CHECK(stage.hears_nothing(fresh));  // not its turn yet
    stage.done(old, last);
    CHECK(stage.job(fresh) == next);  // before the old one has gone, and without a tick
    CHECK(stage.state(old) == "retiring");
    CHECK(successors(stage) == 0);
    stage.retires(old);
    stage.done(fresh, next);

    const PoolSnapshot status = stage.status();
    CHECK(status.recycles == std::map<std::string, std::uint64_t>{{"max_tasks", 1}});
    CHECK(status.restarts.empty());
    CHECK(status.slot_gap.count == 1);
    CHECK(status.slot_gap.p99 == 0);
    CHECK(stage.logged("worker.retiring").at(0).fields.at("successor") ==
          std::to_string(fresh.pid));
    CHECK(stage.logged("worker.gone").at(0).fields.at("how") == "recycled");
    CHECK(stage.logged("worker.gone").at(0).fields.at("reason") == "max_tasks");
}

TEST_CASE("a slot gap runs from the old worker's last job, or from the next job if that came later",
          "[pool][recycle]") {
    Stage stage;
    stage.settings.recycle.max_tasks = 1;
    stage.start_ready();
    stage.ready(1, 2);
    const bool waiting = GENERATE(true, false);
    const JobId first = stage.submit();
    stage.job(stage.worker(1, 1));
    const JobId second = waiting ? stage.submit() : 0;
    stage.done(stage.worker(1, 1), first);
    stage.retires(stage.worker(1, 1));
    if (waiting) {  // for the successor's successor: this pool keeps one ready for each last job
        stage.pass(3s);
        stage.ready(1, 3);
        CHECK(stage.job(stage.worker(1, 2)) == second);
        CHECK(stage.status().slot_gap.p50 == 3);
    } else {
        stage.ready(1, 3);
        stage.pass(3s);
        stage.does_a_job(stage.worker(1, 2));
        CHECK(stage.status().slot_gap.p50 == 0);
    }
}

TEST_CASE("a worker never does more than max_tasks jobs, however many wait", "[pool][recycle]") {
    Stage stage;
    stage.settings.recycle.max_tasks = 3;
    stage.start_ready();
    for (int i = 0; i < 9; ++i) {
        stage.submit();
    }
    JobId id = 0;
    for (unsigned incarnation = 1; incarnation <= 3; ++incarnation) {
        FakeWorker& worker = stage.worker(1, incarnation);
        for (int i = 0; i < 3; ++i) {
            if (i == 2) {
                stage.ready(1, incarnation + 1);
            }
            REQUIRE(stage.job(worker) == ++id);
            stage.done(worker, id);
        }
        stage.retires(worker);
    }
    CHECK(stage.status().jobs.done == 9);
    CHECK(stage.status().recycles["max_tasks"] == 3);
}

TEST_CASE("no more than a tenth of a pool is in replacement at once", "[pool][recycle]") {
    const unsigned workers = GENERATE(4U, 20U);
    Stage stage(workers);
    stage.start_ready();
    CHECK(stage.pool().recycle(std::nullopt).value() == workers);
    unsigned replaced = 0;
    while (replaced < workers) {
        stage.pass(100ms);
        REQUIRE(successors(stage) == std::min(replacement_limit(workers), workers - replaced));
        for (unsigned slot = 1; slot <= workers; ++slot) {
            if (stage.has(slot, 2) && stage.state(stage.worker(slot, 2)) == "starting") {
                stage.ready(slot, 2);
                stage.retires(stage.worker(slot, 1));
                ++replaced;
                break;
            }
        }
    }
    stage.pass(1s);
    CHECK(successors(stage) == 0);
    CHECK(stage.host().workers.size() == 2 * workers);
    CHECK(stage.status().recycles["requested"] == workers);
}

TEST_CASE("a worker that is told to be replaced serves until its successor is ready",
          "[pool][recycle]") {
    Stage stage(2);
    stage.start_ready();
    FakeWorker& old = stage.worker(1, 1);
    CHECK(stage.pool().recycle(1).value() == 1);
    stage.worker(1, 2);
    stage.does_a_job(old);
    stage.ready(1, 2);
    stage.retires(old);
    CHECK(stage.state(stage.worker(2, 1)) == "idle");
    CHECK_FALSE(stage.has(2, 2));
    CHECK(stage.pool().recycle(3).has_error());
    CHECK(stage.pool().recycle(3).error().http_status == 404);
}

TEST_CASE("a worker before its last job is replaced without it when it is told to go",
          "[pool][recycle]") {
    Stage stage;
    stage.settings.recycle.max_tasks = 1;
    stage.start_ready();
    FakeWorker& old = stage.worker(1, 1);
    stage.ready(1, 2);
    stage.pass(1s);
    REQUIRE(stage.state(old) == "idle");
    stage.pool().recycle(1).value();
    stage.retires(old);
    CHECK(stage.status().recycles["requested"] == 1);
}

TEST_CASE("a worker over max_age is replaced while it is idle", "[pool][recycle]") {
    Stage stage;
    stage.settings.recycle.max_age = 10s;
    stage.start_ready();
    stage.pass(9900ms);
    CHECK_FALSE(stage.has(1, 2));
    stage.pass(200ms);
    stage.ready(1, 2);
    stage.retires(stage.worker(1, 1));
    CHECK(stage.status().recycles["max_age"] == 1);
}

TEST_CASE("a worker that was idle too long is replaced once; its successor has nothing to lose",
          "[pool][recycle]") {
    Stage stage;
    stage.settings.recycle.idle = 5s;
    stage.start_ready();
    stage.pass(20s);
    CHECK_FALSE(stage.has(1, 2));
    stage.does_a_job(stage.worker(1, 1));
    stage.pass(4900ms);
    CHECK_FALSE(stage.has(1, 2));
    stage.pass(200ms);
    stage.ready(1, 2);
    stage.retires(stage.worker(1, 1));
    stage.pass(20s);
    CHECK_FALSE(stage.has(1, 3));
    CHECK(stage.status().recycles["idle"] == 1);
}

TEST_CASE("a successor that dies while it starts is tried again; the old worker goes on",
          "[pool][recycle]") {
    Stage stage;
    stage.start_ready();
    FakeWorker& old = stage.worker(1, 1);
    stage.pool().recycle(1).value();
    stage.dies(stage.worker(1, 2), 9);
    stage.does_a_job(old);
    CHECK_FALSE(stage.has(1, 3));  // its back-off counts too
    REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 3); }));
    stage.ready(1, 3);
    stage.retires(old);
    CHECK(stage.status().restarts["signal"] == 1);
}

TEST_CASE("a successor takes the slot at once when the old worker dies", "[pool][recycle]") {
    Stage stage;
    stage.start_ready();
    stage.pool().recycle(1).value();
    FakeWorker& fresh = stage.worker(1, 2);
    stage.dies(stage.worker(1, 1), 9);
    stage.ready(1, 2);
    stage.does_a_job(fresh);
    CHECK(stage.host().workers.size() == 2);
    CHECK(stage.status().recycles.empty());
}

TEST_CASE("a spare whose old worker is kept after all is let go after 30 s", "[pool][recycle]") {
    Stage stage;
    stage.settings.recycle.max_rss = 100 * mebi;
    stage.host().fresh = {50 * mebi, 40 * mebi};
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    for (const std::uint64_t rss : {60, 95}) {  // one more such job would cross the line
        const JobId id = stage.submit();
        stage.job(worker);
        stage.pass(1s);
        worker.memory.rss = rss * mebi;
        stage.done(worker, id);
    }
    stage.ready(1, 2);
    CHECK(successors(stage) == 1);
    for (int i = 0; i < 20; ++i) {
        stage.does_a_job(worker);  // but none is
    }
    stage.pass(29s);
    CHECK(successors(stage) == 1);
    stage.pass(2s);
    CHECK(successors(stage) == 0);
    stage.retires(stage.worker(1, 2));
    stage.pass(60s);
    CHECK_FALSE(stage.has(1, 3));
    CHECK(stage.state(worker) == "idle");
    CHECK(stage.status().recycles.empty());
}
