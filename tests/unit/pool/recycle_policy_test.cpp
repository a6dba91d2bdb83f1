#include "pool/recycle_policy.hpp"

#include <random>
#include <set>

#include "tests/support/catch.hpp"

using namespace supervise;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t mebi = 1 << 20;

/// A worker in the middle of an uneventful life: 100 jobs of a second, 300 ms to warm up.
WorkerFacts steady_worker() {
    WorkerFacts facts;
    facts.jobs_done = 100;
    facts.age = 100s;
    facts.memory = {100 * mebi, 80 * mebi};
    facts.job_interval = 1s;
    facts.warm_up = 300ms;
    return facts;
}

/// A decision in words: "keep", "stop: max_tasks".
std::string judged(const WorkerFacts& facts, const RecycleSettings& settings,
                   const SuspendedLines& suspended = {}) {
    constexpr const char* verdicts[] = {"keep", "prepare", "replace", "last_job", "trim", "stop"};
    const Decision decision = decide(facts, settings, suspended);
    const std::string verdict = verdicts[static_cast<int>(decision.verdict)];
    return decision.verdict == Verdict::keep
               ? verdict
               : verdict + ": " + std::string(name_of(decision.reason));
}

RecycleSettings exact_max_tasks(std::uint64_t jobs) {
    RecycleSettings settings;
    settings.max_tasks = jobs;
    settings.max_tasks_jitter = 0;
    return settings;
}

}  // namespace

TEST_CASE("a worker that no line concerns is kept, whatever it has done", "[pool][recycle]") {
    WorkerFacts facts = steady_worker();
    facts.jobs_done = 1'000'000;
    facts.age = 24h;
    facts.idle_for = 24h;
    facts.memory = {1'000'000 * mebi, 1'000'000 * mebi};
    CHECK(judged(facts, {}) == "keep");
}

TEST_CASE("a worker that has done max_tasks jobs gets no more", "[pool][recycle]") {
    WorkerFacts facts = steady_worker();
    const RecycleSettings settings = exact_max_tasks(100);
    facts.jobs_done = 100;
    CHECK(judged(facts, settings) == "stop: max_tasks");
    facts.jobs_done = 99;
    CHECK(judged(facts, settings) == "last_job: max_tasks");
    facts.jobs_done = 98;  // two jobs take 2 s, a successor is warm in 0.3 s
    CHECK(judged(facts, settings) == "keep");
}

TEST_CASE("the successor is prepared one and a half warm-ups before the task line",
          "[pool][recycle]") {
    WorkerFacts facts = steady_worker();
    const RecycleSettings settings = exact_max_tasks(200);
    facts.job_interval = 10ms;
    facts.warm_up = 303ms;  // 454 ms are 45 jobs
    facts.jobs_done = 154;
    CHECK(judged(facts, settings) == "keep");
    facts.jobs_done = 155;
    CHECK(judged(facts, settings) == "prepare: max_tasks");
}

TEST_CASE("a fresh worker, which has no job interval yet, prepares nothing", "[pool][recycle]") {
    WorkerFacts facts;
    facts.warm_up = 1h;
    facts.growth_per_job = 10.0 * mebi;
    RecycleSettings settings = exact_max_tasks(3);
    settings.max_rss = 100 * mebi;
    facts.memory.rss = 50 * mebi;
    CHECK(judged(facts, settings) == "keep");
}

TEST_CASE("a pool of max_tasks = 1 has a successor ready from the first", "[pool][recycle]") {
    CHECK(judged({}, exact_max_tasks(1)) == "last_job: max_tasks");
}

TEST_CASE("the task line is drawn from [(1 - jitter) * max_tasks, max_tasks]", "[pool][recycle]") {
    CHECK(task_line(1000, 0.1, 0) == 1000);
    CHECK(task_line(1000, 0.1, 1) == 900);
    CHECK(task_line(1000, 0, 1) == 1000);
    CHECK(task_line(1000, 0.9, 0.5) == 550);
    CHECK(task_line(1, 0.9, 1) == 1);  // never none at all
    std::mt19937_64 random(7);
    std::uniform_real_distribution<> share(0.0, 1.0);
    std::set<std::uint64_t> drawn;
    for (int i = 0; i < 10'000; ++i) {
        const std::uint64_t line = task_line(50, 0.2, share(random));
        REQUIRE(line >= 40);
        REQUIRE(line <= 50);
        drawn.insert(line);
    }
    CHECK(drawn.size() >= 10);  // and all of it is used
}

