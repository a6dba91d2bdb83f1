#include "backoff.hpp"

#include <algorithm>
#include <cmath>

namespace supervise {

Duration Backoff::after_death(const RestartSettings& settings, bool healthy, double jitter) {
    deaths_ = healthy ? 1 : deaths_ + 1;
    const double first = static_cast<double>(settings.backoff_first.count());
    const double most = static_cast<double>(settings.backoff_most.count());
    // 2^30 times any `first` is past any `most`.
    const double wait = std::min(most, first * std::exp2(std::min(deaths_ - 1, 30U)));
    const double spread = std::min(most, wait * (0.75 + 0.5 * jitter));
    return std::chrono::duration_cast<Duration>(std::chrono::duration<double, std::milli>(spread));
}

bool Breaker::death(const RestartSettings& settings, TimePoint now) {
    if (settings.burst == 0 || tripped_) {
        return false;
    }
    // From death to death, not over all of them: the waits of the back-off grow with their number.
    deaths_ = deaths_ > 0 && now - last_ <= settings.period ? deaths_ + 1 : 1;
    last_ = now;
    tripped_ = deaths_ >= settings.burst;
    return tripped_;
}

}  // namespace supervise
