#include "pool/worker_spec.hpp"

#include <grp.h>
#include <pwd.h>
#include <sys/resource.h>

#include <algorithm>

#include "tests/support/catch.hpp"

using namespace supervise;
using supervise::test::ContainsSubstring;

namespace {

PoolSettings settings() {
    PoolSettings result;
    result.name = "reports";
    result.app = "reports.tasks";
    result.python = "/usr/bin/python3";
    result.directory = "/srv/reports";
    return result;
}

PoolContext context() {
    PoolContext result;
    result.runtime_dir = "/run/supervise";
    result.package_dir = "/usr/lib/supervise/python";
    result.environment = {"PATH=/bin", "LANG=C"};
    return result;
}

LaunchSpec spec_of(const PoolSettings& pool, const PoolContext& world = context()) {
    return make_worker_spec(pool, world).value();
}

/// The values that `name` has in an environment; one, in good order.
std::vector<std::string> values(const LaunchSpec& spec, const std::string& name) {
    std::vector<std::string> found;
    for (const std::string& entry : spec.environment) {
        if (entry.starts_with(name + '=')) {
            found.push_back(entry.substr(name.size() + 1));
        }
    }
    return found;
}

using Values = std::vector<std::string>;

}  // namespace

TEST_CASE("a worker runs the package's own main with the application and its paths",
          "[pool][spec]") {
    PoolSettings pool = settings();
    pool.module_path = {"/srv/lib", "/srv/more"};
    const LaunchSpec spec = spec_of(pool);
    CHECK(spec.argv == Values{"/usr/bin/python3",
                              "/usr/lib/supervise/python/supervise/_worker_main.py",
                              "reports.tasks", "--path", "/srv/lib", "--path", "/srv/more"});
    CHECK(spec.directory == "/srv/reports");
    CHECK_FALSE(spec.uid);
    CHECK_FALSE(spec.gid);
    CHECK_FALSE(spec.umask);
    CHECK(spec.oom_score_adj == 500);
}

TEST_CASE("a worker's environment is ours, its pool's name, and what the config adds",
          "[pool][spec]") {
    PoolSettings pool = settings();
    pool.environment = {{"LANG", "C.UTF-8"}, {"LANGUAGE", "de"}};
    PoolContext world = context();
    world.environment.push_back("SUPERVISE_POOL=the one above us");
    const LaunchSpec spec = spec_of(pool, world);
    CHECK(values(spec, "PATH") == Values{"/bin"});
    CHECK(values(spec, "LANG") == Values{"C.UTF-8"});
    CHECK(values(spec, "LANGUAGE") == Values{"de"});
    CHECK(values(spec, "SUPERVISE_POOL") == Values{"reports"});
    CHECK(values(spec, "SUPERVISE_RUNTIME_DIR") == Values{"/run/supervise"});
}

TEST_CASE("a pool's own limits go before the supervisor's", "[pool][spec]") {
    PoolSettings pool = settings();
    pool.limits = {{RLIMIT_NOFILE, "nofile", 4096, false}};
    PoolContext world = context();
    world.limits = {{RLIMIT_NOFILE, "nofile", 1024, true}, {RLIMIT_CORE, "core", 0, false}};
    const LaunchSpec spec = spec_of(pool, world);
    CHECK(spec.limits == std::vector<ResourceLimit>{pool.limits[0], world.limits[1]});
}

TEST_CASE("umask and OOM score are those of the config", "[pool][spec]") {
    PoolSettings pool = settings();
    pool.umask = 027;
    pool.memory.oom_score_adj = -5;
    CHECK(spec_of(pool).umask == 027U);
    CHECK(spec_of(pool).oom_score_adj == -5);
}

TEST_CASE("a user by name brings its uid, its group and its other groups", "[pool][spec]") {
    const passwd* const daemon = ::getpwnam("daemon");
    REQUIRE(daemon != nullptr);
    PoolSettings pool = settings();
    pool.user = "daemon";
    const LaunchSpec spec = spec_of(pool);
    CHECK(spec.uid == daemon->pw_uid);
    CHECK(spec.gid == daemon->pw_gid);
    CHECK(std::count(spec.groups.begin(), spec.groups.end(), daemon->pw_gid) == 1);
    SECTION("by its number too") {
        pool.user = std::to_string(daemon->pw_uid);
        CHECK(spec_of(pool).uid == spec.uid);
        CHECK(spec_of(pool).groups == spec.groups);
    }
}

TEST_CASE("a number that no user has is taken as it is, with no other groups", "[pool][spec]") {
    PoolSettings pool = settings();
    pool.user = "3999999";
    REQUIRE(::getpwuid(3999999) == nullptr);
    const LaunchSpec spec = spec_of(pool);
    CHECK(spec.uid == 3999999U);
    CHECK(spec.gid == 3999999U);
    CHECK(spec.groups.empty());
}

TEST_CASE("a group goes before the user's own", "[pool][spec]") {
    PoolSettings pool = settings();
    pool.user = "daemon";
    pool.group = "4242";
    CHECK(spec_of(pool).gid == 4242U);
    pool.group = "daemon";
    CHECK(spec_of(pool).gid == ::getgrnam("daemon")->gr_gid);
}

TEST_CASE("a worker never runs as us because its user or group has vanished", "[pool][spec]") {
    PoolSettings pool = settings();
    SECTION("user") {
        pool.user = "nobody-of-that-name";
        const auto spec = make_worker_spec(pool, context());
        REQUIRE_FALSE(spec.has_value());
        CHECK_THAT(spec.error().message(), ContainsSubstring("find user nobody-of-that-name"));
    }
    SECTION("group") {
        pool.group = "no-group-of-that-name";
        const auto spec = make_worker_spec(pool, context());
        REQUIRE_FALSE(spec.has_value());
        CHECK_THAT(spec.error().message(), ContainsSubstring("find group no-group-of-that-name"));
    }
}
