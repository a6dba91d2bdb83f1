#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

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

/// Whoever waits for a job's end: a client's connection, or the control plane.
class Submitter {
  public:
    virtual ~Submitter() = default;
    /// Called once per job, at its end. `report` is an encoded ipc::Report, valid during the call.
    virtual void job_ended(JobId id, JobState state, unsigned attempts,
                           std::string_view report) = 0;

    // Of payload jobs only:
    virtual void job_begun(const ipc::Begun& /*begun*/) {}
    virtual void job_soft_limit(JobId /*id*/) {}
    /// Right before job_ended(): a descriptor that its worker sent along.
    virtual void job_reply(JobId /*id*/, UniqueFd /*reply*/) {}
};

/// One job from its acceptance to its end. Owned by the pool's table of live jobs, which outlives
/// queue and workers' references to it.
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
    Job* next = nullptr;  ///< links of the queue
    Job* previous = nullptr;

    /// Whether it may stand in a worker's window behind another job, or before one. A job's time
    /// begins when it does; and a payload has a frame of its own.
    bool may_share_window() const {
        return soft_time_limit == Duration{} && time_limit == Duration{} && !call && !payload;
    }
};

}  // namespace supervise
