#include "tests/unit/pool/stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t mebi = 1 << 20;

/// A pool with max_rss = 100 MiB whose workers have 50 MiB when they are fresh.
struct LinedStage : Stage {
    LinedStage() {
        settings.recycle.max_rss = 100 * mebi;
        host().fresh = {50 * mebi, 40 * mebi};
    }

    /// A job after which the worker has `rss`.
    void job_leaves(FakeWorker& worker, std::uint64_t rss) {
        const JobId id = submit();
        job(worker);
        worker.memory.rss = rss;
        done(worker, id);
    }
    bool is_told_to_trim(FakeWorker& worker) {
        return std::holds_alternative<ipc::Trim>(next(worker));
    }
    void trimmed(FakeWorker& worker, std::uint64_t rss) {
        const std::uint64_t before = status().trims;
        worker.memory.rss = rss;
        worker.send(ipc::Trimmed{});
        until("the end of a trim", [&] { return status().trims > before; });
    }
};

}  // namespace

TEST_CASE("a worker over its line is trimmed and kept when that helps", "[pool][memory]") {
    LinedStage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    stage.job_leaves(worker, 350 * mebi);
    CHECK(stage.is_told_to_trim(worker));
    const JobId next = stage.submit();
    CHECK(stage.hears_nothing(worker));  // no job while it trims
    stage.trimmed(worker, 55 * mebi);
    CHECK(stage.job(worker) == next);
    stage.done(worker, next);
    stage.pass(10s);
    CHECK(stage.status().trims == 1);
    CHECK(stage.status().trimmed_bytes == 295 * mebi);
    CHECK(stage.status().recycles.empty());
    CHECK(stage.host().workers.size() == 1);  // and no successor was started for nothing
}

TEST_CASE("a worker that is still over its line after trimming is retired", "[pool][memory]") {
    LinedStage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    stage.job_leaves(worker, 350 * mebi);
    CHECK(stage.is_told_to_trim(worker));
    stage.trimmed(worker, 100 * mebi);
    const JobId next = stage.submit();
    stage.pass(1s);
    CHECK(stage.hears_nothing(worker));  // no job above the line
    FakeWorker& fresh = stage.ready(1, 2);
    CHECK(stage.job(fresh) == next);
    stage.retires(worker);
    CHECK(stage.status().recycles["max_rss"] == 1);
    CHECK(stage.logged("worker.retiring").at(0).fields.at("rss") == std::to_string(100 * mebi));
}

TEST_CASE("a worker that grows over its line while idle is trimmed too", "[pool][memory]") {
    LinedStage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    worker.memory.rss = 120 * mebi;
    stage.pass(1100ms);
    CHECK(stage.is_told_to_trim(worker));
    stage.trimmed(worker, 60 * mebi);
    CHECK(stage.state(worker) == "idle");
}

TEST_CASE("a leak has its successor warm before the line is crossed", "[pool][memory]") {
    LinedStage stage;
    stage.start();
    stage.worker(1, 1);
    stage.pass(500ms);  // the warm-up: a leak's successor is started four of them ahead
    FakeWorker& worker = stage.ready(1, 1);
    std::uint64_t rss = 50 * mebi;
    while (!stage.has(1, 2)) {
        const JobId id = stage.submit();
        stage.job(worker);
        stage.pass(500ms);
        worker.memory.rss = rss += 5 * mebi;
        REQUIRE(rss < 100 * mebi);
        stage.done(worker, id);
    }
    CHECK(rss >= 75 * mebi);
    CHECK(stage.state(worker) == "idle");
    CHECK(stage.status().trims == 0);
}

TEST_CASE("a worker that does not answer a request to trim is killed after a minute",
          "[pool][memory]") {
    LinedStage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    stage.job_leaves(worker, 350 * mebi);
    stage.pass(60s);
    CHECK_FALSE(worker.killed);
    stage.pass(1s);
    CHECK(worker.killed);
    stage.gone(worker);
    CHECK(stage.status().restarts["exit"] == 1);
}

TEST_CASE("a line below 1.2 times the fresh worker's size is a config error, not a loop",
          "[pool][memory]") {
    Stage stage;
    const bool by_rss = GENERATE(true, false);
    (by_rss ? stage.settings.recycle.max_rss : stage.settings.recycle.max_private) = 100 * mebi;
    (by_rss ? stage.host().fresh.rss : stage.host().fresh.private_bytes) = 90 * mebi;
    stage.start_ready();
    REQUIRE(stage.config_errors.size() == 1);
    CHECK(stage.config_errors[0] ==
          std::string("pool p: recycle.") + (by_rss ? "max_rss" : "max_private") +
              " = 100M is below 1.2 times what a fresh worker has (90M), so that every worker "
              "would be replaced at once; set it to 108M at the least");
    CHECK(stage.status().advice == stage.config_errors[0]);
    (by_rss ? stage.worker(1, 1).memory.rss : stage.worker(1, 1).memory.private_bytes) = 500 * mebi;
    stage.does_a_job(stage.worker(1, 1));
    stage.pass(10s);
    CHECK(stage.host().workers.size() == 1);  // the line is not obeyed
    CHECK(stage.config_errors.size() == 1);
}

