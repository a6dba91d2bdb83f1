#include "supervisor/pool/task_table.hpp"

#include <chrono>

#include "tests/support/catch.hpp"

using namespace supervise;
using namespace std::chrono_literals;

namespace {

const Task& only(const TaskTable& tasks) {
    REQUIRE(tasks.size() == 1);
    return *tasks.begin()->second;
}

}  // namespace

TEST_CASE("a task has its own limits, and the pool's where it leaves them open",
          "[pool][task_table]") {
    PoolSettings settings;
    settings.jobs.soft_time_limit = 1s;
    settings.jobs.time_limit = 2s;
    settings.jobs.retries = 3;
    ipc::TaskInfo info;
    info.name = "app.work";
    TaskTable tasks;
    SECTION("all open") {
        REQUIRE(add_tasks(tasks, ipc::Register{{info}}, settings));
        CHECK(only(tasks).name == "app.work");
        CHECK(only(tasks).soft_time_limit == 1s);
        CHECK(only(tasks).time_limit == 2s);
        CHECK(only(tasks).retries == 3);
    }
    SECTION("its own") {
        info.soft_time_limit_ms = 10;
        info.time_limit_ms = 20;
        info.retries = std::uint8_t{30};
        REQUIRE(add_tasks(tasks, ipc::Register{{info}}, settings));
        CHECK(only(tasks).soft_time_limit == 10ms);
        CHECK(only(tasks).time_limit == 20ms);
        CHECK(only(tasks).retries == 30);
    }
    SECTION("none, whatever the pool says") {
        info.soft_time_limit_ms = 0;
        info.time_limit_ms = 0;
        info.retries = std::uint8_t{0};
        REQUIRE(add_tasks(tasks, ipc::Register{{info}}, settings));
        CHECK(only(tasks).soft_time_limit == Duration{});
        CHECK(only(tasks).time_limit == Duration{});
        CHECK(only(tasks).retries == 0);
    }
    SECTION("nobody's") {
        REQUIRE(add_tasks(tasks, ipc::Register{{info}}, PoolSettings{}));
        CHECK(only(tasks).soft_time_limit == Duration{});
        CHECK(only(tasks).time_limit == Duration{});
        CHECK(only(tasks).retries == 0);
    }
}

TEST_CASE("what is registered twice counts as it was the last time", "[pool][task_table]") {
    TaskTable tasks;
    ipc::TaskInfo info;
    info.name = "app.work";
    REQUIRE(add_tasks(tasks, ipc::Register{{info}}, PoolSettings{}));
    info.retries = std::uint8_t{5};
    REQUIRE(add_tasks(tasks, ipc::Register{{info}}, PoolSettings{}));
    CHECK(only(tasks).retries == 5);
}

TEST_CASE("10,000 tasks are registered, and not one more", "[pool][task_table]") {
    TaskTable tasks;
    const auto add = [&tasks](int number) {
        const std::string name = "app.work_" + std::to_string(number);
        ipc::TaskInfo info;
        info.name = name;
        return add_tasks(tasks, ipc::Register{{info}}, PoolSettings{});
    };
    for (int i = 0; i < 10'000; ++i) {
        REQUIRE(add(i));
    }
    CHECK_FALSE(add(10'000));
    CHECK(tasks.size() == 10'000);
}
