#pragma once

#include <cstdint>
#include <string_view>

namespace supervise {

/// Given by the supervisor, from 1 upwards; unique while it runs.
using JobId = std::uint64_t;

enum class JobState : std::uint8_t {
    queued = 0,
    running = 1,
    done = 2,
    failed = 3,
    lost = 4,
    dead = 5,
};

/// Why an attempt was lost, or a worker died. The values are those of the wire (ipc/PROTOCOL.md).
enum class Cause : std::uint8_t {
    unknown = 0,
    exit = 1,
    signal = 2,
    oom_worker = 3,
    oom_host = 4,
    memory_hard_limit = 5,
    time_limit = 6,
    revoked = 7,
    shutdown = 8,
};

constexpr std::string_view name_of(JobState state) {
    constexpr std::string_view names[] = {"queued", "running", "done", "failed", "lost", "dead"};
    return names[static_cast<std::uint8_t>(state)];
}

constexpr std::string_view name_of(Cause cause) {
    constexpr std::string_view names[] = {"unknown",    "exit",     "signal",
                                          "oom_worker", "oom_host", "memory_hard_limit",
                                          "time_limit", "revoked",  "shutdown"};
    return names[static_cast<std::uint8_t>(cause)];
}

}  // namespace supervise
