#include "tests/support/catch.hpp"
#include "tests/unit/config/support.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

config::Loaded load_celery(const std::string& lines) {
    return config::load_text("[pool.work]\nkind = \"celery\"\napp = \"proj\"\n" + lines,
                             "workers.toml", "/tmp");
}

config::Loaded with_arguments(const std::string& list) {
    return load_celery("front.arguments = [" + list + "]\n");
}

}  // namespace

TEST_CASE("an empty table has supervise run the front, with what a Celery user would expect",
          "[config][front]") {
    const config::Loaded loaded = load_celery("[pool.work.front]\n");
    CHECK(loaded.report().empty());
    const std::optional<FrontSettings>& front = only_pool(loaded).front;
    REQUIRE(front);
    CHECK(front->queues.empty());
    CHECK(front->hostname == "work@%h");
    CHECK(front->log_level == "info");
    CHECK(front->arguments.empty());
    CHECK_FALSE(front->max_rss);
    CHECK_FALSE(front->hard);
    CHECK(front->stop_timeout == 1h);
    CHECK_FALSE(only_pool(load_celery("")).front);
}

TEST_CASE("all that can be said of a front is read, and written again", "[config][front]") {
    const config::Loaded loaded = load_celery(R"([pool.work.front]
queues = ["default", "mail"]
hostname = "shop@%h"
log_level = "warning"
arguments = ["-E", "--prefetch-multiplier=8"]
memory = { max_rss = "400M", hard = "1G" }
stop_timeout = "10m"
)");
    CHECK(loaded.report().empty());
    const FrontSettings& front = *only_pool(loaded).front;
    CHECK(front.queues == std::vector<std::string>{"default", "mail"});
    CHECK(front.hostname == "shop@%h");
    CHECK(front.log_level == "warning");
    CHECK(front.arguments == std::vector<std::string>{"-E", "--prefetch-multiplier=8"});
    CHECK(front.max_rss == 400ULL << 20);
    CHECK(front.hard == 1ULL << 30);
    CHECK(front.stop_timeout == 10min);

    const std::string text = config::effective_toml(loaded.settings);
    const config::Loaded again = config::load_text(text, "effective.toml", "/tmp");
    CHECK(again.report().empty());
    CHECK(again.settings == loaded.settings);
}

TEST_CASE("an argument that supervise decides is refused, in any form that Celery takes",
          "[config][front]") {
    const auto [argument, instead] = GENERATE(table<const char*, const char*>({
        {R"("-c", "4")", "may not have \"-c\": that is the pool's key workers"},
        {R"("-c4")", "may not have \"-c4\": that is the pool's key workers"},
        {R"("--concurrency=4")", "that is the pool's key workers"},
        {R"("-P", "solo")", "supervise gives the front its own pool"},
        {R"("--autoscale=8,2")", "workers = { min = 2, max = 8 }"},
        {R"("-A", "proj")", "that is the pool's key app"},
        {R"("--detach")", "the front is supervise's child"},
        {R"("--pidfile=/run/x")", "supervise status has their pids"},
        {R"("-EB")", "may not have \"-EB\": two fronts run while one takes over"},
        {R"("--beat")", "run celery beat by itself"},
        {R"("--purge")", "each new front would discard what waits"},
        {R"("-n", "x@y")", "that is the key hostname"},
        {R"("-Qmail")", "that is the key queues"},
        {R"("--max-tasks-per-child", "100")", "that is the pool's key recycle.max_tasks"},
        {R"("-S", "/var/state")", "only with %n in the file's name"},
        {R"("--statedb=/var/state")", "only with %n in the file's name"},
    }));
    const config::Loaded loaded = with_arguments(argument);
    INFO(argument);
    CHECK(loaded.has_errors());
    CHECK_THAT(loaded.report(), ContainsSubstring("4:"));
    CHECK_THAT(loaded.report(), ContainsSubstring(instead));
}

TEST_CASE("an argument that only looks like one that supervise decides passes", "[config][front]") {
    const char* argument =
        GENERATE(R"("-E")", R"("-Ofair")", R"("-X", "mail")", R"("-IBc")", R"("-Xnews")",
                 R"("--prefetch-multiplier=1")", R"("-S", "/var/state-%n")",
                 R"("--statedb=/var/%n.db")", R"("--time-limit=30")", R"("worker.direct=1")");
    INFO(argument);
    CHECK(with_arguments(argument).report().empty());
}

TEST_CASE("a front without mingle is warned of", "[config][front]") {
    const config::Loaded loaded = with_arguments(R"("--without-mingle")");
    CHECK_FALSE(loaded.has_errors());
    CHECK_THAT(loaded.report(), ContainsSubstring("will not know which tasks were revoked"));
}

TEST_CASE("what cannot be is said of a front with the way out", "[config][front]") {
    const auto [lines, message] = GENERATE(table<const char*, const char*>({
        {"front.hostname = \"work\"\n", "write it as for celery worker -n, \"work@%h\""},
        {"front.hostname = \"@host\"\n", "is no node name"},
        {"front.queues = [\"a,b\"]\n", "write each queue by itself"},
        {"front.memory = { max_rss = \"1G\", hard = \"1G\" }\n",
         "the front would be killed before another could take its place"},
        {"front.log_level = \"trace\"\n", "is none of debug, info"},
        {"front.queue = [\"a\"]\n", "did you mean queues?"},
    }));
    INFO(lines);
    CHECK(load_celery(lines).has_errors());
    CHECK_THAT(load_celery(lines).report(), ContainsSubstring(message));
    const config::Loaded python = load_pool("front = {}\n");
    CHECK_THAT(python.report(), ContainsSubstring("write kind = \"celery\" above it"));
}

TEST_CASE("no two pools' fronts have a node name in common", "[config][front]") {
    const auto load_with = [](const std::string& other) {
        return load_celery("[pool.work.front]\n" + other).report();
    };
    const std::string more = "kind = \"celery\"\napp = \"proj\"\n";
    CHECK(load_with("[pool.mail]\n" + more + "front = {}\n").empty());
    CHECK(load_with("[pool.work-2]\n" + more).empty());
    CHECK_THAT(load_with("[pool.work-2]\n" + more + "front = {}\n"),
               ContainsSubstring("front.hostname makes the node name \"work-2@%h\", which pool "
                                 "work's fronts have, too"));
    CHECK_THAT(load_with("[pool.mail]\n" + more + "front.hostname = \"work@%h\"\n"),
               ContainsSubstring("front.hostname makes the node name \"work@%h\""));
}
