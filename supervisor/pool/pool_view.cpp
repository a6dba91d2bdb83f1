// Pool: what it tells of itself and of its jobs.
#include <chrono>
#include <cstdio>
#include <ctime>

#include "pool.hpp"

namespace supervise {
namespace {

std::string time_text(double seconds_since_epoch) {
    const auto seconds = static_cast<std::time_t>(seconds_since_epoch);
    std::tm parts{};
    ::gmtime_r(&seconds, &parts);
    char text[32];
    std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%SZ", &parts);
    return text;
}

std::string seconds_text(double seconds) {
    char text[32];
    std::snprintf(text, sizeof text, seconds < 10 ? "%.3f s" : "%.1f s", seconds);
    return text;
}

double seconds_of(Duration time) { return std::chrono::duration<double>(time).count(); }

Explanation explain_attempt(const Attempt& attempt) {
    Explanation result;
    result.subject = attempt.attempt > 0 ? "attempt " + std::to_string(attempt.attempt)
                                         : std::string("never begun");
    result.verdict = std::string(name_of(attempt.outcome));
    if (attempt.outcome == JobState::lost) {
        result.verdict += ": " + std::string(name_of(attempt.cause));
        result.facts.emplace_back("evidence", attempt.detail);
    } else if (attempt.outcome == JobState::failed) {
        result.facts.emplace_back("error", attempt.detail);
    }
    if (attempt.attempt > 0) {
        result.facts.emplace_back("worker", "slot " + std::to_string(attempt.slot) +
                                                " incarnation " +
                                                std::to_string(attempt.incarnation) + " pid " +
                                                std::to_string(attempt.pid));
        result.facts.emplace_back("waited", seconds_text(seconds_of(attempt.queued)));
        result.facts.emplace_back("ran", seconds_text(seconds_of(attempt.ran)));
        result.facts.emplace_back("worker_rss", bytes_text(attempt.rss_bytes));
    }
    result.facts.emplace_back("ended", time_text(attempt.ended_at));
    return result;
}

Explanation explain_life(const std::string& pool, const Life& life) {
    Explanation result;
    result.subject = "worker " + pool + '/' + std::to_string(life.slot) + " incarnation " +
                     std::to_string(life.incarnation) + " (pid " + std::to_string(life.pid) + ')';
    result.verdict = life.how + ": " + life.reason;
    result.facts.emplace_back("evidence", life.detail);
    if (life.job) {
        result.facts.emplace_back("job", std::to_string(*life.job) + ' ' + life.task);
    }
    result.facts.emplace_back("jobs_done", std::to_string(life.jobs_done));
    result.facts.emplace_back("lasted", seconds_text(life.lasted_seconds));
    result.facts.emplace_back("rss", bytes_text(life.fresh.rss) + " fresh, " +
                                         bytes_text(life.peak.rss) + " at most, " +
                                         bytes_text(life.last.rss) + " last");
    result.facts.emplace_back("private", bytes_text(life.fresh.private_bytes) + " fresh, " +
                                             bytes_text(life.peak.private_bytes) + " at most, " +
                                             bytes_text(life.last.private_bytes) + " last");
    result.facts.emplace_back("ended", time_text(life.ended_at));
    return result;
}

}  // namespace

std::string Pool::state() const {
    if (stopping_) {
        return "stopping";
    }
    if (roster_.degraded() || fronts_.tripped()) {
        return "degraded";
    }
    if (paused_) {
        return "paused";
    }
    const bool served = roster_.ever_ready() || roster_.wanted() == 0;
    return served && (!fronts_.wanted() || fronts_.ever_ready()) ? "running" : "starting";
}

std::string Pool::advice() const {
    const std::string workers = roster_.advice();
    const std::string front = fronts_.advice();
    if (!workers.empty() || !front.empty()) {
        return workers + (workers.empty() || front.empty() ? "" : ". ") + front;
    }
    if (paused_) {
        return "pool " + settings_->name + " is paused; to go on: supervise resume " +
               settings_->name;
    }
    return {};
}

bool Pool::owns(pid_t pid) const { return roster_.owns(pid) || fronts_.owns(pid); }

PoolSnapshot Pool::snapshot() const {
    PoolSnapshot result;
    result.name = settings_->name;
    result.state = state();
    result.advice = advice();
    roster_.describe(result);
    fronts_.describe(result);
    result.jobs = desk_.ledger().ended();
    result.jobs.queued = desk_.queue().size();
    result.jobs.running = desk_.running();
    result.attempts = desk_.ledger().attempt_counts();
    result.clients = intake_.clients();
    result.refused = desk_.refused();
    return result;
}

std::optional<Explanation> Pool::why_job(JobId id) const {
    const std::vector<Attempt> attempts = desk_.ledger().attempts(id);
    const Job* const live = desk_.find(id);
    if (live == nullptr && attempts.empty()) {
        return std::nullopt;
    }
    Explanation result;
    result.subject = "job " + std::to_string(id);
    const std::string& task = live != nullptr ? live->task->name : attempts.back().task->name;
    result.facts.emplace_back("pool", settings_->name);
    result.facts.emplace_back("task", task);
    if (live != nullptr) {
        result.verdict = std::string(name_of(live->state));
        if (live->state == JobState::queued) {
            result.facts.emplace_back("queued_before_it",
                                      "at most " + std::to_string(desk_.queue().size() - 1));
        }
    } else {
        const Attempt& last = attempts.back();
        result.verdict = std::string(name_of(last.job_state));
        if (last.outcome == JobState::lost) {
            result.verdict += " (" + std::string(name_of(last.cause)) + "): " + last.detail;
        } else if (last.outcome == JobState::failed) {
            result.verdict += ": " + last.detail;
        }
    }
    for (const Attempt& attempt : attempts) {
        result.history.push_back(explain_attempt(attempt));
    }
    return result;
}

ApiResult<Explanation> Pool::why_worker(unsigned slot) const {
    const PoolSnapshot now = snapshot();
    Explanation result;
    result.subject = "worker " + settings_->name + '/' + std::to_string(slot);
    for (const WorkerSnapshot& worker : now.workers) {
        const bool leaving = worker.state == "retiring";
        if (worker.slot != slot || worker.successor || leaving) {
            continue;
        }
        result.subject += " incarnation " + std::to_string(worker.incarnation) + " (pid " +
                          std::to_string(worker.pid) + ')';
        result.verdict = "is " + worker.state;
        if (worker.job_id) {
            result.verdict += " with job " + std::to_string(*worker.job_id) + ' ' + worker.task;
        }
        result.facts.emplace_back("jobs_done", std::to_string(worker.jobs_done));
        result.facts.emplace_back("age", seconds_text(worker.age_seconds));
        result.facts.emplace_back("rss", bytes_text(worker.rss_bytes));
        result.facts.emplace_back("private", bytes_text(worker.private_bytes));
    }
    const auto& lives = roster_.book().lives();
    for (auto life = lives.rbegin(); life != lives.rend() && result.history.size() < 10; ++life) {
        if (life->slot == slot) {
            result.history.push_back(explain_life(settings_->name, *life));
        }
    }
    if (result.verdict.empty() && result.history.empty()) {
        return ApiError{404, "unknown_slot",
                        "pool " + settings_->name + " has no slot " + std::to_string(slot)};
    }
    if (result.verdict.empty()) {
        result.verdict = "the slot is empty";
    }
    return result;
}

}  // namespace supervise
