#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "context.hpp"
#include "exit_verdict.hpp"
#include "pool_process.hpp"
#include "task_table.hpp"

namespace supervise {

class TemplateProcess;

/// Who hears of a template; the keeper.
class TemplateOwner {
  public:
    virtual ~TemplateOwner() = default;
    virtual void template_ready(TemplateProcess& template_process) = 0;
    /// Its process is gone; forks that were under way have failed.
    virtual void template_gone(TemplateProcess& template_process, const ExitVerdict& verdict) = 0;
};

/// One life of a template: a process that has imported the application and forks workers on
/// request. To a worker it is the launcher; the workers are children of the supervisor all the
/// same (CLONE_PARENT), and live on when the template has gone. Owned by the keeper.
class TemplateProcess final : public Launcher, private PoolProcessOwner {
  public:
    TemplateProcess(PoolContext& context, TemplateOwner& owner,
                    std::shared_ptr<const PoolSettings> settings, unsigned generation);

    /// The whole life, from launch to the removal of the leaf. Cancellation is ignored.
    boost::asio::awaitable<void> run();
    /// Forks a worker: of `spec` only descriptors and cgroups count. Waits for its turn where many
    /// are asked for at once.
    boost::asio::awaitable<Result<Launched>> launch(LaunchSpec spec) override;
    /// It ends when it has done what it was asked for; killed if it still is there after
    /// `patience`.
    void retire(Duration patience = std::chrono::seconds(10));
    void kill(Cause cause, std::string detail);
    /// Enforces its time limits and samples its memory; called every second or so.
    void check(TimePoint now);

    enum class State { starting, ready, retiring, gone };
    State state() const { return state_; }
    bool can_fork() const { return state_ == State::ready && channel_ended_at_ == TimePoint{}; }
    /// For how long it has left a request to fork unanswered; 0 when there is none.
    Duration silence(TimePoint now) const;
    /// Why its own launch failed, if the machine was short of something; else empty.
    const std::string& shortage() const { return shortage_; }
    unsigned generation() const { return generation_; }
    int pid() const { return process_.pid(); }
    const std::shared_ptr<const TaskTable>& tasks() const { return tasks_; }
    /// What makes forking unsafe, each in words; empty: nothing was found.
    const std::vector<std::string>& findings() const { return findings_; }
    const MemorySample& memory() const { return memory_; }
    const MemorySample& fresh() const { return fresh_; }  ///< when it became ready
    std::uint64_t forks() const { return forks_; }
    TimePoint launched_at() const { return launched_at_; }
    TimePoint ready_at() const { return ready_at_; }
    std::string label() const override;  ///< "reports template, generation 2 (pid 4711)"

    // The keeper's notes.
    unsigned workers = 0;  ///< forked by it, and not gone
    bool buried = false;   ///< run() has ended

  private:
    struct Request {
        explicit Request(const boost::asio::any_io_executor& executor)
            : changed(executor, boost::asio::steady_timer::time_point::max()) {}
        TimePoint sent_at{};
        std::optional<Result<pid_t>> answer;
        boost::asio::steady_timer changed;  ///< never expires
    };

    boost::asio::awaitable<Result<void>> start();
    boost::asio::awaitable<void> turn_to_fork();
    void end_of_life();
    void message_came(const ipc::Message& message, UniqueFd descriptor) override;
    void channel_ended() override { channel_ended_at_ = context_.clock->now(); }
    void broken(const std::string& what) override;
    void output_came(const char* stream, std::string_view line, bool cut,
                     std::uint64_t dropped) override;
    void greet(const ipc::Hello& hello);
    void forked(const ipc::Forked& message);
    bool send_request(std::uint32_t number, const LaunchSpec& spec);
    void fail_requests();

    PoolContext& context_;
    TemplateOwner& owner_;
    std::shared_ptr<const PoolSettings> settings_;
    unsigned generation_;
    State state_ = State::starting;
    bool greeted_ = false;
    std::shared_ptr<TaskTable> tasks_being_read_ = std::make_shared<TaskTable>();
    std::shared_ptr<const TaskTable> tasks_ = tasks_being_read_;
    std::vector<std::string> findings_;
    std::optional<OwnAct> own_act_;
    std::string start_failure_, shortage_;
    TimePoint launched_at_{}, ready_at_{}, retire_until_{}, channel_ended_at_{}, answered_at_{};
    MemorySample memory_, fresh_;
    std::uint64_t forks_ = 0;
    std::uint32_t last_number_ = 0;
    std::map<std::uint32_t, Request*> requests_;  ///< each on its coroutine's frame
    boost::asio::steady_timer turn_;              ///< never expires; cancelled when one is answered
    PoolProcess process_;
};

/// Where a worker comes from: a program of its own, or the fork of a template, which outlives it.
struct WorkerOrigin {
    TemplateProcess* parent = nullptr;       ///< null: a program of its own
    std::shared_ptr<const TaskTable> tasks;  ///< its template's
};

}  // namespace supervise
