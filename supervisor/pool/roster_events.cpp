// Roster: deaths, the operator's wishes, the end, and what it tells.
#include <algorithm>
#include <chrono>
#include <csignal>

#include "roster.hpp"

namespace supervise {
namespace asio = boost::asio;

namespace {

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

double wall_time() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

/// Deaths by our own hand are no crash loop.
bool is_crash(Cause cause) {
    return cause == Cause::exit || cause == Cause::signal || cause == Cause::oom_worker ||
           cause == Cause::oom_host || cause == Cause::unknown;
}

}  // namespace

void Roster::gone(Worker& worker, const ExitVerdict& verdict, const Job* lost) {
    Slot* const slot = slot_of(worker);
    bool recycled = false;
    if (slot != nullptr) {
        recycled = std::erase(slot->leaving, &worker) > 0 && slot->number <= wanted_;
        for (Worker** place : {&slot->current, &slot->successor}) {
            *place = *place == &worker ? nullptr : *place;
        }
    }
    std::erase(spares_, &worker);
    const bool planned =
        worker.record.retire_asked_at != TimePoint{} || verdict.cause == Cause::shutdown;
    const bool born = worker.pid() != 0;
    write_life(worker, verdict,
               planned ? (recycled ? "recycled" : "retired") : (born ? "died" : "not started"),
               lost);
    if (!planned && born) {
        died(worker, verdict, slot, context_.clock->now());
    } else if (!planned) {
        not_started(worker, verdict, slot, context_.clock->now());
    }
    settle();
}

void Roster::died(Worker& worker, const ExitVerdict& verdict, Slot* slot, TimePoint now) {
    ++restarts_[std::string(name_of(verdict.cause))];
    const bool healthy = worker.record.jobs_done > 0;
    TimePoint& restart_at = slot != nullptr ? slot->restart_at : next_spare_at_;
    Backoff& backoff = slot != nullptr ? slot->backoff : spare_backoff_;
    restart_at = now;
    if (!is_crash(verdict.cause)) {
        return;
    }
    if (worker.record.ready_at == TimePoint{}) {
        trouble_.failed(verdict.detail, {});
    }
    const Duration wait = backoff.after_death(settings_->restart, healthy, context_.random_share());
    const bool spare_ready = std::any_of(spares_.begin(), spares_.end(), [](const Worker* spare) {
        return spare->state() == WorkerState::idle;
    });
    if (!healthy || !spare_ready) {
        restart_at += wait;
    }
    death_of(verdict.detail, now);
}

/// There was no process, so nobody has died.
void Roster::not_started(Worker& worker, const ExitVerdict& verdict, Slot* slot, TimePoint now) {
    TimePoint& restart_at = slot != nullptr ? slot->restart_at : next_spare_at_;
    Backoff& backoff = slot != nullptr ? slot->backoff : spare_backoff_;
    restart_at = now;
    if (worker.parent() != nullptr && !worker.parent()->can_fork()) {
        return;  // it went with its template, for whose successor the keeper has its own back-off
    }
    restart_at += backoff.after_death(settings_->restart, false, context_.random_share());
    trouble_.failed(verdict.detail, worker.record.shortage);
    if (worker.record.shortage.empty()) {
        death_of(verdict.detail, now);
    }
}

void Roster::death_of(const std::string& detail, TimePoint now) {
    last_failure_ = detail.substr(0, detail.find('\n'));  // no traceback
    if (breaker_.death(settings_->restart, now)) {
        context_.logger.error(
            "pool.degraded",
            {{"pool", settings_->name},
             {"deaths", settings_->restart.burst},
             {"period_seconds", static_cast<long>(seconds(settings_->restart.period))},
             {"last", detail},
             {"next", "mend it, then: supervise resume " + settings_->name}});
    }
}

void Roster::template_failed(const std::string& what, const std::string& shortage) {
    trouble_.failed(what, shortage);
    if (shortage.empty()) {
        death_of(what, context_.clock->now());
    }
}

void Roster::fork_refused(const std::string& what) {
    refusal_ = what;
    context_.logger.error("pool.degraded", {{"pool", settings_->name},
                                            {"last", what},
                                            {"next", "mend it, then: supervise recycle " +
                                                         settings_->name + " --template"}});
}

void Roster::generation_changed(unsigned generation, bool roll) {
    generation_ = generation;
    refusal_.clear();
    trouble_.forget_text();
    if (roll) {
        rolling_to_ = generation;
        lines_.reset();
        while (!spares_.empty()) {
            dismiss(*spares_.back(), "config");
            spares_.pop_back();
        }
        for (Slot& slot : slots_) {
            roll_over(slot);
        }
    }
    settle();
}

/// Each slot has a worker of the new code, or one that only waits for the old one's last job.
bool Roster::has_rolled_over() const {
    const auto is_new = [this](const Worker* worker) {
        return worker != nullptr && worker->name().generation >= rolling_to_ &&
               (worker->state() == WorkerState::idle || worker->state() == WorkerState::busy);
    };
    return wanted_ > 0 && std::all_of(slots_.begin(), slots_.end(), [&](const Slot& slot) {
               return slot.number > wanted_ || is_new(slot.current) || is_new(slot.successor);
           });
}

/// What serves goes on until its successor is there; what does not yet, has no use any more.
void Roster::roll_over(Slot& slot) {
    for (Worker** place : {&slot.successor, &slot.current}) {
        Worker* const worker = *place;
        const bool serves =
            place == &slot.current && worker != nullptr && worker->record.ready_at != TimePoint{};
        if (worker != nullptr && !serves) {
            dismiss(*worker, "the application has changed");
            *place = nullptr;
        } else if (worker != nullptr) {
            worker->record.asked = RecycleReason::config;
            judge(*worker);
        }
    }
}

void Roster::write_life(const Worker& worker, const ExitVerdict& verdict, const char* how,
                        const Job* lost) {
    const WorkerRecord& record = worker.record;
    const bool born = worker.pid() != 0;
    const bool died = std::string_view(how) == "died" || std::string_view(how) == "not started";
    Life life;
    life.slot = worker.name().slot;
    life.incarnation = worker.name().incarnation;
    life.generation = worker.name().generation;
    life.pid = worker.pid();
    life.ended_at = wall_time();
    life.lasted_seconds = seconds(context_.clock->now() - record.launched_at);
    life.how = how;
    life.reason = died && !born                         ? "launch"
                  : died || record.leave_reason.empty() ? std::string(name_of(verdict.cause))
                                                        : record.leave_reason;
    life.detail = verdict.detail;
    life.jobs_done = record.jobs_done;
    if (lost != nullptr) {
        life.job = lost->id;
        life.task = lost->task->name;
    }
    life.fresh = record.fresh;
    life.last = record.memory;
    life.peak = record.peak;
    context_.logger.log(died ? LogLevel::warning : LogLevel::info,
                        !died  ? "worker.gone"
                        : born ? "worker.died"
                               : "worker.not_started",
                        {{"pool", settings_->name},
                         {"slot", life.slot},
                         {"incarnation", life.incarnation},
                         {"pid", life.pid},
                         {"how", life.how},
                         {"reason", life.reason},
                         {"detail", life.detail},
                         {"job", life.job ? std::to_string(*life.job) : "-"},
                         {"task", life.job ? life.task : "-"},
                         {"jobs", life.jobs_done},
                         {"came_back", record.memory.private_bytes},
                         {"rss", record.memory.rss}});
    book_.write(std::move(life));
}

void Roster::complain(const std::string& text) {
    if (!text.empty()) {
        complaint_ = text;
        context_.logger.error("pool.misconfigured",
                              {{"pool", settings_->name}, {"error", complaint_}});
    }
}

void Roster::resize(std::shared_ptr<const PoolSettings> settings) {
    settings_ = std::move(settings);
    wanted_ = settings_->min_workers;
    settle();
}

void Roster::apply(std::shared_ptr<const PoolSettings> settings, bool replace_workers) {
    const bool had_preload = settings_->preload;
    settings_ = std::move(settings);
    wanted_ = std::clamp(wanted_, settings_->min_workers, settings_->max_workers);
    lines_.reset();
    complaint_.clear();
    for (Worker& worker : workers_) {
        worker.apply(settings_);
    }
    reset_breaker();
    if (settings_->preload || had_preload || replace_workers) {
        keeper_.renew(settings_, true);
    }
    settle();
}

unsigned Roster::renew_template() {
    refusal_.clear();
    return keeper_.renew(settings_, true);
}

unsigned Roster::recycle(std::optional<unsigned> number, RecycleReason reason) {
    unsigned asked = 0;
    for (Slot& slot : slots_) {
        if (slot.current != nullptr && (!number || *number == slot.number)) {
            slot.current->record.asked = reason;
            judge(*slot.current);
            ++asked;
        }
    }
    settle();
    return asked;
}

void Roster::reset_breaker() {
    breaker_.reset();
    trouble_.over();
    spare_backoff_.reset();
    next_spare_at_ = TimePoint{};
    refusal_.clear();
    keeper_.reset();
    for (Slot& slot : slots_) {
        slot.backoff.reset();
        slot.restart_at = TimePoint{};
    }
    settle();
}

void Roster::stop() {
    stopping_ = true;
    keeper_.stop();
    for (Worker& worker : workers_) {
        if (worker.state() == WorkerState::idle && !worker.trimming()) {
            let_go(worker, "shutdown");
        } else if (worker.state() == WorkerState::spawning ||
                   worker.state() == WorkerState::starting) {
            worker.kill(Cause::shutdown, "the supervisor is stopping");
        }
    }
}

void Roster::interrupt() {
    for (Worker& worker : workers_) {
        if (worker.state() == WorkerState::busy) {
            worker.signal(SIGINT);  // raises SoftTimeLimitExceeded in the job, whatever its limit
        }
    }
}

void Roster::kill_all(const char* why) {
    keeper_.kill_all(why);
    for (Worker& worker : workers_) {
        worker.kill(Cause::shutdown, why);
    }
}

}  // namespace supervise
