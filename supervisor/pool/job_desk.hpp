#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <variant>
#include <vector>

#include "job_queue.hpp"
#include "ledger.hpp"
#include "submitter.hpp"
#include "task_table.hpp"

namespace supervise {

/// Why a submit was not accepted.
struct Rejection {
    ipc::Refusal reason = ipc::Refusal::queue_full;
    std::string message;
};

/// Where an attempt ran.
struct AttemptPlace {
    unsigned slot = 0;
    std::uint32_t incarnation = 0;
    int pid = 0;
    std::uint64_t rss_bytes = 0;
};

/// Every live job of a pool: accepts them, hands them out in order, decides what follows an
/// attempt, and writes the ledger. Each accepted job gets exactly one end. No I/O; time is given.
class JobDesk {
  public:
    JobDesk(std::uint64_t queue_limit, JobId& last_id, std::unique_ptr<Ledger> ledger);

    void set_tasks(const TaskTable& tasks);
    bool knows_tasks() const { return !tasks_.empty(); }
    void set_queue_limit(std::uint64_t limit) { queue_limit_ = limit; }

    struct Request {
        std::string_view task;
        std::string_view args;  ///< encoded
        std::uint8_t priority = 0;
        Submitter* submitter = nullptr;
        bool call = false;  ///< a payload job
        UniqueFd payload;
        std::optional<Duration> soft_time_limit, time_limit;  ///< nothing: the task's
    };
    std::variant<JobId, Rejection> accept(Request request, TimePoint now);

    const JobQueue& queue() const { return queue_; }
    /// The next job is the worker's from here on; null when none waits.
    Job* take();
    /// It was taken, but the worker has not begun it: back to the head of the queue.
    void give_back(Job& job, TimePoint now);
    void begin(Job& job, TimePoint now);

    /// `report` is encoded, done or failed.
    void attempt_ended(Job& job, std::string_view report, const AttemptPlace& place, TimePoint now);
    void attempt_lost(Job& job, Cause cause, const std::string& detail, const AttemptPlace& place,
                      TimePoint now);

    enum class Cancelled { unknown, queued, running };
    /// A queued job ends as lost (revoked); a running one is left as it is, its worker is the
    /// caller's.
    Cancelled cancel(JobId id, TimePoint now);
    /// Nobody waits for it, or for any job of a submitter, any more. They go on, but for calls that
    /// have not begun: whoever makes those has them elsewhere, too, and makes them again.
    void forget(JobId id);
    void forget(Submitter& submitter, TimePoint now);
    void end_queued(TimePoint now);  ///< all queued jobs are lost (shutdown), as not begun
    /// The same, and retries nothing from here on.
    void close(TimePoint now);

    const Job* find(JobId id) const;
    std::size_t running() const { return jobs_.size() - queue_.size(); }
    const Ledger& ledger() const { return *ledger_; }
    std::uint64_t refused() const { return refused_; }

  private:
    Job& insert(JobId id);
    void erase(Job& job);
    void lose_queued(Job& job, Cause cause, const std::string& detail, TimePoint now);
    void finish(Job& job, Attempt entry, std::string_view report, TimePoint now);
    std::string unknown_task_message(const std::string& name) const;

    std::uint64_t queue_limit_;
    JobId& last_id_;
    std::unique_ptr<Ledger> ledger_;
    TaskTable tasks_;
    using Jobs = std::unordered_map<JobId, Job>;
    Jobs jobs_;
    std::vector<Jobs::node_type> spare_nodes_;  ///< of ended jobs, for new ones: memory at hand
    JobQueue queue_;
    bool closed_ = false;
    std::uint64_t refused_ = 0;
};

}  // namespace supervise
