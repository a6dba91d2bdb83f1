#pragma once

#include <boost/asio/awaitable.hpp>
#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <string>

#include "control_api.hpp"
#include "front_keeper.hpp"
#include "intake.hpp"
#include "job_desk.hpp"
#include "roster.hpp"

namespace supervise {

/// A pool: its front door (intake), its jobs (desk), its workers (roster), of a Celery pool its
/// front (keeper), and the one act that joins them, dispatch. Owned by the supervisor; outlives its
/// workers and its clients' sessions.
class Pool final : private WorkerOwner, private ClientDesk {
  public:
    Pool(PoolContext context, PoolSettings settings);
    ~Pool() override;

    /// Makes the socket; before run().
    Result<void> open() { return intake_.open(); }
    /// Main loop of a pool: from its first worker's launch to its last one's grave. Ends after
    /// stop().
    boost::asio::awaitable<void> run();

    void stop();   ///< drain: no new jobs, running ones have the grace time
    void hurry();  ///< the grace ends now
    void kill();   ///< stops without any grace: nothing is interrupted, all is killed
    bool stopping() const { return stopping_; }

    std::variant<JobId, Rejection> submit(JobDesk::Request request);
    void forget(JobId id) { desk_.forget(id); }
    ApiResult<unsigned> recycle(std::optional<unsigned> slot);
    ApiResult<unsigned> renew_template();
    ApiResult<unsigned> recycle_front();
    ApiResult<void> scale(unsigned workers);
    ApiResult<void> set_max(unsigned workers);
    void pause();
    void resume();
    void apply(PoolSettings settings);

    const PoolSettings& settings() const { return *settings_; }
    bool ever_ready() const { return roster_.ever_ready(); }
    bool owns(pid_t pid) const;
    PoolSnapshot snapshot() const;
    std::optional<Explanation> why_job(JobId id) const;
    ApiResult<Explanation> why_worker(unsigned slot) const;

  private:
    void worker_ready(Worker& worker) override;
    void worker_done(Worker& worker, Job& job, std::string_view report) override;
    void worker_trimmed(Worker& worker) override;
    void worker_gone(Worker& worker, const ExitVerdict& verdict, std::size_t begun) override;

    std::variant<JobId, Rejection> client_submits(JobDesk::Request request) override;
    void client_cancels(JobId id, bool terminate) override;
    void client_signals(JobId id, int number) override;
    bool takes_calls() const override { return settings_->kind == PoolKind::celery; }
    void client_submitted() override { dispatch(); }
    void flush_later(ClientSession& session) override { intake_.flush_later(session); }
    std::string_view pool_name() const override { return settings_->name; }
    std::uint64_t queue_limit() const override { return settings_->jobs.queue_limit; }
    std::uint32_t size() const override { return settings_->max_workers; }
    bool ending() const override { return stopping_; }
    boost::asio::awaitable<void> tasks_known() override;

    boost::asio::awaitable<void> watch();
    boost::asio::awaitable<void> earlier_look();
    void drain(TimePoint now);
    void close_desk(TimePoint now);
    void renew_front();
    ApiResult<void> resize(unsigned least, unsigned most);
    void dispatch();
    void hand_next(Worker& worker);
    std::string state() const;
    std::string advice() const;

    PoolContext context_;
    std::shared_ptr<const PoolSettings> settings_;
    JobDesk desk_;
    Roster roster_;
    Intake intake_;
    FrontKeeper fronts_;
    std::optional<unsigned> least_;  ///< set_max() leaves it; none: a pool of fixed size
    unsigned rolls_seen_ = 0;        ///< new generations that the front has followed
    std::vector<Job*> batch_;        ///< what dispatch hands to one worker; kept for its memory
    bool stopping_ = false;
    bool closed_ = false;  ///< and the front has gone: jobs that wait have had their end
    bool paused_ = false;
    TimePoint grace_until_{};
    bool interrupted_ = false;
    const char* why_killed_ = "killed by supervise: still there when the grace time was over";
    boost::asio::steady_timer
        changed_;                     ///< never expires; cancelled when tasks or stopping_ change
    boost::asio::steady_timer look_;  ///< as changed_: watch() shall look before next_look_
    TimePoint next_look_{};
    TaskGroup group_;
};

}  // namespace supervise
