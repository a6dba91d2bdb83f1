#include "roster.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace supervise {
namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

/// A worker with a ready successor that has had no job for so long is replaced without its last
/// ones.
constexpr Duration quiet_time = 1s;
/// A successor that turned out not to be needed is let go after this long.
constexpr Duration spare_time = 30s;

Duration decayed(Duration mean, Duration sample) {
    return mean == Duration{} ? sample : mean + (sample - mean) / 4;
}

}  // namespace

Roster::Roster(PoolContext& context, WorkerOwner& owner,
               std::shared_ptr<const PoolSettings> settings)
    : context_(context),
      owner_(owner),
      settings_(std::move(settings)),
      wanted_(settings_->min_workers),
      running_(context.executor),
      keeper_(context, *this, settings_) {}

Slot* Roster::slot_of(const Worker& worker) {
    return worker.name().slot == 0 ? nullptr : &slots_[worker.name().slot - 1];
}

Worker& Roster::spawn(unsigned slot, std::uint32_t incarnation) {
    WorkerName name;
    name.pool = settings_->name;
    name.slot = slot;
    name.incarnation = incarnation;
    name.generation = generation_;
    name.jitter = context_.random_share();
    WorkerOrigin origin = keeper_.origin();
    keeper_.born(origin.parent);
    workers_.emplace_back(context_, owner_, settings_, std::move(name), std::move(origin));
    const auto worker = std::prev(workers_.end());
    running_.spawn(worker->label(), run(worker));
    return *worker;
}

asio::awaitable<void> Roster::run(std::list<Worker>::iterator worker) {
    try {
        co_await worker->run();
    } catch (const std::exception& error) {
        // Its end has been told already: what failed was the clearing up.
        context_.logger.error(
            "worker.burial_failed",
            {{"pool", settings_->name}, {"slot", worker->name().slot}, {"error", error.what()}});
    }
    TemplateProcess* const parent = worker->parent();
    workers_.erase(worker);
    keeper_.buried(parent);
}

asio::awaitable<void> Roster::join() {
    co_await running_.join();
    co_await keeper_.join();
}

void Roster::ready(Worker& worker) {
    ever_ready_ = true;
    trouble_.over();
    warm_up_ = decayed(warm_up_, worker.record.ready_at - worker.record.launched_at);
    fresh_ = worker.record.fresh;
    context_.logger.info("worker.ready",
                         {{"pool", worker.name().pool},
                          {"slot", worker.name().slot},
                          {"incarnation", worker.name().incarnation},
                          {"pid", worker.pid()},
                          {"ms", std::chrono::duration_cast<std::chrono::milliseconds>(
                                     worker.record.ready_at - worker.record.launched_at)
                                     .count()},
                          {"rss", worker.record.fresh.rss},
                          {"private", worker.record.fresh.private_bytes}});
    const std::string error =
        lines_.check(settings_->name, settings_->recycle, worker.record.fresh);
    complain(error);
    if (!error.empty() && context_.config_error) {
        context_.config_error(error);
    }
    if (stopping_) {
        let_go(worker, "shutdown");
        return;
    }
    judge(worker);  // its first job may be its last
    settle();
}

void Roster::job_sent(Worker& worker, const Job& job) {
    Slot& slot = *slot_of(worker);
    if (slot.gap_open && slot.current == &worker) {
        slot.gap_open = false;
        gaps_.add(context_.clock->now() - std::max(slot.gap_since, job.queued_at));
    }
    if (settings_->jobs.window > 1) {
        judge(worker);  // what it holds counts towards its lines
    }
}

void Roster::job_done(Worker& worker) {
    breaker_.progress();
    if (stopping_) {
        if (worker.jobs().empty()) {
            let_go(worker, "shutdown");
        }
        return;
    }
    judge(worker);
    if (worker.record.decision.verdict != Verdict::keep || worker.name().slot > wanted_) {
        settle();
    }
}

void Roster::trimmed(Worker& worker) {
    const std::uint64_t after = worker.record.memory.rss;
    const std::uint64_t back =
        worker.record.before_trim > after ? worker.record.before_trim - after : 0;
    ++trims_;
    trimmed_bytes_ += back;
    context_.logger.info("worker.trimmed", {{"pool", worker.name().pool},
                                            {"slot", worker.name().slot},
                                            {"pid", worker.pid()},
                                            {"came_back", back},
                                            {"rss", after},
                                            {"private", worker.record.memory.private_bytes}});
    if (stopping_) {
        let_go(worker, "shutdown");
        return;
    }
    judge(worker);
    settle();
}

