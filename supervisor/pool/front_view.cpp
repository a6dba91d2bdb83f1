// FrontKeeper: what it tells of itself.
#include <chrono>

#include "front_keeper.hpp"

namespace supervise {
using namespace std::chrono_literals;

namespace {

/// A front that has not reached the broker for so long is told of.
constexpr Duration slow_time = 10s;

const char* name_of(FrontProcess::State state) {
    switch (state) {
        case FrontProcess::State::starting:
            return "starting";
        case FrontProcess::State::connecting:
            return "connecting";
        case FrontProcess::State::ready:
            return "ready";
        case FrontProcess::State::stopping:
            return "stopping";
        case FrontProcess::State::gone:
            break;
    }
    return "gone";
}

}  // namespace

std::string FrontKeeper::advice() const {
    const std::string pool = "pool " + settings_->name;
    if (breaker_.tripped()) {
        return pool + " is degraded: " + std::to_string(settings_->restart.burst) +
               " fronts died without a task done: " + error_ +
               ". Mend it, then: supervise resume " + settings_->name;
    }
    if (serving_ == nullptr && coming_ != nullptr &&
        coming_->state() == FrontProcess::State::connecting &&
        context_.clock->now() - coming_->launched_at() > slow_time) {
        return pool +
               ": its front has not reached the broker yet; its lines in the log "
               "(front.output) say why";
    }
    if (!error_.empty()) {
        return pool + ": " + error_;
    }
    return complaint_;
}

void FrontKeeper::describe(PoolSnapshot& snapshot) const {
    const TimePoint now = context_.clock->now();
    for (auto each = fronts_.rbegin(); each != fronts_.rend(); ++each) {
        if (each->state() == FrontProcess::State::gone) {
            continue;
        }
        FrontSnapshot& row = snapshot.fronts.emplace_back();
        row.incarnation = each->incarnation();
        row.node = each->node();
        row.state = name_of(each->state());
        row.pid = each->pid();
        row.age_seconds = std::chrono::duration<double>(now - each->launched_at()).count();
        row.rss_bytes = each->memory().rss;
        row.private_bytes = each->memory().private_bytes;
    }
    for (std::size_t i = 0; i < recycle_reasons; ++i) {
        if (recycles_[i] > 0) {
            const auto reason = static_cast<RecycleReason>(i);
            snapshot.front_recycles[std::string(supervise::name_of(reason))] = recycles_[i];
        }
    }
    snapshot.front_restarts = restarts_;
}

}  // namespace supervise
