#pragma once

#include <cstdint>
#include <vector>

#include "supervise/snapshot.hpp"
#include "supervise/time.hpp"

namespace supervise {

/// Quantiles of the last 1,024 slot gaps: from a recycled worker's last job's end (or from when the
/// next job came, if that was later) to its successor's first job.
class GapStats {
  public:
    void add(Duration gap);
    GapSnapshot snapshot() const;

  private:
    static constexpr std::size_t most = 1024;
    std::vector<float> ring_;  ///< seconds
    std::uint64_t count_ = 0;
};

}  // namespace supervise
