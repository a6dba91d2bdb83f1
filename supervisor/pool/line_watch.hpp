#pragma once

#include <string>

#include "recycle_policy.hpp"

namespace supervise {

/// Watches that a pool's memory lines make sense: high enough for a fresh worker, and recycling for
/// them gives something back. A line that does not is suspended until the settings change. Pure.
class LineWatch {
  public:
    /// Checks the lines against the first fresh worker since reset(); of a later one's size,
    /// recycled() judges. The error for the operator, empty if there is none.
    std::string check(const std::string& pool, const RecycleSettings& settings,
                      const MemorySample& fresh);
    /// After a worker was replaced for `reason`; the complaint, empty if there is none.
    std::string recycled(RecycleReason reason, const MemorySample& old, const MemorySample& fresh);
    void reset() { *this = LineWatch(); }
    const SuspendedLines& suspended() const { return suspended_; }

  private:
    bool checked_ = false;
    SuspendedLines suspended_;
    FutilityWatch rss_, private_;
};

}  // namespace supervise
