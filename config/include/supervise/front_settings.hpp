#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace supervise {

/// The front of a Celery pool: the `celery worker` process that talks to the broker and runs no
/// task itself.
struct FrontSettings {
    std::vector<std::string> queues;     ///< celery worker -Q; empty: what the application says
    std::string hostname;                ///< its node name, as for -n; empty: POOL@%h
    std::string log_level = "info";      ///< debug, info, warning, error, critical
    std::vector<std::string> arguments;  ///< more for `celery worker`, as they are
    std::optional<std::uint64_t>
        max_rss;                        ///< bytes of VmRSS: over it, another front takes its place
    std::optional<std::uint64_t> hard;  ///< bytes of private memory: it is killed at once
    /// For one that was told to stop, to finish what it holds; a drain has the pool's grace.
    std::chrono::milliseconds stop_timeout{3'600'000};
    bool operator==(const FrontSettings&) const = default;
};

}  // namespace supervise
