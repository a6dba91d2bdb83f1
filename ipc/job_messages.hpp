#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

/// Messages about more than the plain job; part of ipc/message.hpp, see PROTOCOL.md.
namespace supervise::ipc {

/// Several jobs of one task for a worker, none with a limit or a payload.
struct JobBatch {
    struct Entry {
        std::uint64_t id = 0;
        std::uint16_t attempt = 1;
        std::string_view args;  ///< encoded: u8 count, then IDs
    };
    std::string_view task;
    std::vector<Entry> jobs;
};

// Jobs with a payload: what a front (the `celery worker` process) and the supervisor say.

/// One job; its payload is the descriptor that always comes along.
struct Call {
    std::uint32_t tag = 0;
    std::uint8_t priority = 0;  ///< 0..9, 9 goes first
    /// 0: none; nothing: the task's, else the pool's.
    std::optional<std::uint32_t> soft_time_limit_ms;
    std::optional<std::uint32_t> time_limit_ms;
    std::string_view task;
    std::string_view key;  ///< the caller's own name for it, the worker's only argument
};
/// How many jobs the pool runs at a time; to each client of a pool that takes calls, after its
/// Welcome and after each change.
struct Size {
    std::uint32_t workers = 0;
};
/// A worker begins a payload job, in its own words; forwarded to the client.
struct Begun {
    std::uint64_t id = 0;
    std::uint32_t pid = 0;
    std::uint64_t time_ns = 0;  ///< CLOCK_MONOTONIC
};
/// The soft limit of a payload job has passed, and its worker is told.
struct Soft {
    std::uint64_t id = 0;
};
/// A signal for the worker that runs this job; one that has not begun is cancelled.
struct Signal {
    std::uint64_t id = 0;
    std::uint8_t number = 0;  ///< 1..64
};

}  // namespace supervise::ipc
