// Roster: what it tells.
#include <algorithm>
#include <chrono>
#include <tuple>

#include "roster.hpp"

namespace supervise {

namespace {

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

}  // namespace

std::string Roster::advice() const {
    const std::string pool = "pool " + settings_->name;
    const std::string& trouble = trouble_.text().empty() ? last_failure_ : trouble_.text();
    if (tripped()) {
        return pool + " is degraded: " + std::to_string(settings_->restart.burst) +
               " workers died without a job done; the last: " + last_failure_ +
               ". Mend it, then: supervise resume " + settings_->name;
    }
    if (!refusal_.empty()) {
        return pool + ": " + refusal_ + ". Mend it, then: supervise recycle " + settings_->name +
               " --template";
    }
    if (!complaint_.empty()) {
        return complaint_;
    }
    if (ever_ready_ && !trouble_.text().empty() && lacks_workers()) {
        return pool + " cannot start workers: " + trouble + next_attempt();
    }
    if (ever_ready_ && !keeper_.error().empty()) {
        return pool + ": " + keeper_.error();
    }
    if (!ever_ready_ && !trouble.empty()) {
        return "no worker of " + pool +
               " has become ready yet; the last one's failure: " + trouble + next_attempt();
    }
    return {};
}

bool Roster::fails_to_start() const {
    return !ever_ready_ &&
           (breaker_.deaths() >= 3 || trouble_.failures() >= 3 || !refusal_.empty());
}

bool Roster::lacks_workers() const {
    const auto filled = [this](const Slot& slot) {
        return slot.number > wanted_ ||
               (slot.current != nullptr && slot.current->record.ready_at != TimePoint{} &&
                !wants_successor(slot));
    };
    return slots_.size() < wanted_ || !std::all_of(slots_.begin(), slots_.end(), filled) ||
           (wanted_ > 0 && spares_.size() < settings_->spare);
}

/// Of a worker, or of the template that it needs; empty while one is under way.
std::string Roster::next_attempt() const {
    TimePoint next = TimePoint::max();
    for (const Slot& slot : slots_) {
        const bool waits = slot.current == nullptr || wants_successor(slot);
        next = waits && slot.number <= wanted_ ? std::min(next, slot.restart_at) : next;
    }
    next = next == TimePoint::max() ? next_spare_at_ : next;
    if (!keeper_.can_provide()) {
        next = keeper_.next_start();
    }
    const TimePoint now = context_.clock->now();
    if (next <= now) {
        return {};
    }
    const auto wait = std::chrono::ceil<std::chrono::seconds>(next - now);
    return "; the next attempt is within " + std::to_string(wait.count()) + " s";
}

void Roster::describe(PoolSnapshot& snapshot) const {
    snapshot.workers_wanted = wanted_;
    const TimePoint now = context_.clock->now();
    for (const Worker& worker : workers_) {
        if (worker.state() == WorkerState::gone) {
            continue;
        }
        WorkerSnapshot& row = snapshot.workers.emplace_back();
        row.slot = worker.name().slot;
        row.incarnation = worker.name().incarnation;
        row.generation = worker.name().generation;
        row.pid = worker.pid();
        row.state = name_of(worker.state());
        if (worker.job() != nullptr) {
            row.task = worker.job()->task->name;
            row.job_id = worker.job()->id;
        }
        row.jobs_done = worker.record.jobs_done;
        row.age_seconds = seconds(now - worker.record.launched_at);
        row.rss_bytes = worker.record.memory.rss;
        row.private_bytes = worker.record.memory.private_bytes;
        row.successor = row.slot == 0 || slots_[row.slot - 1].successor == &worker;
    }
    std::sort(snapshot.workers.begin(), snapshot.workers.end(),
              [](const WorkerSnapshot& a, const WorkerSnapshot& b) {
                  // Slots first, then spares, which have none.
                  return std::tuple(a.slot == 0, a.slot, a.incarnation) <
                         std::tuple(b.slot == 0, b.slot, b.incarnation);
              });
    for (std::size_t i = 0; i < recycle_reasons; ++i) {
        if (recycles_[i] > 0) {
            snapshot.recycles[std::string(name_of(static_cast<RecycleReason>(i)))] = recycles_[i];
        }
    }
    snapshot.restarts = restarts_;
    snapshot.trims = trims_;
    snapshot.trimmed_bytes = trimmed_bytes_;
    snapshot.slot_gap = gaps_.snapshot();
    snapshot.generation = generation_;
    keeper_.describe(snapshot);
}

}  // namespace supervise
