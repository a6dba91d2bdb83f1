#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "process/cgroup.hpp"
#include "process/launcher.hpp"
#include "supervise/clock.hpp"
#include "supervise/job.hpp"
#include "supervise/logger.hpp"

namespace supervise {

/// What a pool needs of the world, given by the supervisor (or a test), which outlives it.
struct PoolContext {
    boost::asio::any_io_executor executor;
    Clock* clock = nullptr;
    Launcher* launcher = nullptr;
    Cgroups* cgroups = nullptr;
    Logger logger;
    std::mt19937_64* random = nullptr;
    JobId* last_job_id = nullptr;  ///< job ids are unique over all pools

    std::string runtime_dir;
    std::string package_dir;               ///< the folder that holds the Python package `supervise`
    std::vector<std::string> environment;  ///< what workers inherit, "NAME=value"
    std::vector<ResourceLimit> limits;     ///< what workers get unless the pool says otherwise

    /// The pool's settings cannot work on what its first worker showed (a memory line below the
    /// fresh worker's own size).
    std::function<void(const std::string& message)> config_error;

    double random_share() const { return std::uniform_real_distribution<>(0.0, 1.0)(*random); }
};

}  // namespace supervise
