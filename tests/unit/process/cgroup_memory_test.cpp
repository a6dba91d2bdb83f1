#include <signal.h>

#include "cgroup_support.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;
using namespace supervise::test;

namespace {

constexpr std::uint64_t mib = std::uint64_t{1} << 20;

/// A worker that takes `size` MiB, says so, and waits.
LaunchSpec allocate(int size) {
    return python("import time\nx = b'x' * (" + std::to_string(size) +
                  " << 20)\nprint(flush=True)\ntime.sleep(1000)");
}

}  // namespace

TEST_CASE("a sample shows what the worker has and nothing after its end", "[cgroup][memory]") {
    const Tier tier = GENERATE(Tier::a, Tier::c, Tier::d);
    TestGroups groups(tier);
    CAPTURE(letter(groups->tier()));
    auto leaf = groups->make_leaf("mail", "1.1", {}).value();
    CHECK_FALSE(leaf->sample());
    Pipe pipe = make_pipe();
    LaunchSpec spec = in(*leaf, allocate(50));
    spec.out = pipe.writer.get();
    Launched child = launch(std::move(spec));
    const pid_t pid = child.pid;
    leaf->attach(pid);
    read_line(pipe.reader.get());
    const auto sample = leaf->sample();
    REQUIRE(sample);
    CHECK(sample->rss >= 50 * mib);
    CHECK(sample->rss <= 75 * mib);
    CHECK(sample->private_bytes >= 50 * mib);
    CHECK(sample->private_bytes <= 70 * mib);
    CHECK(leaf->kill_all(pid).has_value());
    CHECK(eventually([&leaf] { return !leaf->sample(); }));  // a zombie has none
    wait(std::move(child));
    CHECK_FALSE(leaf->sample());
    CHECK(leaf->events().has_value() == groups.real());
    CHECK(leaf->remove().has_value());
}

TEST_CASE("shared memory that a worker fills is its own", "[cgroup][memory]") {
    TestGroups groups;
    if (!groups.real()) {
        SUPERVISE_SKIP(no_groups());
    }
    auto leaf = groups->make_leaf("mail", "1.1", {}).value();
    Pipe pipe = make_pipe();
    LaunchSpec spec = in(*leaf, python("import os, time\n"
                                       "os.write(os.memfd_create('x'), b'x' * (20 << 20))\n"
                                       "print(flush=True)\ntime.sleep(1000)"));
    spec.out = pipe.writer.get();
    Launched child = launch(std::move(spec));
    leaf->attach(child.pid);
    read_line(pipe.reader.get());
    const auto sample = leaf->sample();
    REQUIRE(sample);
    CHECK(sample->private_bytes >= 20 * mib);
    CHECK(sample->rss < 20 * mib);  // written, never mapped
    CHECK(leaf->kill_all(child.pid).has_value());
    wait(std::move(child));
    CHECK(leaf->remove().has_value());
}

TEST_CASE("the kernel's kill at the leaf's limit is counted", "[cgroup][memory]") {
    TestGroups groups;
    if (!groups.real()) {
        SUPERVISE_SKIP(no_groups());
    }
    auto leaf = groups->make_leaf("mail", "1.1", {30 * mib}).value();
    const auto before = leaf->events();
    REQUIRE(before);
    CHECK(before->oom_kill == 0);
    Launched child = launch(in(*leaf, allocate(100)));
    leaf->attach(child.pid);
    CHECK(wait(std::move(child)) == ExitStatus{ExitStatus::Kind::signaled, SIGKILL, false});
    const auto after = leaf->events();
    REQUIRE(after);
    CHECK(after->oom_kill >= 1);  // memory.oom.group counts the victim once more
    CHECK(after->max > 0);
    if (after->peak != 0) {  // memory.peak is there since Linux 5.19
        CHECK(after->peak <= 30 * mib);
        CHECK(after->peak > 25 * mib);
    }
    CHECK(leaf->remove().has_value());
}

TEST_CASE("a worker that is killed otherwise counts as no OOM", "[cgroup][memory]") {
    TestGroups groups;
    if (!groups.real()) {
        SUPERVISE_SKIP(no_groups());
    }
    auto leaf = groups->make_leaf("mail", "1.1", {200 * mib}).value();
    Launched child = launch(in(*leaf, shell("kill -KILL $$")));
    CHECK(wait(std::move(child)).value == SIGKILL);
    CHECK(leaf->events()->oom_kill == 0);
    CHECK(leaf->remove().has_value());
}
