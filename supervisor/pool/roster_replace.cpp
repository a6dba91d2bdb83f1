// Roster: one worker for another, in the right order and never too many at once.
#include <algorithm>

#include "roster.hpp"

namespace supervise {

bool Roster::wants_successor(const Slot& slot) const {
    return slot.number <= wanted_ && slot.current != nullptr && slot.successor == nullptr &&
           slot.leaving == nullptr && slot.current->record.decision.verdict != Verdict::keep &&
           slot.current->record.decision.verdict != Verdict::trim;
}

void Roster::start_successors(TimePoint now) {
    while (!breaker_.tripped() && replacing() < replacement_limit(wanted_) &&
           has_room_for_one_more()) {
        Slot* most_urgent = nullptr;
        for (Slot& slot : slots_) {
            if (wants_successor(slot) && now >= slot.restart_at &&
                (most_urgent == nullptr || slot.current->record.decision.verdict >
                                               most_urgent->current->record.decision.verdict)) {
                most_urgent = &slot;
            }
        }
        if (most_urgent == nullptr) {
            return;
        }
        most_urgent->successor = &spawn(*most_urgent);
    }
}

unsigned Roster::replacing() const {
    // A replacement is over when the slot has changed hands. The old processes may take their time
    // to end, but no more of them than may be replaced at once: they hold memory.
    unsigned under_way = 0;
    unsigned leaving = 0;
    for (const Slot& slot : slots_) {
        const bool empty = slot.leaving != nullptr && slot.current == nullptr;
        under_way += slot.successor != nullptr || empty ? 1 : 0;
        leaving += slot.leaving != nullptr ? 1 : 0;
    }
    return std::max(under_way, leaving > replacement_limit(wanted_) ? leaving : 0);
}

bool Roster::may_launch() const {
    if (!settings_->memory.budget) {
        return true;
    }
    const bool nobody = std::all_of(workers_.begin(), workers_.end(), [](const Worker& worker) {
        return worker.state() == WorkerState::gone;  // being buried
    });
    if (nobody) {
        return true;
    }
    // Until one is ready, nobody knows what a worker takes.
    return fresh_.private_bytes > 0 && has_room_for_one_more();
}

bool Roster::has_room_for_one_more() const {
    if (!settings_->memory.budget) {
        return true;
    }
    std::uint64_t sum = fresh_.private_bytes;
    for (const Worker& worker : workers_) {
        if (worker.state() != WorkerState::gone) {
            sum += std::max(worker.record.memory.private_bytes, fresh_.private_bytes);
        }
    }
    return sum <= *settings_->memory.budget;
}

void Roster::hand_over(Slot& slot) {
    Worker& old = *slot.current;
    count_recycle(old, slot.successor);
    slot.gap_open = true;
    slot.gap_since = old.record.last_end;
    slot.leaving = slot.current;
    slot.current = slot.successor;
    slot.successor = nullptr;
    slot.spare_since = TimePoint{};
    let_go(old, name_of(old.record.decision.reason));
}

void Roster::break_first(Slot& slot) {
    context_.logger.warning("worker.order_reversed",
                            {{"pool", settings_->name},
                             {"slot", slot.number},
                             {"reason", "memory.budget has no room for one more worker"},
                             {"budget", *settings_->memory.budget}});
    count_recycle(*slot.current, nullptr);
    slot.gap_open = true;
    slot.gap_since = slot.current->record.last_end;
    slot.leaving = slot.current;
    slot.current = nullptr;
    let_go(*slot.leaving, name_of(slot.leaving->record.decision.reason));
}

void Roster::let_go(Worker& worker, std::string_view reason) {
    const Worker* const heir = slot_of(worker).current;
    context_.logger.info("worker.retiring",
                         {{"pool", settings_->name},
                          {"slot", worker.name().slot},
                          {"incarnation", worker.name().incarnation},
                          {"pid", worker.pid()},
                          {"reason", reason},
                          {"jobs", worker.record.jobs_done},
                          {"rss", worker.record.memory.rss},
                          {"private", worker.record.memory.private_bytes},
                          {"successor", heir != nullptr && heir != &worker ? heir->pid() : 0}});
    worker.record.leave_reason = reason;
    worker.retire();
}

void Roster::count_recycle(const Worker& old, const Worker* fresh) {
    const RecycleReason reason = old.record.decision.reason;
    ++recycles_[static_cast<std::size_t>(reason)];
    if (fresh != nullptr) {
        watch_futility(reason, old, *fresh);
    }
}

}  // namespace supervise
