#pragma once

#include <boost/asio/awaitable.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <unordered_set>

#include "begun_mark.hpp"
#include "context.hpp"
#include "exit_verdict.hpp"
#include "job.hpp"
#include "recycle_policy.hpp"
#include "task_table.hpp"
#include "template_process.hpp"
#include "worker_record.hpp"
#include "worker_state.hpp"

namespace supervise {

class Worker;

/// Who hears what a worker says; the pool.
class WorkerOwner {
  public:
    virtual ~WorkerOwner() = default;
    virtual void worker_ready(Worker& worker) = 0;
    /// An attempt has ended with done or failed; the worker does not hold the job any more.
    virtual void worker_done(Worker& worker, Job& job, std::string_view report) = 0;
    virtual void worker_trimmed(Worker& worker) = 0;
    /// The process is gone and its verdict known. Of worker.jobs(), those before `begun` were begun
    /// (at most one), the others were not.
    virtual void worker_gone(Worker& worker, const ExitVerdict& verdict, std::size_t begun) = 0;
};

/// Who a worker is. A spare has slot 0 until it takes one.
struct WorkerName {
    std::string pool;
    unsigned slot = 0;
    std::uint32_t incarnation = 1;
    unsigned generation = 1;
    double jitter = 0;  ///< 0..1, drawn once
};

/// One life of one worker process: launch, start, serve, end. Owns the process and its mark, and
/// carries out what the pool decides; it decides nothing. Owned by the roster; outlives its
/// coroutine.
class Worker final : private PoolProcessOwner {
  public:
    Worker(PoolContext& context, WorkerOwner& owner, std::shared_ptr<const PoolSettings> settings,
           WorkerName name, WorkerOrigin origin = {});

    /// The whole life, from launch to the removal of the leaf. Cancellation is ignored: kill() ends
    /// it.
    boost::asio::awaitable<void> run();

    /// Only when idle, or busy where the pool's window is wider; several jobs are of one task
    /// without limits. Returns how many it has taken: if not all, its channel is broken and it is
    /// being killed.
    std::size_t send_jobs(std::span<Job* const> jobs);
    void soft_limit();  ///< busy only: tells the job, by SIGUSR1
    void trim();        ///< idle only; worker_trimmed() follows
    void retire();      ///< finish and exit; only without a job
    /// Ends it now with all its descendants; the first call's cause counts.
    void kill(Cause cause, std::string detail);
    /// Kills it when this job of its window begins; the others' results must not be lost with it.
    void revoke(JobId job);
    void signal(int number) { process_.signal(number); }
    /// For the client of the job that runs; if the worker dies by it, the job was revoked.
    void signal_for_client(int number);
    /// Takes a fresh memory sample into record.memory; 15 us.
    void sample_memory();
    /// After a reload; what concerns the launch is past.
    void apply(std::shared_ptr<const PoolSettings> settings) { settings_ = std::move(settings); }
    void take_slot(unsigned slot, std::uint32_t incarnation);  ///< 0: it becomes a spare

    const WorkerName& name() const { return name_; }
    TemplateProcess* parent() const { return origin_.parent; }
    const PoolSettings& settings() const { return *settings_; }
    WorkerState state() const { return state_; }
    int pid() const { return process_.pid(); }
    /// What was sent to it and has not ended, in its order; the first one runs.
    const std::deque<Job*>& jobs() const { return jobs_; }
    Job* job() const { return jobs_.empty() ? nullptr : jobs_.front(); }
    bool revoked(JobId job) const { return revoked_.count(job) != 0; }
    bool trimming() const { return trimming_; }
    bool channel_closed() const { return record.channel_closed_at != TimePoint{}; }
    void broken(const std::string& what) override;  ///< logged, and killed
    const TaskTable& tasks() const { return *tasks_; }
    std::string label() const override;  ///< "reports/2 incarnation 7 (pid 4711)"

    WorkerRecord record;

  private:
    boost::asio::awaitable<Result<void>> launch();
    void end_of_life();
    void message_came(const ipc::Message& message, UniqueFd descriptor) override;
    void channel_ended() override { record.channel_closed_at = context_.clock->now(); }
    void output_came(const char* stream, std::string_view line, bool cut,
                     std::uint64_t dropped) override;
    void greet(const ipc::Hello& hello);
    void registered(const ipc::Register& message);
    void became_ready();
    void job_done(const ipc::Done& message, UniqueFd reply);
    void begin_next(TimePoint now);
    bool send_job(Job& job, TimePoint now);
    std::size_t send_batch(std::span<Job* const> jobs, TimePoint now);
    bool sent(ipc::Channel::SendStatus status, TimePoint now);
    void took(Job& job);
    std::size_t begun() const;
    bool ended_by_client() const;
    bool enter(WorkerEvent event);
    void send(const ipc::Message& message, int descriptor = -1);

    PoolContext& context_;
    WorkerOwner& owner_;
    std::shared_ptr<const PoolSettings> settings_;
    WorkerName name_;
    WorkerOrigin origin_;
    WorkerState state_ = WorkerState::spawning;
    std::deque<Job*> jobs_;
    std::unordered_set<JobId> revoked_;
    bool trimming_ = false;
    bool greeted_ = false;
    std::optional<OwnAct> own_act_;
    int clients_signal_ = 0;  ///< sent for the client of the current job
    std::string start_failure_;
    std::shared_ptr<TaskTable> own_tasks_;  ///< null for a fork
    std::shared_ptr<const TaskTable> tasks_;
    std::optional<std::uint64_t> memory_max_;
    std::optional<BegunMark> mark_;
    PoolProcess process_;
};

}  // namespace supervise
