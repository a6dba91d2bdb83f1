#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/unique_fd.hpp"
#include "ipc/message.hpp"
#include "supervise/job.hpp"
#include "supervise/time.hpp"

namespace supervise {

/// What a pool's workers have registered; shared by the jobs that name it.
struct Task {
    std::string name;
    Duration soft_time_limit{};  ///< 0: none
    Duration time_limit{};       ///< 0: none
    unsigned retries = 0;
};

class Submitter;
struct Job;

/// A job's neighbours in a JobList.
struct JobLinks {
    Job* next = nullptr;
    Job* previous = nullptr;
};

/// One job from its acceptance to its end. Owned by the pool's table of live jobs, which outlives
/// queue's, submitter's and workers' references to it.
struct Job {
    JobId id = 0;
    std::shared_ptr<const Task> task;
    std::string args;   ///< encoded, as it came
    bool call = false;  ///< a payload job: its beginning is told, and it is never retried
    UniqueFd payload;   ///< of a payload job; forwarded unread
    UniqueFd reply;     ///< likewise, from its worker
    Duration soft_time_limit{}, time_limit{};  ///< 0: none
    std::uint8_t priority = 0;
    std::uint16_t attempts = 0;  ///< begun so far
    JobState state = JobState::queued;
    Submitter* submitter = nullptr;  ///< null when it has gone
    TimePoint queued_at{};
    TimePoint began_at{};
    JobLinks queue_links, submitter_links;

    /// Whether it may stand in a worker's window behind another job, or before one. A job's time
    /// begins when it does; and a payload has a frame of its own.
    bool may_share_window() const {
        return soft_time_limit == Duration{} && time_limit == Duration{} && !call && !payload;
    }
};

}  // namespace supervise
