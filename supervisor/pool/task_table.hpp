#pragma once

#include <memory>
#include <string>
#include <unordered_map>

#include "ipc/message.hpp"
#include "job.hpp"
#include "supervise/settings.hpp"

namespace supervise {

/// Tasks by name.
using TaskTable = std::unordered_map<std::string, std::shared_ptr<const Task>>;

/// Adds what a worker or a template registers; the pool's limits stand in for those that a task
/// leaves open. False when there are more than 10,000 tasks.
bool add_tasks(TaskTable& tasks, const ipc::Register& message, const PoolSettings& settings);

}  // namespace supervise