TEST_CASE("a worker over a memory line is trimmed first and stopped only if still over",
          "[pool][recycle]") {
    const bool by_rss = GENERATE(true, false);
    const RecycleReason reason = by_rss ? RecycleReason::max_rss : RecycleReason::max_private;
    WorkerFacts facts = steady_worker();
    RecycleSettings settings;
    (by_rss ? settings.max_rss : settings.max_private) = 200 * mebi;
    std::uint64_t& memory = by_rss ? facts.memory.rss : facts.memory.private_bytes;

    memory = 200 * mebi - 1;
    CHECK(judged(facts, settings) == "keep");
    memory = 200 * mebi;
    CHECK(judged(facts, settings) == "trim: " + std::string(name_of(reason)));
    facts.just_trimmed = true;
    CHECK(judged(facts, settings) == "stop: " + std::string(name_of(reason)));
    memory = 150 * mebi;
    CHECK(judged(facts, settings) == "keep");
}

TEST_CASE("each memory line looks at its own figure", "[pool][recycle]") {
    WorkerFacts facts = steady_worker();
    RecycleSettings settings;
    settings.max_rss = 200 * mebi;
    settings.max_private = 200 * mebi;
    facts.memory = {100 * mebi, 300 * mebi};
    CHECK(judged(facts, settings) == "trim: max_private");
    facts.memory = {300 * mebi, 100 * mebi};
    CHECK(judged(facts, settings) == "trim: max_rss");
}

TEST_CASE("a leak that will cross its line within a warm-up has its successor prepared",
          "[pool][recycle]") {
    WorkerFacts facts = steady_worker();
    RecycleSettings settings;
    settings.max_rss = 150 * mebi;
    facts.growth_per_job = 5.0 * mebi;
    facts.warm_up = 2s;  // four of them are eight jobs, 40 MiB
    facts.memory.rss = 109 * mebi;
    CHECK(judged(facts, settings) == "keep");
    facts.memory.rss = 110 * mebi;
    CHECK(judged(facts, settings) == "prepare: max_rss");
    SECTION("but not for growth that is noise") {
        facts.growth_per_job = 60.0 * 1024;
        facts.memory.rss = 150 * mebi - 1;
        CHECK(judged(facts, settings) == "keep");
    }
    SECTION("nor while it shrinks") {
        facts.growth_per_job = -5.0 * mebi;
        CHECK(judged(facts, settings) == "keep");
    }
}

TEST_CASE("a line that is suspended is not obeyed, the other still is", "[pool][recycle]") {
    WorkerFacts facts = steady_worker();
    RecycleSettings settings;
    settings.max_rss = 50 * mebi;
    settings.max_private = 50 * mebi;
    SuspendedLines suspended;
    suspended.max_rss = true;
    CHECK(judged(facts, settings, suspended) == "trim: max_private");
    suspended.max_private = true;
    CHECK(judged(facts, settings, suspended) == "keep");
}

TEST_CASE("a worker over max_age is replaced, earlier by its jitter", "[pool][recycle]") {
    WorkerFacts facts = steady_worker();
    RecycleSettings settings;
    settings.max_age = 100s;
    settings.max_tasks_jitter = 0.2;
    facts.jitter = 0;
    facts.age = 99'999ms;
    CHECK(judged(facts, settings) == "keep");
    facts.age = 100s;
    CHECK(judged(facts, settings) == "replace: max_age");
    facts.jitter = 1;
    facts.age = 79'999ms;
    CHECK(judged(facts, settings) == "keep");
    facts.age = 80s;
    CHECK(judged(facts, settings) == "replace: max_age");
}

TEST_CASE("an idle worker is replaced, but not one that has done nothing yet", "[pool][recycle]") {
    WorkerFacts facts = steady_worker();
    RecycleSettings settings;
    settings.idle = 60s;
    facts.idle_for = 59'999ms;
    CHECK(judged(facts, settings) == "keep");
    facts.idle_for = 60s;
    CHECK(judged(facts, settings) == "replace: idle");
    facts.jobs_done = 0;
    CHECK(judged(facts, settings) == "keep");
}

