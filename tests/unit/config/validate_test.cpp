#include "config/validate.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include "tests/support/catch.hpp"
#include "tests/unit/config/support.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

const config::Host root_host{0, true, 0, "/usr/bin:/bin"};
const config::Host plain_host{1'000, false, 0, "/usr/bin:/bin"};

Settings good_settings() {
    PoolSettings pool;
    pool.name = "mail";
    pool.app = "mail.tasks";
    pool.python = "/bin/sh";
    pool.directory = "/tmp";
    Settings settings;
    settings.supervisor.runtime_dir = "/run/supervise";
    settings.pools = {pool};
    return settings;
}

std::string problems(const Settings& settings, const config::Host& host) {
    config::Diagnostics diagnostics("w");
    validate(settings, host, config::Positions{}, diagnostics);
    std::string text;
    for (const config::Diagnostic& diagnostic : diagnostics.take()) {
        text += diagnostic.text() + '\n';
    }
    return text;
}

}  // namespace

TEST_CASE("good settings have no problems", "[config][validate]") {
    CHECK(problems(good_settings(), root_host) == "");
    CHECK(problems(good_settings(), plain_host) == "");
}

TEST_CASE("another user for the workers needs root", "[config][validate]") {
    Settings settings = good_settings();
    settings.pools[0].user = "root";
    settings.pools[0].group = "0";
    CHECK(problems(settings, root_host) == "");
    CHECK(problems(settings, plain_host) ==
          "w:1:1: error: user = \"root\" needs root, and this is user 1000: run supervise as root, "
          "or leave the key out\n"
          "w:1:1: error: group = \"0\" needs root, and this is user 1000: run supervise as root, "
          "or leave the key out\n");
}

TEST_CASE("a lower OOM score than our own is doubtful without the right to it",
          "[config][validate]") {
    Settings settings = good_settings();
    settings.pools[0].memory.oom_score_adj = 100;
    config::Host host = plain_host;
    host.oom_score_adj = 200;
    CHECK(problems(settings, host) ==
          "w:1:1: warning: memory.oom_score_adj = 100 is lower than our own 200, which takes "
          "CAP_SYS_RESOURCE: workers will keep 200\n");
    host.has_sys_resource = true;
    CHECK(problems(settings, host) == "");
    settings.pools[0].memory.oom_score_adj = 200;
    host.has_sys_resource = false;
    CHECK(problems(settings, host) == "");
}

TEST_CASE("a limit above our own hard limit needs the right to it", "[config][validate]") {
    rlimit ours{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &ours) == 0);
    if (ours.rlim_max == RLIM_INFINITY) {
        SUPERVISE_SKIP("there is no hard limit of open files here");
    }
    Settings settings = good_settings();
    settings.pools[0].limits = {{RLIMIT_NOFILE, "nofile", ours.rlim_max}};
    CHECK(problems(settings, plain_host) == "");
    settings.pools[0].limits[0].value += 1;
    CHECK_THAT(problems(settings, plain_host),
               ContainsSubstring("limits.nofile is more than our own hard limit of " +
                                 std::to_string(ours.rlim_max)));
    CHECK(problems(settings, root_host) == "");
}

TEST_CASE("a bare interpreter is looked up in the pool's own PATH first", "[config][validate]") {
    const TemporaryFolder folder;
    const std::filesystem::path program = folder.path() / "my-python";
    write_file(program, "");
    Settings settings = good_settings();
    settings.pools[0].python = "my-python";
    config::Host host = plain_host;
    host.search_path = "/nowhere:" + folder.path().string();
    CHECK_THAT(problems(settings, host), ContainsSubstring("python \"my-python\" is not in PATH"));
    std::filesystem::permissions(program, std::filesystem::perms::owner_all);
    CHECK(problems(settings, host) == "");
    settings.pools[0].environment["PATH"] = "/nowhere";
    CHECK_THAT(problems(settings, host), ContainsSubstring("is not in PATH (/nowhere)"));
    settings.pools[0].environment["PATH"] = folder.path();
    CHECK(problems(settings, plain_host) == "");
}

