#include "supervisor/process/orphans.hpp"

#include <signal.h>

#include <memory>

#include "supervisor/process/process_tree.hpp"
#include "support.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;
using namespace supervise::test;

namespace {

bool knows_nobody(pid_t) { return false; }

/// A child of ours that nobody knows, which lives until it is killed.
pid_t unknown_child() { return launch(shell("exec sleep 1000")).pid; }

bool lives(pid_t pid) {
    const auto facts = facts_of(pid);
    return facts && facts->state != 'Z';
}

/// Births are told apart by clock ticks: waits until what is born has a later one than `pid`.
void let_its_tick_pass(pid_t pid) {
    const auto then = facts_of(pid)->start_time;
    CHECK(eventually([then] {
        Launched probe = launch(shell("exec sleep 1000"));
        const bool later = facts_of(probe.pid)->start_time > then;
        ::kill(probe.pid, SIGKILL);
        wait(std::move(probe));
        return later;
    }));
}

/// It is taken for an orphan sooner or later: a killed process ends when it can.
void is_reaped(pid_t pid, const std::function<bool(pid_t)>& is_ours = knows_nobody) {
    CHECK(eventually([&] {
        reap_orphans(is_ours);
        return !facts_of(pid);
    }));
}

}  // namespace

TEST_CASE("what is born while a birth is expected is left alone until none is", "[orphans]") {
    auto birth = std::make_unique<BirthExpected>();
    const pid_t child = unknown_child();
    CHECK(reap_orphans(knows_nobody) == 0);
    CHECK(lives(child));
    SECTION("it turns out to be somebody's") {
        birth.reset();
        CHECK(reap_orphans([child](pid_t pid) { return pid == child; }) == 0);
        CHECK(lives(child));
    }
    SECTION("it turns out to be nobody's") { birth.reset(); }
    SECTION("it dies meanwhile: its status may be somebody's still") {
        ::kill(child, SIGKILL);
        REQUIRE(eventually([child] { return !lives(child); }));
        CHECK(reap_orphans(knows_nobody) == 0);
        CHECK(facts_of(child));
        birth.reset();
    }
    is_reaped(child);
}

TEST_CASE("what is older than the birth that is expected is an orphan as ever", "[orphans]") {
    const pid_t older = unknown_child();
    let_its_tick_pass(older);
    auto birth = std::make_unique<BirthExpected>();
    const pid_t younger = unknown_child();
    is_reaped(older);
    CHECK(lives(younger));
    birth.reset();
    is_reaped(younger);
}

TEST_CASE("of several births that are expected the first one counts", "[orphans]") {
    auto first = std::make_unique<BirthExpected>();
    const pid_t between = unknown_child();
    let_its_tick_pass(between);
    auto second = std::make_unique<BirthExpected>();
    const pid_t after = unknown_child();
    CHECK(reap_orphans(knows_nobody) == 0);
    CHECK(lives(between));
    SECTION("the first has come") {
        first.reset();
        is_reaped(between);
        CHECK(lives(after));
        second.reset();
    }
    SECTION("the second has come") {
        second.reset();
        CHECK(reap_orphans(knows_nobody) == 0);
        CHECK(lives(between));
        CHECK(lives(after));
        first.reset();
        is_reaped(between);
    }
    is_reaped(after);
}
