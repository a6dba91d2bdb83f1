#include "gap_stats.hpp"

#include <algorithm>
#include <cmath>

namespace supervise {

void GapStats::add(Duration gap) {
    const float seconds = std::chrono::duration<float>(std::max(gap, Duration{})).count();
    if (ring_.size() < most) {
        ring_.push_back(seconds);
    } else {
        ring_[count_ % most] = seconds;
    }
    ++count_;
}

GapSnapshot GapStats::snapshot() const {
    GapSnapshot result;
    result.count = count_;
    if (ring_.empty()) {
        return result;
    }
    std::vector<float> sorted = ring_;
    std::sort(sorted.begin(), sorted.end());
    // The nearest rank: the least value that at least this share of all does not exceed.
    const auto rank = [&](double share) {
        const double nth = std::ceil(share * static_cast<double>(sorted.size()));
        return static_cast<double>(sorted[static_cast<std::size_t>(nth) - 1]);
    };
    result.p50 = rank(0.50);
    result.p99 = rank(0.99);
    return result;
}

}  // namespace supervise