TEST_CASE("recycling that gives back nothing stops after three times, and says so once",
          "[pool][memory]") {
    LinedStage stage;
    stage.start_ready();
    stage.job_leaves(stage.worker(1, 1), 120 * mebi);
    stage.host().fresh.rss = 119 * mebi;  // since the start, there is more to load
    for (unsigned incarnation = 1; incarnation <= 3; ++incarnation) {
        FakeWorker& worker = stage.worker(1, incarnation);
        CHECK(stage.status().advice == "");
        REQUIRE(stage.is_told_to_trim(worker));
        stage.trimmed(worker, worker.memory.rss);
        stage.ready(1, incarnation + 1);
        stage.retires(worker);
    }
    CHECK(stage.is_told_to_trim(stage.worker(1, 4)));  // as soon as it was ready
    stage.trimmed(stage.worker(1, 4), 119 * mebi);
    stage.pass(60s);
    CHECK(stage.hears_nothing(stage.worker(1, 4)));
    CHECK_FALSE(stage.has(1, 5));
    CHECK(stage.status().recycles["max_rss"] == 3);
    CHECK_THAT(stage.status().advice,
               ContainsSubstring("three recycles in a row for recycle.max_rss gave nothing back"));
    CHECK(stage.logged("pool.misconfigured").size() == 1);
    CHECK(stage.config_errors.empty());  // it has served: no reason to end

    SECTION("until the config changes") {
        stage.settings.recycle.max_rss = 110 * mebi;
        stage.pool().apply(stage.settings);
        CHECK(stage.status().advice == "");
        REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 5); }));
        stage.ready(1, 5);
        stage.retires(stage.worker(1, 4));
    }
}

TEST_CASE("where the budget has no room for one more, the old worker goes first",
          "[pool][memory]") {
    Stage stage;
    stage.host().fresh = {50 * mebi, 40 * mebi};
    stage.settings.memory.budget = 79 * mebi;
    stage.start_ready();
    FakeWorker& old = stage.worker(1, 1);
    stage.pool().recycle(1).value();
    stage.pass(1s);
    CHECK_FALSE(stage.has(1, 2));
    CHECK(stage.logged("worker.order_reversed").size() == 1);
    stage.retires(old);
    FakeWorker& fresh = stage.ready(1, 2);
    stage.does_a_job(fresh);
    CHECK(stage.status().recycles["requested"] == 1);
    CHECK(stage.status().slot_gap.count == 1);
}

TEST_CASE("a worker's last job does not wait for a successor that has no room", "[pool][memory]") {
    Stage stage;
    stage.host().fresh = {50 * mebi, 40 * mebi};
    stage.settings.memory.budget = 79 * mebi;
    stage.settings.recycle.max_tasks = 1;
    stage.start_ready();
    FakeWorker& old = stage.worker(1, 1);
    stage.does_a_job(old);
    const JobId waiting = stage.submit();
    stage.retires(old);
    FakeWorker& fresh = stage.ready(1, 2);
    CHECK(stage.job(fresh) == waiting);
}

TEST_CASE("with room in the budget the order is kept", "[pool][memory]") {
    Stage stage;
    stage.host().fresh = {50 * mebi, 40 * mebi};
    stage.settings.memory.budget = 80 * mebi;
    stage.start_ready();
    stage.pool().recycle(1).value();
    stage.ready(1, 2);
    stage.retires(stage.worker(1, 1));
    CHECK(stage.logged("worker.order_reversed").empty());
}

TEST_CASE("a job that grows over the hard line is stopped, and the line is named",
          "[pool][memory]") {
    Stage stage;
    stage.settings.memory.hard = 200 * mebi;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    CHECK(worker.limits.memory_max == (200 + 25 + 16) * mebi);  // the kernel's own comes later
    const JobId id = stage.submit();
    stage.job(worker);
    worker.memory.private_bytes = 200 * mebi - 1;
    stage.pass(200ms);
    CHECK_FALSE(worker.killed);
    worker.memory.private_bytes = 200 * mebi;
    stage.pass(100ms);
    CHECK(worker.killed);
    CHECK(stage.end_of(id).state == JobState::lost);
    CHECK_THAT(stage.end_of(id).report,
               ContainsSubstring("private memory of 200 MiB reached memory.hard = 200 MiB"));
    CHECK(stage.status().restarts["memory_hard_limit"] == 1);
    stage.ready(1, 2);  // at once: a death by our own hand is no crash loop
}

TEST_CASE("a job that races for the hard line is looked at more often", "[pool][memory]") {
    Stage stage;
    stage.settings.memory.hard = 1000 * mebi;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    const JobId id = stage.submit();
    stage.job(worker);
    worker.memory.private_bytes = 0;
    stage.pass(200ms);
    // 10 MiB a millisecond: looked at every 100 ms, it would be seen at 2000 MiB.
    std::uint64_t seen = 0;
    while (!worker.killed && seen < 3000 * mebi) {
        seen = worker.memory.private_bytes += 10 * mebi;
        stage.pass(1ms);
    }
    CHECK(worker.killed);
    CHECK(seen < 1150 * mebi);
    CHECK(stage.end_of(id).state == JobState::lost);
}
