#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "process/cgroup.hpp"
#include "supervise/settings.hpp"
#include "supervise/time.hpp"

namespace supervise {

/// Why a healthy worker is replaced.
enum class RecycleReason {
    max_tasks,
    max_rss,
    max_private,
    max_age,
    idle,
    requested,
    config,
    pressure
};
inline constexpr std::size_t recycle_reasons = 8;
std::string_view name_of(RecycleReason reason);

/// What is known of one worker when the policy is asked. Memory is as of the last sample.
struct WorkerFacts {
    std::uint64_t jobs_done = 0;
    double jitter = 0;  ///< 0..1, drawn once per incarnation
    Duration age{};
    Duration idle_for{};
    MemorySample memory;
    double growth_per_job = 0;  ///< bytes, the mean since its first job; may be negative
    Duration job_interval{};    ///< from one job's end to the next, a decaying mean; 0: unknown
    Duration warm_up{};         ///< the pool's launch to READY, a decaying mean
    bool just_trimmed = false;  ///< the sample was taken after trimming, no job since
    std::optional<RecycleReason> asked;  ///< by the operator, a reload or pressure
};

/// Memory lines that the pool has stopped to obey, because recycling gave nothing back.
struct SuspendedLines {
    bool max_rss = false;
    bool max_private = false;
};

/// What should become of a worker between two jobs, in order of urgency.
enum class Verdict {
    keep,
    prepare,   ///< start its successor: the line will be crossed about when that one is warm
    replace,   ///< serve until the successor is ready
    last_job,  ///< one more job is allowed, and that only when the successor is ready
    trim,      ///< over a memory line: collect and trim, measure, ask again
    stop,      ///< no job more; go as soon as the successor is ready
};

struct Decision {
    Verdict verdict = Verdict::keep;
    RecycleReason reason = RecycleReason::requested;
};

/// Pure: no clock, no I/O.
Decision decide(const WorkerFacts& facts, const RecycleSettings& settings,
                const SuspendedLines& suspended);

/// Jobs that a worker with this jitter may do: from [(1 - j) * max_tasks, max_tasks], at least 1.
std::uint64_t task_line(std::uint64_t max_tasks, double jitter_width, double jitter);

/// How many of a pool's workers may be in replacement at once: max(1, 10 %). The herd to be feared
/// is one of imports; forks come one after the other, in milliseconds, and any number may.
constexpr unsigned replacement_limit(unsigned workers, bool forked = false) {
    return forked ? workers : workers / 10 > 1 ? workers / 10 : 1;
}

/// The least sensible memory line for a worker that is `fresh` bytes when ready.
constexpr std::uint64_t least_line(std::uint64_t fresh) { return fresh + fresh / 5; }

/// The kernel's line above a hard one: the sampler must have its chance to act, and to name the
/// job, first.
constexpr std::uint64_t backstop(std::uint64_t hard) { return hard + hard / 8 + (16ULL << 20); }

/// Watches what recycling for one memory line gives back. After three in a row that gave less than
/// a twentieth, the line is to be suspended.
class FutilityWatch {
  public:
    /// Returns true once, when the line should be suspended.
    bool recycled(std::uint64_t before, std::uint64_t after);
    void reset() { futile_ = 0; }

  private:
    unsigned futile_ = 0;
};

}  // namespace supervise
