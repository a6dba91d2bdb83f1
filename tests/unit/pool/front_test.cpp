#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "pool/front_spec.hpp"
#include "tests/unit/pool/front_stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t mebi = 1 << 20;

std::string argument_behind(const FakeWorker& front, const std::string& option) {
    const std::vector<std::string>& words = front.spec.argv;
    const auto found = std::find(words.begin(), words.end(), option);
    return found == words.end() || found + 1 == words.end() ? "" : *(found + 1);
}

bool has_variable(const FakeWorker& front, const std::string& entry) {
    const std::vector<std::string>& all = front.spec.environment;
    return std::find(all.begin(), all.end(), entry) != all.end();
}

}  // namespace

TEST_CASE("a front starts when the first worker is ready, and the pool runs when it consumes",
          "[pool][front]") {
    FrontStage stage(3);
    stage.settings.front->queues = {"a", "b"};
    stage.settings.front->arguments = {"-E"};
    stage.start();
    stage.pass(5s);
    CHECK_FALSE(stage.has_front(1));
    stage.ready(1, 1);
    FakeWorker& front = stage.connecting(1);
    CHECK(stage.status().state == "starting");
    CHECK(argument_behind(front, "-c") == "3");
    CHECK(argument_behind(front, "-n") == "work@host");
    CHECK(argument_behind(front, "-l") == "INFO");
    CHECK(argument_behind(front, "-Q") == "a,b");
    CHECK(front.spec.argv.back() == "-E");
    CHECK(has_variable(front, "SUPERVISE_SOCKET=" + stage.runtime_dir() + "/p.sock"));

    front.memory.rss = 50 * mebi;
    front.send(ipc::Ready{});
    stage.until("the pool to run", [&] { return stage.status().state == "running"; });
    const FrontSnapshot row = stage.row(front);
    CHECK(row.incarnation == 1);
    CHECK(row.node == "work@host");
    CHECK(row.state == "ready");
    CHECK(row.rss_bytes == 50 * mebi);
    CHECK(stage.logged("front.ready").size() == 1);
}

TEST_CASE("a pool without the table has no front", "[pool][front]") {
    FrontStage stage;
    stage.settings.front.reset();
    stage.start_ready();
    stage.pass(1min);
    CHECK_FALSE(stage.has_front(1));
    CHECK(stage.status().state == "running");
    CHECK(stage.pool().recycle_front().error().code == "no_front");
}

TEST_CASE("%h of a node name is the host, and the second front has a name of its own",
          "[pool][front]") {
    PoolSettings settings;
    settings.name = "work";
    settings.front.emplace();
    char host[256] = {};
    REQUIRE(::gethostname(host, sizeof host - 1) == 0);
    CHECK(front_node(settings, 0) == std::string("work@") + host);
    settings.front->hostname = "a@%h.%d";
    CHECK(front_node(settings, 1) == std::string("a-2@") + host + ".%d");
}

TEST_CASE("a front that dies is started again within the back-off", "[pool][front]") {
    FrontStage stage;
    stage.settings.restart.backoff_first = 10s;
    FakeWorker& first = stage.start_served();
    stage.ends(first, 1);
    CHECK(stage.logged("front.died").at(0).fields.at("detail") == "exit code 1");
    CHECK(stage.status().front_restarts.at("exit") == 1);
    CHECK_THAT(stage.status().advice, ContainsSubstring("its front died: exit code 1"));
    stage.pass(7400ms);
    CHECK_FALSE(stage.has_front(2));
    FakeWorker& second = stage.consumes(2);
    CHECK(stage.row(second).node == "work@host");
    CHECK(stage.status().advice.empty());
}

