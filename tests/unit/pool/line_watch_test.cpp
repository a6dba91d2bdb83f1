#include "supervisor/pool/line_watch.hpp"

#include "tests/support/catch.hpp"

using namespace supervise;
using namespace supervise::test;

namespace {

constexpr std::uint64_t mebi = 1 << 20;

RecycleSettings lines(std::optional<std::uint64_t> max_rss,
                      std::optional<std::uint64_t> max_private) {
    RecycleSettings settings;
    settings.max_rss = max_rss;
    settings.max_private = max_private;
    return settings;
}

}  // namespace

TEST_CASE("a line of 1.2 times the fresh worker's size is the least that makes sense",
          "[pool][line_watch]") {
    LineWatch watch;
    const MemorySample fresh{100 * mebi, 50 * mebi};
    SECTION("both lines are high enough") {
        CHECK(watch.check("p", lines(120 * mebi, 60 * mebi), fresh).empty());
        CHECK_FALSE(watch.suspended().max_rss);
        CHECK_FALSE(watch.suspended().max_private);
    }
    SECTION("the one of RSS is not") {
        CHECK(watch.check("p", lines(120 * mebi - 1, 60 * mebi), fresh) ==
              "pool p: recycle.max_rss = 120M is below 1.2 times what a fresh worker has (100M), "
              "so that every worker would be replaced at once; set it to 120M at the least");
        CHECK(watch.suspended().max_rss);
        CHECK_FALSE(watch.suspended().max_private);
    }
    SECTION("neither is: both are named") {
        const std::string error = watch.check("p", lines(1, 1), fresh);
        CHECK_THAT(error, ContainsSubstring("recycle.max_rss = 1M"));
        CHECK_THAT(error, ContainsSubstring("; pool p: recycle.max_private = 1M"));
        CHECK_THAT(error, ContainsSubstring("set it to 60M"));
        CHECK(watch.suspended().max_rss);
        CHECK(watch.suspended().max_private);
    }
    SECTION("there is none") {
        CHECK(watch.check("p", lines({}, {}), fresh).empty());
        CHECK_FALSE(watch.suspended().max_rss);
        CHECK_FALSE(watch.suspended().max_private);
    }
}

TEST_CASE("only the first fresh worker since a reset is held against the lines",
          "[pool][line_watch]") {
    LineWatch watch;
    const RecycleSettings settings = lines(120 * mebi, {});
    CHECK(watch.check("p", settings, {100 * mebi, 0}).empty());
    CHECK(watch.check("p", settings, {500 * mebi, 0}).empty());
    CHECK_FALSE(watch.suspended().max_rss);
    watch.reset();
    CHECK_FALSE(watch.check("p", settings, {500 * mebi, 0}).empty());
    CHECK(watch.check("p", settings, {500 * mebi, 0}).empty());
    CHECK(watch.suspended().max_rss);
    watch.reset();
    CHECK_FALSE(watch.suspended().max_rss);
}

TEST_CASE("a line is suspended after three recycles in a row that gave nothing back",
          "[pool][line_watch]") {
    LineWatch watch;
    const bool by_rss = GENERATE(true, false);
    const RecycleReason reason = by_rss ? RecycleReason::max_rss : RecycleReason::max_private;
    const auto recycled = [&](std::uint64_t before, std::uint64_t after) {
        // The other figure would tell another story.
        const MemorySample old =
            by_rss ? MemorySample{before, 900 * mebi} : MemorySample{900 * mebi, before};
        const MemorySample fresh = by_rss ? MemorySample{after, 1} : MemorySample{1, after};
        return watch.recycled(reason, old, fresh);
    };
    const auto suspended = [&] {
        return by_rss ? watch.suspended().max_rss : watch.suspended().max_private;
    };
    CHECK(recycled(200 * mebi, 199 * mebi).empty());
    CHECK(recycled(200 * mebi, 250 * mebi).empty());
    CHECK(recycled(200 * mebi, 100 * mebi).empty());  // this one did: counted from the start
    CHECK(recycled(200 * mebi, 199 * mebi).empty());
    CHECK(recycled(200 * mebi, 199 * mebi).empty());
    CHECK_FALSE(suspended());
    CHECK(recycled(200 * mebi, 199 * mebi) ==
          "three recycles in a row for recycle." + std::string(name_of(reason)) +
              " gave nothing back; it is not obeyed until the config changes: raise it or look for "
              "what a fresh worker loads");
    CHECK(suspended());
    CHECK(watch.suspended().max_rss == by_rss);
    CHECK(watch.suspended().max_private == !by_rss);
    CHECK(recycled(200 * mebi, 199 * mebi).empty());  // said once
    watch.reset();
    CHECK_FALSE(suspended());
    CHECK(recycled(200 * mebi, 199 * mebi).empty());  // and counted from the start again
}

TEST_CASE("recycles for another reason say nothing of the lines", "[pool][line_watch]") {
    LineWatch watch;
    for (int i = 0; i < 4; ++i) {
        CHECK(watch.recycled(RecycleReason::max_tasks, {200, 200}, {200, 200}).empty());
        CHECK(watch.recycled(RecycleReason::max_age, {200, 200}, {200, 200}).empty());
    }
    // Two of each: neither has come to three.
    for (int i = 0; i < 2; ++i) {
        CHECK(watch.recycled(RecycleReason::max_rss, {200, 200}, {200, 200}).empty());
        CHECK(watch.recycled(RecycleReason::max_private, {200, 200}, {200, 200}).empty());
    }
    CHECK_FALSE(watch.suspended().max_rss);
    CHECK_FALSE(watch.suspended().max_private);
}
