#pragma once

#include <boost/asio/awaitable.hpp>
#include <climits>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/task_group.hpp"
#include "begun_mark.hpp"
#include "context.hpp"
#include "exit_verdict.hpp"
#include "ipc/channel.hpp"
#include "job.hpp"
#include "process/child_process.hpp"
#include "recycle_policy.hpp"
#include "worker_state.hpp"

namespace supervise {

class Worker;

/// Who hears what a worker says; the pool.
class WorkerOwner {
  public:
    virtual ~WorkerOwner() = default;
    virtual void worker_ready(Worker& worker) = 0;
    /// An attempt has ended with done or failed; the worker has no job any more.
    virtual void worker_done(Worker& worker, Job& job, std::string_view report) = 0;
    virtual void worker_trimmed(Worker& worker) = 0;
    /// The process is gone and its verdict known. `given_back`: worker.job() was never begun.
    virtual void worker_gone(Worker& worker, const ExitVerdict& verdict, bool given_back) = 0;
};

/// Who a worker is; fixed for its life.
struct WorkerName {
    std::string pool;
    unsigned slot = 1;
    std::uint32_t incarnation = 1;
    unsigned generation = 1;
    double jitter = 0;  ///< 0..1, drawn once
};

/// One life of one worker process: launch, start, serve, end. Owns the process, its leaf cgroup,
/// its channel and its output pipes, and carries out what the pool decides; it decides nothing.
/// Owned by the roster; outlives its coroutine.
class Worker {
  public:
    Worker(PoolContext& context, WorkerOwner& owner, std::shared_ptr<const PoolSettings> settings,
           WorkerName name);
    ~Worker();

    /// The whole life, from launch to the removal of the leaf. Cancellation is ignored: kill() ends
    /// it.
    boost::asio::awaitable<void> run();

    /// Only when idle. False: the channel is broken and the worker is being killed; the job was not
    /// taken.
    bool send_job(Job& job);
    void trim();    ///< idle only; worker_trimmed() follows
    void retire();  ///< finish and exit; only without a job
    /// Ends it now with all its descendants; the first call's cause counts.
    void kill(Cause cause, std::string detail);
    void signal(int number);
    /// Takes a fresh memory sample into record.memory; 15 us.
    void sample_memory();
    /// After a reload; what concerns the launch is past.
    void apply(std::shared_ptr<const PoolSettings> settings) { settings_ = std::move(settings); }

    const WorkerName& name() const { return name_; }
    const PoolSettings& settings() const { return *settings_; }
    WorkerState state() const { return state_; }
    int pid() const { return child_ ? child_->pid() : 0; }
    Job* job() const { return job_; }
    bool trimming() const { return trimming_; }
    bool channel_closed() const { return record.channel_closed_at != TimePoint{}; }
    void broken(const std::string& what);  ///< it breaks the protocol: logged, and killed
    const std::unordered_map<std::string, std::shared_ptr<const Task>>& tasks() const {
        return tasks_;
    }
    std::string label() const;  ///< "reports/2 incarnation 7 (pid 4711)"

    /// Book-keeping that the pool's policy reads and writes.
    struct Record {
        TimePoint launched_at{}, ready_at{}, last_end{}, trim_asked_at{}, retire_asked_at{},
            channel_closed_at{};
        TimePoint soft_deadline{}, deadline{};  ///< of the current job; epoch: none
        bool soft_limit_sent = false;
        std::uint64_t jobs_done = 0;
        MemorySample fresh, memory, peak;
        std::uint64_t after_first =
            0;  ///< RSS after its first job, which loads what is loaded late
        Duration job_interval{};
        TimePoint sampled_at{};
        double growth_per_second = 0;  ///< of private memory, between the last two samples
        bool just_trimmed = false;
        std::uint64_t before_trim = 0;
        std::optional<RecycleReason> asked;
        Decision decision;
        std::string leave_reason;  ///< why it was told to go; empty: it was not
    };
    Record record;

  private:
    boost::asio::awaitable<Result<void>> launch();
    boost::asio::awaitable<void> live();
    boost::asio::awaitable<void> serve();
    void end_of_life();
    boost::asio::awaitable<void> bury();
    boost::asio::awaitable<void> read_output(UniqueFd pipe, const char* stream);
    LaunchSpec make_spec() const;
    void receive_all(int most = INT_MAX);
    void handle(std::string_view frame, UniqueFd descriptor);
    void registered(const ipc::Register& message);
    void job_done(const ipc::Done& message);
    bool enter(WorkerEvent event);
    void send(const ipc::Message& message, int descriptor = -1);

    PoolContext& context_;
    WorkerOwner& owner_;
    std::shared_ptr<const PoolSettings> settings_;
    WorkerName name_;
    Logger logger_;
    WorkerState state_ = WorkerState::spawning;
    Job* job_ = nullptr;
    bool trimming_ = false;
    bool greeted_ = false;
    std::optional<OwnAct> own_act_;
    std::string start_failure_;
    std::unordered_map<std::string, std::shared_ptr<const Task>> tasks_;

    std::unique_ptr<Leaf> leaf_;
    std::optional<std::uint64_t> memory_max_;
    std::optional<BegunMark> mark_;
    std::unique_ptr<ipc::Channel> channel_;
    std::unique_ptr<ChildProcess> child_;
    UniqueFd far_end_, out_, err_, child_out_,
        child_err_;  ///< child's ends are closed after launch
    TaskGroup serving_, output_;
};

}  // namespace supervise