TEST_CASE("fronts that die again and again without a task done degrade the pool", "[pool][front]") {
    FrontStage stage;
    stage.settings.restart.burst = 3;
    stage.settings.restart.backoff_most = 1s;
    stage.start_ready();
    for (const unsigned number : {1U, 2U, 3U}) {
        FakeWorker& front = stage.launched(number);
        front.send(ipc::StartFailed{"ImportError", "No module named 'proj'"});
        stage.ends(front, 1);
    }
    CHECK(stage.status().state == "degraded");
    CHECK_THAT(stage.status().advice,
               ContainsSubstring("start failed: ImportError: No module named 'proj'"));
    CHECK_THAT(stage.status().advice, ContainsSubstring("supervise resume p"));
    stage.pass(1min);
    CHECK_FALSE(stage.has_front(4));
    stage.pool().resume();
    stage.consumes(4);
    CHECK(stage.status().state == "running");
}

TEST_CASE("a front that the machine is too short for does not degrade the pool", "[pool][front]") {
    FrontStage stage;
    stage.settings.restart.burst = 2;
    FakeWorker& front = stage.start_served();
    stage.host().launch_failure = "/usr/bin/python3";
    stage.host().launch_error = EAGAIN;
    stage.ends(front, 1);
    REQUIRE(stage.pass_until(60s, [&] { return stage.host().failed_launches == 4; }));
    CHECK(stage.status().state == "running");
    CHECK_THAT(stage.status().advice,
               ContainsSubstring("its front did not start: exec /usr/bin/python3: Resource "
                                 "temporarily unavailable (a limit of processes is reached"));
    CHECK(stage.status().front_restarts == std::map<std::string, std::uint64_t>{{"exit", 1}});
    stage.host().launch_failure.clear();
    stage.consumes(6);
    CHECK(stage.status().advice.empty());
}

TEST_CASE("a front whose tasks get done is no crash loop, however often it dies", "[pool][front]") {
    FrontStage stage;
    stage.settings.restart.burst = 2;
    stage.start_ready();
    for (const unsigned number : {1U, 2U, 3U}) {
        FakeWorker& front = stage.consumes(number);
        stage.does_a_job(stage.worker(1, 1));
        stage.ends(front, 1);
    }
    stage.consumes(4);
    CHECK(stage.status().state == "running");
}

TEST_CASE("one that waits for the broker has all the time, one that imports has not",
          "[pool][front]") {
    FrontStage stage;
    stage.settings.start_timeout = 10s;
    stage.start_ready();
    FakeWorker& slow = stage.launched(1);
    stage.pass(10200ms);
    stage.until("the slow one's end", [&] { return stage.row(slow).state.empty(); });
    CHECK_THAT(stage.logged("front.died").at(0).fields.at("detail"),
               ContainsSubstring("was not imported 10000 ms after its launch (start_timeout)"));
    FakeWorker& waits = stage.connecting(2);
    stage.pass(1h);
    CHECK(stage.row(waits).state == "connecting");
    CHECK_THAT(stage.status().advice, ContainsSubstring("has not reached the broker yet"));
}

TEST_CASE("a front at its hard line is killed, and another started", "[pool][front]") {
    FrontStage stage;
    stage.settings.front->hard = 100 * mebi;
    FakeWorker& front = stage.start_served();
    CHECK(front.limits.memory_max == backstop(100 * mebi));
    front.memory.private_bytes = 100 * mebi;
    stage.pass(200ms);
    stage.until("its end", [&] { return stage.row(front).state.empty(); });
    CHECK(front.killed);
    CHECK(stage.logged("front.died").at(0).fields.at("reason") == "memory_hard_limit");
    CHECK(stage.status().front_restarts.at("memory_hard_limit") == 1);
    stage.consumes(2);
}

TEST_CASE("a message that is none of a front's ends it", "[pool][front]") {
    FrontStage stage;
    FakeWorker& front = stage.start_served();
    front.send(ipc::Ready{});
    stage.until("its end", [&] { return stage.row(front).state.empty(); });
    CHECK(stage.logged("front.protocol_error").size() == 1);
}
