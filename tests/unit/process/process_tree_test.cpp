#include "supervisor/process/process_tree.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>

#include "supervisor/process/orphans.hpp"
#include "support.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;
using namespace supervise::test;

namespace {

bool gone(pid_t pid) {
    const auto facts = facts_of(pid);
    return !facts || facts->state == 'Z';
}

/// Starts a tree and returns its leader and the pids that it prints, one a line.
struct Tree {
    Launched leader;
    std::vector<pid_t> others;
};
Tree start(const std::string& script, int count) {
    Pipe pipe = make_pipe();
    LaunchSpec spec = shell(script);
    spec.out = pipe.writer.get();
    Tree tree{launch(std::move(spec)), {}};
    pipe.writer.reset();
    for (int i = 0; i < count; ++i) {
        tree.others.push_back(std::stoi(read_line(pipe.reader.get())));
    }
    return tree;
}

bool knows_nobody(pid_t) { return false; }

void reap_all() {
    CHECK(eventually([] {
        reap_orphans(knows_nobody);
        return children_of(::getpid()).empty();
    }));
}

}  // namespace

TEST_CASE("facts of a process are read past any name", "[process_tree]") {
    Pipe pipe = make_pipe();
    LaunchSpec spec = python(
        "import time\nopen('/proc/self/comm', 'w').write(') R 1 "
        "2')\nprint(flush=True)\ntime.sleep(1000)");
    spec.out = pipe.writer.get();
    Launched child = launch(std::move(spec));
    read_line(pipe.reader.get());
    const auto facts = facts_of(child.pid);
    REQUIRE(facts);
    CHECK(facts->parent == ::getpid());
    CHECK(facts->session == child.pid);
    CHECK(facts->group == child.pid);
    CHECK(facts->start_time > 0);
    CHECK(children_of(::getpid()) == std::vector<pid_t>{child.pid});
    ::kill(child.pid, SIGKILL);
    wait(std::move(child));
    CHECK(children_of(::getpid()).empty());
}

TEST_CASE("killing a tree takes grandchildren with sessions of their own", "[process_tree]") {
    become_subreaper();
    Tree tree = start(
        // in a group of its own; two levels down; and one whose parent has gone
        "setsid sh -c 'echo $$; exec sleep 1000' &\n"
        "sh -c 'setsid sh -c \"echo \\$\\$; sleep 1001\" & wait' &\n"
        "sh -c 'sh -c \"echo \\$\\$; exec sleep 1002\" &'\n"
        "wait; exec sleep 1003",
        3);
    kill_tree(tree.leader.pid);
    CHECK(
        eventually([&tree] { return std::all_of(tree.others.begin(), tree.others.end(), gone); }));
    CHECK(wait(std::move(tree.leader)).value == SIGKILL);
    reap_all();
}

TEST_CASE("killing a tree holds against one that keeps forking", "[process_tree]") {
    become_subreaper();
    Tree tree = start("echo $$; while :; do setsid sleep 1000 & done", 1);
    CHECK(eventually([&tree] { return children_of(tree.leader.pid).size() > 50; }));
    kill_tree(tree.leader.pid);
    CHECK(wait(std::move(tree.leader)).value == SIGKILL);
    // What is left are at most our zombies: nothing else still runs.
    for (const pid_t pid : children_of(::getpid())) {
        CHECK(eventually([pid] { return gone(pid); }));
    }
    reap_all();
}

TEST_CASE("orphans are killed and reaped, known workers are left alone", "[orphans]") {
    become_subreaper();
    Launched ended = launch(shell("exit 7"));  // a known worker's zombie, first in the list
    REQUIRE(eventually([&ended] { return gone(ended.pid); }));
    Tree tree = start("setsid sh -c 'echo $$; exec sleep 1000' & sleep 0", 1);
    const pid_t orphan = tree.others.front();
    CHECK(wait(std::move(tree.leader)).clean());
    const auto known = [&ended](pid_t pid) { return pid == ended.pid; };
    std::size_t reaped = 0;
    CHECK(eventually([&] {
        reaped += reap_orphans(known);
        return reaped == 1;
    }));
    CHECK_FALSE(facts_of(orphan));
    CHECK(reap_orphans(known) == 0);
    CHECK(wait(std::move(ended)).value == 7);  // its status is still there
}

TEST_CASE("what a living worker has put into the background is no orphan yet", "[orphans]") {
    become_subreaper();
    Tree tree = start("sh -c 'sh -c \"echo \\$\\$; exec sleep 1000\" &'\nexec sleep 1001", 1);
    const pid_t background = tree.others.front();
    REQUIRE(eventually([background] {
        const auto facts = facts_of(background);
        return facts && facts->parent == ::getpid();
    }));
    const pid_t worker = tree.leader.pid;
    CHECK(reap_orphans([worker](pid_t pid) { return pid == worker; }) == 0);
    CHECK_FALSE(gone(background));
    kill_tree(worker);
    wait(std::move(tree.leader));
    reap_all();
    CHECK_FALSE(facts_of(background));
}