TEST_CASE("a socket's path may have 107 bytes and no more", "[config][validate]") {
    Settings settings = good_settings();
    const std::size_t sockets = std::string("/control.sock").size();
    settings.supervisor.runtime_dir = '/' + std::string(106 - sockets, 'r');
    CHECK(problems(settings, root_host) == "");
    settings.supervisor.runtime_dir += 'r';
    CHECK_THAT(problems(settings, root_host),
               ContainsSubstring("control.sock in it has a path of 108 bytes"));
    settings.supervisor.runtime_dir = '/' + std::string(106 - sockets, 'r');
    settings.pools[0].name = "a-longer-name";
    CHECK_THAT(problems(settings, root_host), ContainsSubstring("a-longer-name.sock in it has"));
}

TEST_CASE("module names are what an import takes", "[config][validate]") {
    const auto accepted = [](const std::string& app) {
        Settings settings = good_settings();
        settings.pools[0].app = app;
        return problems(settings, root_host).empty();
    };
    for (const char* good : {"a", "a.b", "_a._b2", "größe.tasks", "a1.b_2"}) {
        INFO(good);
        CHECK(accepted(good));
    }
    for (const char* bad : {".", "a.", ".a", "a..b", "1a", "a.1b", "a-b", "a b", "a/b.py", "a:b"}) {
        INFO(bad);
        CHECK_FALSE(accepted(bad));
    }
}

TEST_CASE("equal values are in order where they may be", "[config][validate]") {
    Settings settings = good_settings();
    PoolSettings& pool = settings.pools[0];
    pool.restart.backoff_first = pool.restart.backoff_most;
    pool.memory.hard = 1ULL << 30;
    pool.memory.budget = 1ULL << 30;
    pool.recycle.max_rss = (1ULL << 30) - 1;
    pool.jobs.soft_time_limit = 999ms;
    pool.jobs.time_limit = 1s;
    CHECK(problems(settings, root_host) == "");
    pool.jobs.soft_time_limit = 1s;
    pool.recycle.max_rss = 1ULL << 30;
    CHECK_THAT(problems(settings, root_host),
               ContainsSubstring("memory.hard = \"1G\" is no more than recycle.max_rss"));
    CHECK_THAT(problems(settings, root_host),
               ContainsSubstring("jobs.soft_time_limit = \"1s\" must be less"));
}

TEST_CASE("a window beside a time limit for every task is doubtful", "[config][validate]") {
    Settings settings = good_settings();
    JobSettings& jobs = settings.pools[0].jobs;
    jobs.window = 4;
    CHECK(problems(settings, root_host) == "");
    jobs.soft_time_limit = 1s;
    CHECK(problems(settings, root_host) ==
          "w:1:1: warning: jobs.window = 4 holds only for tasks without a time limit, and "
          "jobs.soft_time_limit gives one to each task that sets none: leave one of the two out\n");
    jobs.time_limit = 2s;
    CHECK_THAT(problems(settings, root_host), ContainsSubstring("and jobs.time_limit gives one"));
    jobs.window = 1;
    CHECK(problems(settings, root_host) == "");
}

TEST_CASE("a window is not for a pool of kind celery", "[config][validate]") {
    Settings settings = good_settings();
    settings.pools[0].kind = PoolKind::celery;
    settings.pools[0].jobs.window = 4;
    CHECK_THAT(problems(settings, root_host),
               ContainsSubstring("error: jobs.window = 4 is not for kind = \"celery\""));
    settings.pools[0].jobs.window = 1;
    CHECK(problems(settings, root_host) == "");
}

TEST_CASE("users and groups are names that exist, or numbers that are possible",
          "[config][validate]") {
    CHECK(config::user_exists("root"));
    CHECK(config::user_exists("0"));
    CHECK(config::user_exists("4294967294"));
    CHECK_FALSE(config::user_exists("4294967295"));  // setuid(2) takes it for "unchanged"
    CHECK_FALSE(config::user_exists("99999999999"));
    CHECK_FALSE(config::user_exists("no-such-user-here"));
    CHECK(config::group_exists("root"));
    CHECK_FALSE(config::group_exists("no-such-group-here"));
}

TEST_CASE("what this process is and may is found out", "[config][validate]") {
    const config::Host host = config::this_host();
    CHECK(host.uid == ::geteuid());
    CHECK(host.oom_score_adj == std::stoi(read_file("/proc/self/oom_score_adj")));
    CHECK_FALSE(host.search_path.empty());
}