TEST_CASE("a worker that was asked to go is replaced for the reason that was given",
          "[pool][recycle]") {
    WorkerFacts facts = steady_worker();
    const auto reason =
        GENERATE(RecycleReason::requested, RecycleReason::config, RecycleReason::pressure);
    facts.asked = reason;
    CHECK(judged(facts, {}) == "replace: " + std::string(name_of(reason)));
}

TEST_CASE("of several reasons the most urgent one counts", "[pool][recycle]") {
    WorkerFacts facts = steady_worker();
    facts.asked = RecycleReason::requested;
    facts.age = 10s;
    facts.idle_for = 10s;
    RecycleSettings settings = exact_max_tasks(200);
    settings.max_age = 10s;
    settings.idle = 10s;
    SECTION("of equals, the first: a wish, then age, then idleness") {
        CHECK(judged(facts, settings) == "replace: requested");
        facts.asked.reset();
        CHECK(judged(facts, settings) == "replace: max_age");
        settings.max_age.reset();
        CHECK(judged(facts, settings) == "replace: idle");
    }
    SECTION("replacing goes before preparing") {
        facts.jobs_done = 198;
        facts.job_interval = 1ms;
        CHECK(judged(facts, settings) == "replace: requested");
    }
    SECTION("trimming goes before replacing: it may still serve, but not above the line") {
        settings.max_rss = 100 * mebi;
        CHECK(judged(facts, settings) == "trim: max_rss");
    }
    SECTION("the end of its tasks goes before everything") {
        settings.max_rss = 100 * mebi;
        facts.jobs_done = 200;
        CHECK(judged(facts, settings) == "stop: max_tasks");
    }
}

TEST_CASE("a worker that is to go does not wait for its last job first", "[pool][recycle]") {
    WorkerFacts facts = steady_worker();
    const RecycleSettings settings = exact_max_tasks(101);
    CHECK(judged(facts, settings) == "last_job: max_tasks");
    facts.asked = RecycleReason::config;
    CHECK(judged(facts, settings) == "stop: config");
}

TEST_CASE("reasons are called in status and metrics as in the config", "[pool][recycle]") {
    const std::string_view names[] = {"max_tasks", "max_rss",   "max_private", "max_age",
                                      "idle",      "requested", "config",      "pressure"};
    for (std::size_t i = 0; i < recycle_reasons; ++i) {
        CHECK(name_of(static_cast<RecycleReason>(i)) == names[i]);
    }
}

TEST_CASE("a tenth of a pool is in replacement at once, and always one", "[pool][recycle]") {
    for (const unsigned small : {0U, 1U, 4U, 9U, 10U, 19U}) {
        CHECK(replacement_limit(small) == 1);
    }
    CHECK(replacement_limit(20) == 2);
    CHECK(replacement_limit(1024) == 102);
}

TEST_CASE("the least sensible line is 1.2 times the fresh worker's size", "[pool][recycle]") {
    CHECK(least_line(100 * mebi) == 120 * mebi);
    CHECK(least_line(0) == 0);
}

TEST_CASE("three recycles in a row that give back less than a twentieth are futile, once",
          "[pool][recycle]") {
    FutilityWatch watch;
    CHECK_FALSE(watch.recycled(100, 96));
    CHECK_FALSE(watch.recycled(100, 96));
    SECTION("the third one says so, the fourth is silent") {
        CHECK(watch.recycled(100, 96));
        CHECK_FALSE(watch.recycled(100, 96));
    }
    SECTION("one that gives back a twentieth begins the count again") {
        CHECK_FALSE(watch.recycled(100, 95));
        CHECK_FALSE(watch.recycled(100, 96));
        CHECK_FALSE(watch.recycled(100, 96));
        CHECK(watch.recycled(100, 96));
    }
    SECTION("a successor that is larger is as futile") { CHECK(watch.recycled(100, 200)); }
    SECTION("reset forgets") {
        watch.reset();
        CHECK_FALSE(watch.recycled(100, 96));
        CHECK_FALSE(watch.recycled(100, 96));
        CHECK(watch.recycled(100, 96));
    }
}
