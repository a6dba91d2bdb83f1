#include "supervisor/settings_diff.hpp"

#include "tests/support/catch.hpp"

using namespace supervise;

namespace {

PoolSettings pool(const std::string& name) {
    PoolSettings settings;
    settings.name = name;
    settings.app = name + ".tasks";
    return settings;
}

}  // namespace

TEST_CASE("a pool that comes or goes is one line, and not one a key", "[reload]") {
    Settings before;
    before.pools = {pool("mail"), pool("old")};
    Settings after;
    after.pools = {pool("mail"), pool("new")};
    after.pools[0].recycle.max_tasks = 500;
    CHECK(describe_changes(before, after) ==
          std::vector<std::string>{"pool new added", "pool old removed",
                                   "pool mail: recycle.max_tasks set to 500"});
    CHECK(describe_changes(after, after).empty());
}
