#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "job.hpp"
#include "supervise/snapshot.hpp"
#include "supervise/time.hpp"

namespace supervise {

/// One attempt of a job, written when it has ended. A job that ended without having begun (revoked
/// in the queue, lost by a shutdown) has one entry with attempt 0.
struct Attempt {
    JobId job = 0;
    unsigned attempt = 0;
    std::shared_ptr<const Task> task;
    unsigned slot = 0;
    std::uint32_t incarnation = 0;
    int pid = 0;
    JobState outcome = JobState::done;  ///< of this attempt: done, failed or lost
    JobState job_state =
        JobState::queued;          ///< of the job after it: queued means that it is tried again
    Cause cause = Cause::unknown;  ///< where lost
    std::string detail;            ///< the error or the evidence
    double ended_at = 0;           ///< seconds since the epoch
    Duration queued{};
    Duration ran{};
    std::uint64_t rss_bytes = 0;  ///< of the worker, last sample
};

/// Where a pool writes what became of its jobs. No other part knows what keeps it.
class Ledger {
  public:
    virtual ~Ledger() = default;
    virtual void record(Attempt attempt) = 0;
    /// What is still known of a job, first attempt first.
    virtual std::vector<Attempt> attempts(JobId job) const = 0;
    virtual const JobCounts& ended() const = 0;  ///< done, failed, lost, dead; never forgets
    virtual const AttemptCounts& attempt_counts() const = 0;
};

/// In memory: counts for ever, the last `capacity` attempts in full.
std::unique_ptr<Ledger> make_memory_ledger(std::size_t capacity = 2048);

}  // namespace supervise
