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

/// As it would be written in the config, rounded up.
std::string config_size(std::uint64_t bytes) {
    constexpr std::uint64_t mebi = 1 << 20;
    return std::to_string((bytes + mebi - 1) / mebi) + 'M';
}

}  // namespace

void Roster::gone(Worker& worker, const ExitVerdict& verdict, bool given_back) {
    const TimePoint now = context_.clock->now();
    Slot& slot = slot_of(worker);
    const bool recycled = slot.leaving == &worker && slot.number <= wanted_;
    for (Worker** place : {&slot.current, &slot.successor, &slot.leaving}) {
        if (*place == &worker) {
            *place = nullptr;
        }
    }
    const bool planned =
        worker.record.retire_asked_at != TimePoint{} || verdict.cause == Cause::shutdown;
    if (planned) {
        write_life(worker, verdict, recycled ? "recycled" : "retired", given_back);
    } else {
        write_life(worker, verdict, "died", given_back);
        ++restarts_[std::string(name_of(verdict.cause))];
        const bool healthy = worker.record.jobs_done > 0;
        Duration wait{};
        if (is_crash(verdict.cause)) {
            wait = slot.backoff.after_death(settings_->restart, healthy, context_.random_share());
            last_failure_ = verdict.detail.substr(0, verdict.detail.find('\n'));  // no traceback
            if (breaker_.death(settings_->restart, now)) {
                context_.logger.error(
                    "pool.degraded",
                    {{"pool", settings_->name},
                     {"deaths", settings_->restart.burst},
                     {"period_seconds", static_cast<long>(seconds(settings_->restart.period))},
                     {"last", verdict.detail},
                     {"next", "mend it, then: supervise resume " + settings_->name}});
            }
        }
        slot.restart_at = now + wait;
    }
    settle();
}

void Roster::write_life(const Worker& worker, const ExitVerdict& verdict, const char* how,
                        bool given_back) {
    const Worker::Record& record = worker.record;
    const bool died = std::string_view(how) == "died";
    Life life;
    life.slot = worker.name().slot;
    life.incarnation = worker.name().incarnation;
    life.generation = worker.name().generation;
    life.pid = worker.pid();
    life.ended_at = wall_time();
    life.lasted_seconds = seconds(context_.clock->now() - record.launched_at);
    life.how = how;
    life.reason = died || record.leave_reason.empty() ? std::string(name_of(verdict.cause))
                                                      : record.leave_reason;
    life.detail = verdict.detail;
    life.jobs_done = record.jobs_done;
    if (worker.job() != nullptr && !given_back) {
        life.job = worker.job()->id;
        life.task = worker.job()->task->name;
    }
    life.fresh = record.fresh;
    life.last = record.memory;
    life.peak = record.peak;
    context_.logger.log(died ? LogLevel::warning : LogLevel::info,
                        died ? "worker.died" : "worker.gone",
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

void Roster::watch_futility(RecycleReason reason, const Worker& old, const Worker& fresh) {
    bool futile = false;
    if (reason == RecycleReason::max_rss) {
        futile = rss_futility_.recycled(old.record.memory.rss, fresh.record.fresh.rss);
        suspended_.max_rss = suspended_.max_rss || futile;
    } else if (reason == RecycleReason::max_private) {
        futile = private_futility_.recycled(old.record.memory.private_bytes,
                                            fresh.record.fresh.private_bytes);
        suspended_.max_private = suspended_.max_private || futile;
    }
    if (futile) {
        complain(
            "three recycles in a row for recycle." + std::string(name_of(reason)) +
            " gave nothing back; it is not obeyed until the config changes: raise it or look for "
            "what a fresh worker loads");
    }
}

void Roster::check_lines(const Worker& worker) {
    const auto check = [&](std::string_view key, std::optional<std::uint64_t> line,
                           std::uint64_t fresh, bool& suspended) {
        if (!line || suspended || *line >= least_line(fresh)) {
            return;
        }
        suspended = true;
        const std::string message =
            "pool " + settings_->name + ": recycle." + std::string(key) + " = " +
            config_size(*line) + " is below 1.2 times what a fresh worker has (" +
            config_size(fresh) + "), so that every worker would be replaced at once; set it to " +
            config_size(least_line(fresh)) + " at the least";
        complain(message);
        if (context_.config_error) {
            context_.config_error(message);
        }
    };
    check("max_rss", settings_->recycle.max_rss, worker.record.fresh.rss, suspended_.max_rss);
    check("max_private", settings_->recycle.max_private, worker.record.fresh.private_bytes,
          suspended_.max_private);
}

void Roster::complain(std::string text) {
    complaint_ = std::move(text);
    context_.logger.error("pool.misconfigured", {{"pool", settings_->name}, {"error", complaint_}});
}

void Roster::resize(std::shared_ptr<const PoolSettings> settings) {
    settings_ = std::move(settings);
    wanted_ = settings_->min_workers;
    settle();
}

void Roster::apply(std::shared_ptr<const PoolSettings> settings, bool replace_workers) {
    settings_ = std::move(settings);
    wanted_ = std::clamp(wanted_, settings_->min_workers, settings_->max_workers);
    suspended_ = {};
    lines_checked_ = false;
    rss_futility_.reset();
    private_futility_.reset();
    complaint_.clear();
    for (Worker& worker : workers_) {
        worker.apply(settings_);
    }
    generation_ += replace_workers ? 1 : 0;
    reset_breaker();
    if (replace_workers) {
        for (Slot& slot : slots_) {
            if (slot.successor != nullptr) {  // of the old generation
                slot.successor->kill(Cause::shutdown, "the configuration has changed");
                slot.successor = nullptr;
            }
            if (slot.current != nullptr &&
                !slot.current->record.ready_at.time_since_epoch().count()) {
                slot.current->kill(Cause::shutdown, "the configuration has changed");
                slot.current = nullptr;
            }
        }
        recycle(std::nullopt, RecycleReason::config);
    }
    settle();
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
    for (Slot& slot : slots_) {
        slot.backoff.reset();
        slot.restart_at = TimePoint{};
    }
    settle();
}

void Roster::stop() {
    stopping_ = true;
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
    for (Worker& worker : workers_) {
        worker.kill(Cause::shutdown, why);
    }
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
        row.successor = slots_[worker.name().slot - 1].successor == &worker;
    }
    std::sort(snapshot.workers.begin(), snapshot.workers.end(),
              [](const WorkerSnapshot& a, const WorkerSnapshot& b) {
                  return std::pair(a.slot, a.incarnation) < std::pair(b.slot, b.incarnation);
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
}

}  // namespace supervise
