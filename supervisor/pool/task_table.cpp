#include "task_table.hpp"

namespace supervise {
namespace {

constexpr std::size_t most_tasks = 10'000;

Duration limit_of(std::optional<std::uint32_t> own, std::optional<Milliseconds> pools) {
    return own ? Duration(Milliseconds(*own)) : Duration(pools.value_or(Milliseconds(0)));
}

}  // namespace

bool add_tasks(TaskTable& tasks, const ipc::Register& message, const PoolSettings& settings) {
    for (const ipc::TaskInfo& info : message.tasks) {
        if (tasks.size() >= most_tasks) {
            return false;
        }
        Task task;
        task.name = info.name;
        task.soft_time_limit = limit_of(info.soft_time_limit_ms, settings.jobs.soft_time_limit);
        task.time_limit = limit_of(info.time_limit_ms, settings.jobs.time_limit);
        task.retries = info.retries ? *info.retries : settings.jobs.retries;
        std::string key = task.name;
        tasks.insert_or_assign(std::move(key), std::make_shared<const Task>(std::move(task)));
    }
    return true;
}

}  // namespace supervise
