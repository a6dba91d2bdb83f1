#pragma once

#include <deque>
#include <optional>
#include <string>

#include "process/cgroup.hpp"
#include "supervise/job.hpp"

namespace supervise {

/// How one worker's life ended, and on what evidence; written when its process is gone.
struct Life {
    unsigned slot = 0;
    std::uint32_t incarnation = 0;
    unsigned generation = 1;
    int pid = 0;
    double ended_at = 0;  ///< seconds since the epoch
    double lasted_seconds = 0;
    std::string how;     ///< "recycled", "died", "retired", "not started"
    std::string reason;  ///< recycle reason, cause, or "launch"
    std::string detail;  ///< the evidence, in words
    std::uint64_t jobs_done = 0;
    std::optional<JobId> job;  ///< lost with it
    std::string task;
    MemorySample fresh, last, peak;
};

/// The last lives of a pool, oldest first; bounded.
class LifeBook {
  public:
    void write(Life life) {
        if (lives_.size() == most) {
            lives_.pop_front();
        }
        lives_.push_back(std::move(life));
    }
    const std::deque<Life>& lives() const { return lives_; }

  private:
    static constexpr std::size_t most = 256;
    std::deque<Life> lives_;
};

}  // namespace supervise
