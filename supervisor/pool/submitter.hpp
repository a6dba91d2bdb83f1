#pragma once

#include <string_view>

#include "job_list.hpp"

namespace supervise {

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

    JobList<&Job::submitter_links> open_jobs;  ///< accepted and not ended; the desk's to change
};

}  // namespace supervise
