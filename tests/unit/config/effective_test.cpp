#include <sys/resource.h>

#include "tests/support/catch.hpp"
#include "tests/unit/config/support.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

config::Loaded reload(const Settings& settings) {
    return config::load_text(config::effective_toml(settings), "effective.toml", "/elsewhere");
}

/// Everything that has no default, and nothing at its default. (No user: that needs root.)
Settings full_settings() {
    Settings settings;
    SupervisorSettings& supervisor = settings.supervisor;
    supervisor.runtime_dir = "/run/a \"quoted\\ folder";
    supervisor.listen = "[::1]:9877";
    supervisor.cgroup_root = "/supervise/of/mine";
    supervisor.operators = {"root", "0"};
    supervisor.log = {"debug", "json", "/tmp/supervise.log"};
    PoolSettings pool;
    pool.name = "Mail-2_x";
    pool.app = "mail.tasks";
    pool.python = "/bin/sh";
    pool.directory = "/";
    pool.module_path = {"/tmp", "/usr"};
    pool.environment = {{"A", "\"x\"\n\t\x7f\\ é"}, {"B.C", ""}};
    pool.min_workers = 2;
    pool.max_workers = 8;
    pool.preload = true;
    pool.spare = 3;
    pool.on_unsafe_fork = OnUnsafeFork::refuse;
    pool.umask = 027;
    pool.limits = {{RLIMIT_NOFILE, "nofile", 64},
                   {RLIMIT_CORE, "core", UINT64_MAX},
                   {RLIMIT_STACK, "stack", 1'000'001},
                   {RLIMIT_CPU, "cpu", 5'400}};
    pool.clients = {"root"};
    pool.start_timeout = 61s;
    pool.grace = 0s;
    pool.recycle = {1'000, 1.0 / 3, 512ULL << 20, 400'000'001, 6h, 90min};
    pool.memory = {1ULL << 30, 6ULL << 30, 800};
    pool.restart = {7ms, 1h, 0, 90s};
    pool.jobs = {7, 250ms, 1'500ms, 3, 11, 1};
    pool.output = {100, 12};
    settings.pools = {pool};
    pool = {};
    pool.name = "alone";
    pool.app = "alone";
    pool.python = "python3";
    pool.directory = "/tmp";
    pool.jobs.window = 5;  // which does not go with the other's time limits
    settings.pools.push_back(pool);
    return settings;
}

}  // namespace

TEST_CASE("the effective config is read back to equal settings", "[config][effective]") {
    const Settings settings = full_settings();
    const config::Loaded again = reload(settings);
    INFO(config::effective_toml(settings));
    CHECK(again.report() == "");
    CHECK(again.settings == settings);
}

TEST_CASE("every setting is written: a change of any of them changes the text",
          "[config][effective]") {
    const Settings full = full_settings();
    Settings defaults = full;
    PoolSettings& pool = defaults.pools[0];
    const std::string name = pool.name;
    pool = PoolSettings{};
    pool.name = name;
    pool.app = "mail.tasks";
    pool.python = "python3";
    pool.directory = "/";
    CHECK(reload(defaults).settings == defaults);

    // One table of the full settings at a time.
    const auto with = [&](auto member) {
        Settings changed = defaults;
        changed.pools[0].*member = full.pools[0].*member;
        INFO(config::effective_toml(changed));
        CHECK(config::effective_toml(changed) != config::effective_toml(defaults));
        CHECK(reload(changed).settings == changed);
    };
    with(&PoolSettings::recycle);
    with(&PoolSettings::memory);
    with(&PoolSettings::restart);
    with(&PoolSettings::jobs);
    with(&PoolSettings::output);
    with(&PoolSettings::limits);
    with(&PoolSettings::environment);
    with(&PoolSettings::umask);
    with(&PoolSettings::clients);
    with(&PoolSettings::preload);
    with(&PoolSettings::spare);

    Settings forked = defaults;
    forked.pools[0].preload = true;
    forked.pools[0].spare = 0;  // a file's default would be 1
    for (const OnUnsafeFork choice :
         {OnUnsafeFork::spawn, OnUnsafeFork::refuse, OnUnsafeFork::fork}) {
        forked.pools[0].on_unsafe_fork = choice;
        CHECK(reload(forked).settings == forked);
    }
}

TEST_CASE("pools keep the file's order", "[config][effective]") {
    const config::Loaded loaded = config::load_text(
        "[pool.zoo]\napp = 'a'\n[pool.ape.jobs]\nretries = 1\n[pool.mid]\napp = 'a'\n"
        "[pool.ape]\napp = 'a'\n",
        "w", "/tmp");
    REQUIRE(loaded.report() == "");
    REQUIRE(loaded.settings.pools.size() == 3);
    CHECK(loaded.settings.pools[0].name == "zoo");
    CHECK(loaded.settings.pools[1].name == "ape");
    CHECK(loaded.settings.pools[2].name == "mid");
    CHECK(reload(loaded.settings).settings == loaded.settings);
}

TEST_CASE("the effective config reads as people write it", "[config][effective]") {
    ::setenv("RUNTIME_DIRECTORY", "/run/supervise", 1);
    const config::Loaded loaded =
        load_pool("workers = 4\nrecycle = { max_rss = 536870912, max_age = 21600 }\n");
    CHECK(config::effective_toml(loaded.settings) == R"([supervisor]
runtime_dir = "/run/supervise"
operators = []

[supervisor.log]
level = "info"
format = "text"

[pool.mail]
kind = "python"
app = "mail.tasks"
python = "python3"
workers = 4
preload = false
spare = 0
on_unsafe_fork = "spawn"
directory = "/tmp"
module_path = []
clients = []
start_timeout = "1m"
grace = "30s"

[pool.mail.recycle]
max_tasks_jitter = 0.1
max_rss = "512M"
max_age = "6h"

[pool.mail.memory]
oom_score_adj = 500

[pool.mail.restart]
backoff = { first = "100ms", most = "30s" }
burst = 10
period = "1m"

[pool.mail.jobs]
queue_limit = 10000
retries = 0
max_clients = 2000
window = 1

[pool.mail.output]
max_line = "4K"
lines_per_second = 1000
)");
}
