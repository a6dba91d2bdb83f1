#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "ipc/message.hpp"
#include "job.hpp"
#include "supervise/settings.hpp"

namespace supervise {

/// Lets a table be searched for a name that is no std::string.
struct NameHash : std::hash<std::string_view> {
    using is_transparent = void;
};

/// Tasks by name.
using TaskTable =
    std::unordered_map<std::string, std::shared_ptr<const Task>, NameHash, std::equal_to<>>;

/// Adds what a worker or a template registers; the pool's limits stand in for those that a task
/// leaves open. False when there are more than 10,000 tasks.
bool add_tasks(TaskTable& tasks, const ipc::Register& message, const PoolSettings& settings);

}  // namespace supervise
