#include "recycle_policy.hpp"

#include <algorithm>
#include <cmath>

namespace supervise {
namespace {

/// A successor is started this much earlier than its mean warm-up says: warm-ups vary.
constexpr double lead = 1.5;
/// And much earlier where the line is one of memory: a single job may grow like ten.
constexpr double memory_lead = 4;
/// Growth below this is noise, no slope to extrapolate.
constexpr double least_growth = 64.0 * 1024;

double seconds(Duration time) { return std::chrono::duration<double>(time).count(); }

/// Whether `jobs_left` more jobs take no longer than a successor's warm-up.
bool is_near(double jobs_left, const WorkerFacts& facts, double ahead) {
    if (jobs_left <= 1) {
        return true;
    }
    if (facts.job_interval == Duration{}) {
        return false;  // it has done nothing yet
    }
    return jobs_left * seconds(facts.job_interval) <= ahead * seconds(facts.warm_up);
}

void raise(Decision& decision, Verdict verdict, RecycleReason reason) {
    if (verdict > decision.verdict) {
        decision = {verdict, reason};
    }
}

void judge_memory(Decision& decision, const WorkerFacts& facts, std::uint64_t now,
                  std::uint64_t line, RecycleReason reason) {
    if (now >= line) {
        raise(decision, facts.just_trimmed ? Verdict::stop : Verdict::trim, reason);
    } else if (facts.growth_per_job > least_growth &&
               is_near(static_cast<double>(line - now) / facts.growth_per_job, facts,
                       memory_lead)) {
        raise(decision, Verdict::prepare, reason);
    }
}

}  // namespace

std::string_view name_of(RecycleReason reason) {
    constexpr std::string_view names[recycle_reasons] = {"max_tasks", "max_rss", "max_private",
                                                         "max_age",   "idle",    "requested",
                                                         "config",    "pressure"};
    return names[static_cast<std::size_t>(reason)];
}

std::uint64_t task_line(std::uint64_t max_tasks, double jitter_width, double jitter) {
    const double share = 1.0 - jitter_width * jitter;
    const auto line = static_cast<std::uint64_t>(std::ceil(static_cast<double>(max_tasks) * share));
    return std::clamp<std::uint64_t>(line, 1, max_tasks);
}

Decision decide(const WorkerFacts& facts, const RecycleSettings& settings,
                const SuspendedLines& suspended) {
    Decision decision;
    if (facts.asked) {
        raise(decision, Verdict::replace, *facts.asked);
    }
    if (settings.max_age) {
        const double line =
            seconds(*settings.max_age) * (1.0 - settings.max_tasks_jitter * facts.jitter);
        if (seconds(facts.age) >= line) {
            raise(decision, Verdict::replace, RecycleReason::max_age);
        }
    }
    // A worker that has done nothing is as fresh as its successor would be.
    if (settings.idle && facts.jobs_done > 0 && facts.idle_for >= *settings.idle) {
        raise(decision, Verdict::replace, RecycleReason::idle);
    }
    if (settings.max_rss && !suspended.max_rss) {
        judge_memory(decision, facts, facts.memory.rss, *settings.max_rss, RecycleReason::max_rss);
    }
    if (settings.max_private && !suspended.max_private) {
        judge_memory(decision, facts, facts.memory.private_bytes, *settings.max_private,
                     RecycleReason::max_private);
    }
    if (settings.max_tasks) {
        const std::uint64_t line =
            task_line(*settings.max_tasks, settings.max_tasks_jitter, facts.jitter);
        if (facts.jobs_done >= line) {
            raise(decision, Verdict::stop, RecycleReason::max_tasks);
        } else if (facts.jobs_done + 1 == line) {
            // One that is to go anyway goes without it: it would never go where no job comes.
            const bool goes = decision.verdict == Verdict::replace;
            raise(decision, goes ? Verdict::stop : Verdict::last_job,
                  goes ? decision.reason : RecycleReason::max_tasks);
        } else if (is_near(static_cast<double>(line - facts.jobs_done), facts, lead)) {
            raise(decision, Verdict::prepare, RecycleReason::max_tasks);
        }
    }
    return decision;
}

bool FutilityWatch::recycled(std::uint64_t before, std::uint64_t after) {
    const bool futile = after + before / 20 > before;
    futile_ = futile ? futile_ + 1 : 0;
    return futile_ == 3;
}

}  // namespace supervise
