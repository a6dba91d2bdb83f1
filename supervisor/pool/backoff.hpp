#pragma once

#include <deque>

#include "supervise/time.hpp"
#include "supervise/settings.hpp"

namespace supervise {

/// How long an empty slot waits before its next worker. One per slot; pure.
class Backoff {
  public:
    /// The wait after one more death. `healthy`: the dead worker had ended at least one job, so
    /// this is no loop and the wait starts from `first` again. `jitter` is 0..1; the wait is 75 to
    /// 125 % of the exponential one and never over `backoff_most`.
    Duration after_death(const RestartSettings& settings, bool healthy, double jitter);
    void reset() { deaths_ = 0; }

  private:
    unsigned deaths_ = 0;
};

/// Trips when `burst` workers of a pool died within `period` and no job was done in between: a
/// crash loop. One per pool; stays tripped until reset().
class Breaker {
  public:
    /// Returns true when this death trips it.
    bool death(const RestartSettings& settings, TimePoint now);
    void progress() { deaths_.clear(); }  ///< a job was done
    bool tripped() const { return tripped_; }
    void reset() {
        tripped_ = false;
        deaths_.clear();
    }

  private:
    std::deque<TimePoint> deaths_;  ///< at most `burst`
    bool tripped_ = false;
};

}  // namespace supervise
