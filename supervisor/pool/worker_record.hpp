#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "recycle_policy.hpp"
#include "supervise/time.hpp"

namespace supervise {

/// Book-keeping about a worker, which the pool's policy reads and writes.
struct WorkerRecord {
    TimePoint launched_at{}, ready_at{}, last_end{}, trim_asked_at{}, retire_asked_at{},
        channel_closed_at{};
    TimePoint took_slot_at{};               ///< its age counts from here
    TimePoint soft_deadline{}, deadline{};  ///< of the current job; epoch: none
    bool soft_limit_sent = false;
    std::uint64_t jobs_done = 0;
    MemorySample fresh, memory, peak;
    std::uint64_t after_first = 0;  ///< RSS after its first job, which loads what comes late
    Duration job_interval{};
    TimePoint sampled_at{};
    double growth_per_second = 0;  ///< of private memory, between the last two samples
    bool just_trimmed = false;
    std::uint64_t before_trim = 0;
    std::optional<RecycleReason> asked;
    Decision decision;
    std::string shortage;      ///< why its launch failed, if the machine was short of something
    std::string leave_reason;  ///< why it was told to go; empty: it was not
};

}  // namespace supervise
