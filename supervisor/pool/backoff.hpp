#pragma once

#include "supervise/settings.hpp"
#include "supervise/time.hpp"

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

/// Trips when `burst` workers of a pool died, each within `period` of the one before, and no job
/// was done in between: a crash loop. One per pool; stays tripped until reset().
class Breaker {
  public:
    /// Returns true when this death trips it.
    bool death(const RestartSettings& settings, TimePoint now);
    void progress() { deaths_ = 0; }  ///< a job was done
    bool tripped() const { return tripped_; }
    unsigned deaths() const { return deaths_; }  ///< in a row
    void reset() {
        tripped_ = false;
        deaths_ = 0;
    }

  private:
    unsigned deaths_ = 0;
    TimePoint last_{};
    bool tripped_ = false;
};

}  // namespace supervise
