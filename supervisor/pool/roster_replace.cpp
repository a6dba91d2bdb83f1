// Roster: one worker for another, in the right order and never too many at once.
#include <algorithm>

#include "roster.hpp"

namespace supervise {

namespace {

/// Old processes of one slot that may still be on their way out while the next one is warmed up:
/// forks are made so fast that they would wait for each other's ends.
constexpr std::size_t most_leaving_forks = 3;

}  // namespace

bool Roster::wants_successor(const Slot& slot) const {
    const bool crowded =
        keeper_.forks() ? slot.leaving.size() >= most_leaving_forks : !slot.leaving.empty();
    return slot.number <= wanted_ && slot.current != nullptr && slot.successor == nullptr &&
           !crowded && slot.current->record.decision.verdict != Verdict::keep &&
           slot.current->record.decision.verdict != Verdict::trim;
}

void Roster::start_successors(TimePoint now) {
    while (!breaker_.tripped()) {
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
        most_urgent->successor = take_spare(*most_urgent, true);
        if (most_urgent->successor == nullptr) {
            if (replacing() >= replacement_limit(wanted_, keeper_.forks()) ||
                !keeper_.can_provide() || !has_room_for_one_more()) {
                return;
            }
            most_urgent->successor = take_spare(*most_urgent, false);
        }
        if (most_urgent->successor == nullptr) {
            most_urgent->successor = &spawn(most_urgent->number, ++most_urgent->incarnations);
        }
    }
}

unsigned Roster::replacing() const {
    // A replacement is over when the slot has changed hands. The old processes may take their time
    // to end, but no more of them than may be replaced at once: they hold memory.
    unsigned under_way = 0;
    unsigned leaving = 0;
    for (const Slot& slot : slots_) {
        const bool empty = !slot.leaving.empty() && slot.current == nullptr;
        under_way += slot.successor != nullptr || empty ? 1 : 0;
        leaving += slot.leaving.empty() ? 0 : 1;
    }
    return std::max(under_way, leaving > replacement_limit(wanted_, keeper_.forks()) ? leaving : 0);
}

Worker* Roster::take_spare(Slot& slot, bool ready_only) {
    const auto is_ready = [](const Worker* spare) {
        return spare->state() == WorkerState::idle && !spare->channel_closed();
    };
    const auto is_coming = [](const Worker* spare) {  // and not on its way out
        return (spare->state() == WorkerState::spawning ||
                spare->state() == WorkerState::starting) &&
               !spare->channel_closed();
    };
    auto found = std::find_if(spares_.begin(), spares_.end(), is_ready);
    if (found == spares_.end() && !ready_only) {
        found = std::find_if(spares_.begin(), spares_.end(), is_coming);
    }
    if (found == spares_.end()) {
        return nullptr;
    }
    Worker* const spare = *found;
    spares_.erase(found);
    spare->take_slot(slot.number, ++slot.incarnations);
    if (spare->state() == WorkerState::idle) {
        judge(*spare);
    }
    return spare;
}

/// Whoever is ready first takes over; the successor that is still starting is a spare then.
void Roster::prefer_ready_spare(Slot& slot) {
    if (slot.successor == nullptr || slot.successor->state() == WorkerState::idle) {
        return;
    }
    if (Worker* const spare = take_spare(slot, true)) {
        slot.successor->take_slot(0, ++spares_made_);
        spares_.push_back(slot.successor);
        slot.successor = spare;
    }
}

void Roster::fill_up_spares(TimePoint now) {
    const std::size_t most = wanted_ > 0 ? settings_->spare : 0;
    while (spares_.size() > most) {
        dismiss(*spares_.back(), "not_needed");
        spares_.pop_back();
    }
    const bool filled = std::all_of(slots_.begin(), slots_.end(), [this](const Slot& slot) {
        return slot.current != nullptr || slot.number > wanted_;
    });
    const auto may_make_one = [this] {
        // Spawned ones come one by one.
        const bool starting = std::any_of(spares_.begin(), spares_.end(), [](const Worker* spare) {
            return spare->state() != WorkerState::idle;
        });
        return (keeper_.forks() || !starting) && keeper_.can_provide() && has_room_for_one_more();
    };
    while (filled && ever_ready_ && !breaker_.tripped() && now >= next_spare_at_ &&
           spares_.size() < most && may_make_one()) {
        spares_.push_back(&spawn(0, ++spares_made_));
    }
}

void Roster::dismiss(Worker& worker, const char* reason) {
    if (worker.state() == WorkerState::idle) {
        let_go(worker, reason);
    } else {
        worker.kill(Cause::shutdown, reason);
    }
}

bool Roster::may_launch() const {
    if (!keeper_.can_provide()) {
        return false;
    }
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
    std::uint64_t sum = fresh_.private_bytes + keeper_.private_bytes();
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
    slot.leaving.push_back(slot.current);
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
    Worker& old = *slot.current;
    slot.leaving.push_back(&old);
    slot.current = nullptr;
    let_go(old, name_of(old.record.decision.reason));
}

void Roster::let_go(Worker& worker, std::string_view reason) {
    const Slot* const slot = slot_of(worker);
    const Worker* const heir = slot != nullptr ? slot->current : nullptr;
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
        complain(lines_.recycled(reason, old.record.memory, fresh->record.fresh));
    }
}

}  // namespace supervise