void Roster::judge(Worker& worker) {
    const TimePoint now = context_.clock->now();
    WorkerRecord& record = worker.record;
    WorkerFacts facts;
    facts.jobs_done = record.jobs_done + worker.jobs().size();
    facts.jitter = worker.name().jitter;
    facts.age = now - record.took_slot_at;
    facts.idle_for = worker.state() == WorkerState::idle ? now - record.last_end : Duration{};
    facts.memory = record.memory;
    if (record.jobs_done > 1) {
        facts.growth_per_job =
            (static_cast<double>(record.memory.rss) - static_cast<double>(record.after_first)) /
            static_cast<double>(record.jobs_done - 1);
    }
    facts.job_interval = record.job_interval;
    facts.warm_up = warm_up_;
    facts.just_trimmed = record.just_trimmed;
    facts.asked = record.asked;
    record.decision = decide(facts, settings_->recycle, lines_.suspended());
    if (record.decision.verdict == Verdict::trim && worker.state() == WorkerState::idle &&
        !worker.trimming()) {
        worker.trim();
    }
}

bool Roster::available(const Worker& worker) const {
    const Slot& slot = slots_[worker.name().slot - 1];
    const bool has_room =
        worker.state() == WorkerState::idle ||
        (worker.state() == WorkerState::busy &&
         worker.jobs().size() * 2 <= settings_->jobs.window && worker.job()->may_share_window());
    if (slot.current != &worker || slot.number > wanted_ || !has_room || worker.trimming() ||
        worker.channel_closed()) {
        return false;
    }
    switch (worker.record.decision.verdict) {
        case Verdict::keep:
        case Verdict::prepare:
            return true;
        case Verdict::replace:
            // With its successor ready it must become idle, whatever its window has room for.
            return slot.successor == nullptr || slot.successor->state() != WorkerState::idle;
        case Verdict::last_job:
            // Make before break: its last job waits for the successor, unless there is no room for
            // one. A fork is there before most jobs have ended: it need only be under way.
            return (slot.successor != nullptr &&
                    (slot.successor->state() == WorkerState::idle || keeper_.forks())) ||
                   !has_room_for_one_more();
        case Verdict::trim:
        case Verdict::stop:
            break;
    }
    return false;
}

std::size_t Roster::room(const Worker& worker, const Job& job) const {
    if (!job.may_share_window() || worker.record.decision.verdict != Verdict::keep) {
        return 1;
    }
    const std::size_t held = worker.jobs().size();
    const std::size_t free = settings_->jobs.window > held ? settings_->jobs.window - held : 1;
    if (!settings_->recycle.max_tasks) {
        return free;
    }
    // Its last job is handed over by itself: it may have to wait for the successor.
    const std::uint64_t line = task_line(*settings_->recycle.max_tasks,
                                         settings_->recycle.max_tasks_jitter, worker.name().jitter);
    const std::uint64_t committed = worker.record.jobs_done + held + 1;
    return line > committed ? std::min<std::size_t>(free, line - committed) : 1;
}

Worker* Roster::available(const Job& job) {
    // While a reload rolls through, old and new workers may know different tasks.
    Worker* best = nullptr;
    Worker* stranger = nullptr;
    bool somebody_may_know = false;
    for (const Slot& slot : slots_) {
        Worker* const worker = slot.current;
        if (worker == nullptr) {
            continue;
        }
        const bool knows = worker->tasks().count(job.task->name) != 0;
        const bool free = available(*worker) && (worker->jobs().empty() || job.may_share_window());
        if (!free) {
            somebody_may_know = somebody_may_know || knows || worker->tasks().empty();
        } else if (!knows) {
            stranger = stranger == nullptr ? worker : stranger;
        } else if (worker->jobs().empty()) {
            return worker;
        } else if (best == nullptr || worker->jobs().size() < best->jobs().size()) {
            best = worker;
        }
    }
    // A task that nobody has any more: the job fails with that error rather than wait for ever.
    return best != nullptr || somebody_may_know ? best : stranger;
}

