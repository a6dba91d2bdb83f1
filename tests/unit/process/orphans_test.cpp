#include "supervisor/process/orphans.hpp"

#include <signal.h>
#include <sys/socket.h>

#include <memory>

#include "supervisor/process/process_tree.hpp"
#include "support.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;
using namespace supervise::test;

namespace {

bool knows_nobody(pid_t) { return false; }

/// A child of ours that lives until it is killed, and can show that it does.
class Child {
  public:
    Child() {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
        ours_.reset(ends[0]);
        const UniqueFd theirs(ends[1]);
        LaunchSpec spec = shell("while read line; do echo $line; done <&3 >&3");
        spec.channel = theirs.get();
        pid = launch(std::move(spec)).pid;
        REQUIRE(lives());
    }

    /// False once it was sent SIGKILL, though it may still be there.
    bool lives() const {
        return ::send(ours_.get(), "x\n", 2, MSG_NOSIGNAL) == 2 && read_line(ours_.get()) == "x";
    }
    unsigned long long start_time() const { return facts_of(pid)->start_time; }
    /// It is taken for an orphan, and ends when it can.
    bool is_reaped() const {
        return eventually([this] {
            reap_orphans(knows_nobody);
            return !facts_of(pid);
        });
    }

    pid_t pid = 0;

  private:
    UniqueFd ours_;
};

/// Births are told apart by clock ticks: waits until what is born has a later one than `child`.
void let_its_tick_pass(const Child& child) {
    const auto then = child.start_time();
    CHECK(eventually([then] {
        Launched probe = launch(shell("exec sleep 1000"));
        const bool later = facts_of(probe.pid)->start_time > then;
        ::kill(probe.pid, SIGKILL);
        wait(std::move(probe));
        return later;
    }));
}

}  // namespace

TEST_CASE("what is born while a birth is expected is left alone until none is", "[orphans]") {
    auto birth = std::make_unique<BirthExpected>();
    const Child child;
    CHECK(reap_orphans(knows_nobody) == 0);
    CHECK(child.lives());
    SECTION("it turns out to be somebody's") {
        birth.reset();
        CHECK(reap_orphans([&](pid_t pid) { return pid == child.pid; }) == 0);
        CHECK(child.lives());
    }
    SECTION("it turns out to be nobody's") { birth.reset(); }
    SECTION("it dies meanwhile: its status may be somebody's still") {
        ::kill(child.pid, SIGKILL);
        REQUIRE(eventually([&] { return facts_of(child.pid)->state == 'Z'; }));
        CHECK(reap_orphans(knows_nobody) == 0);
        CHECK(facts_of(child.pid));
        birth.reset();
    }
    CHECK(child.is_reaped());
}

TEST_CASE("what is older than the birth that is expected is an orphan as ever", "[orphans]") {
    const Child older;
    let_its_tick_pass(older);
    auto birth = std::make_unique<BirthExpected>();
    const Child younger;
    CHECK(older.is_reaped());
    CHECK(younger.lives());
    birth.reset();
    CHECK(younger.is_reaped());
}

TEST_CASE("of several births that are expected the first one counts", "[orphans]") {
    auto first = std::make_unique<BirthExpected>();
    const Child between;
    let_its_tick_pass(between);
    auto second = std::make_unique<BirthExpected>();
    const Child after;
    CHECK(reap_orphans(knows_nobody) == 0);
    CHECK(between.lives());
    SECTION("the first has come") {
        first.reset();
        CHECK(between.is_reaped());
        CHECK(after.lives());
        second.reset();
    }
    SECTION("the second has come") {
        second.reset();
        CHECK(reap_orphans(knows_nobody) == 0);
        CHECK(between.lives());
        CHECK(after.lives());
        first.reset();
        CHECK(between.is_reaped());
    }
    CHECK(after.is_reaped());
}