bool Roster::any_available() const {
    return std::any_of(slots_.begin(), slots_.end(), [this](const Slot& slot) {
        return slot.current != nullptr && available(*slot.current);
    });
}

bool Roster::can_serve() const {
    return std::any_of(slots_.begin(), slots_.end(), [this](const Slot& slot) {
        return slot.current != nullptr &&
               (slot.current->state() == WorkerState::busy || available(*slot.current));
    });
}

void Roster::settle() {
    if (stopping_) {
        return;
    }
    const TimePoint now = context_.clock->now();
    while (slots_.size() < wanted_) {
        slots_.emplace_back();
        slots_.back().number = static_cast<unsigned>(slots_.size());
    }
    start_successors(now);  // a ready spare takes over in this very turn
    for (Slot& slot : slots_) {
        if (slot.number > wanted_) {
            give_up(slot);
        } else if (slot.current == nullptr) {
            fill(slot, now);
        } else if (slot.current->state() == WorkerState::idle && !slot.current->trimming()) {
            replace(slot, now);
        }
    }
    start_successors(now);  // and may need a successor itself
    fill_up_spares(now);
    if (rolling_to_ != 0 && has_rolled_over()) {
        rolling_to_ = 0;
        ++rolls_;
    }
}

/// Not wanted any more: its worker goes between two jobs, and nobody follows.
void Roster::give_up(Slot& slot) {
    if (slot.successor != nullptr) {
        slot.successor->kill(Cause::shutdown, "its slot is not wanted any more");
        slot.successor = nullptr;
    }
    if (slot.current == nullptr || !slot.leaving.empty() ||
        slot.current->state() == WorkerState::busy) {
        return;
    }
    if (slot.current->state() == WorkerState::idle) {
        let_go(*slot.current, "not_wanted");
    } else {
        slot.current->kill(Cause::shutdown, "its slot is not wanted any more");
    }
    slot.leaving.push_back(slot.current);
    slot.current = nullptr;
}

void Roster::fill(Slot& slot, TimePoint now) {
    if (slot.successor != nullptr) {
        slot.current = slot.successor;  // the old one died while this one was warming up
        slot.successor = nullptr;
    } else if (now >= slot.restart_at && !breaker_.tripped()) {
        slot.current = take_spare(slot, false);
        if (slot.current == nullptr && (slot.leaving.empty() || keeper_.forks()) && may_launch()) {
            slot.current = &spawn(slot.number, ++slot.incarnations);
        }
    }
}

/// Its worker is idle: this is the moment to change hands, if there is a reason to.
void Roster::replace(Slot& slot, TimePoint now) {
    const Verdict verdict = slot.current->record.decision.verdict;
    const bool due = verdict == Verdict::replace || verdict == Verdict::stop;
    if (due) {
        prefer_ready_spare(slot);
    }
    const bool successor_ready =
        slot.successor != nullptr && slot.successor->state() == WorkerState::idle;
    if (due && successor_ready) {
        hand_over(slot);
    } else if (due && slot.successor == nullptr && slot.leaving.empty() && keeper_.can_provide() &&
               !has_room_for_one_more() && replacing() < replacement_limit(wanted_)) {
        break_first(slot);
    } else if (successor_ready && verdict != Verdict::keep && slot.current->record.jobs_done > 0 &&
               now - std::max(slot.current->record.last_end, slot.successor->record.ready_at) >
                   quiet_time) {
        hand_over(slot);  // no better moment will come, and others may wait for their turn
    } else if (successor_ready && verdict == Verdict::keep) {
        if (slot.spare_since == TimePoint{}) {
            slot.spare_since = now;
        } else if (now - slot.spare_since > spare_time) {
            let_go(*slot.successor, "not_needed");
            slot.successor = nullptr;
            slot.spare_since = TimePoint{};
        }
    } else {
        slot.spare_since = TimePoint{};
    }
}

bool Roster::owns(pid_t pid) const {
    return keeper_.owns(pid) ||
           std::any_of(workers_.begin(), workers_.end(),
                       [pid](const Worker& worker) { return worker.pid() == pid; });
}

Worker* Roster::worker_of(JobId job) {
    for (Worker& worker : workers_) {
        for (const Job* const held : worker.jobs()) {
            if (held->id == job) {
                return &worker;
            }
        }
    }
    return nullptr;
}

}  // namespace supervise
