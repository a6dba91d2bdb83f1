#pragma once

#include <boost/asio/awaitable.hpp>
#include <list>
#include <memory>
#include <string>

#include "backoff.hpp"
#include "base/task_group.hpp"
#include "context.hpp"
#include "supervise/snapshot.hpp"
#include "template_process.hpp"

namespace supervise {

/// What the keeper tells the roster.
class TemplateKeeperOwner {
  public:
    virtual ~TemplateKeeperOwner() = default;
    /// New workers come from `generation` from now on; `roll`: the older ones shall be replaced.
    virtual void generation_changed(unsigned generation, bool roll) = 0;
    /// No worker can be had for now: a template has failed, and the next attempt waits.
    /// `shortage`: as of StartTrouble.
    virtual void template_failed(const std::string& what, const std::string& shortage) = 0;
    /// No worker can be had at all until the operator has acted (on_unsafe_fork = "refuse").
    virtual void fork_refused(const std::string& what) = 0;
};

/// A pool's templates: the one that serves, one that is being imported, and older ones whose
/// workers still live. Replaces one that dies, hangs or leaks, one at a time and with back-off;
/// goes over to a new generation only when its import has succeeded; falls back to plain spawning
/// where forking is unsafe. Owned by the roster, idle in a pool without preload.
class TemplateKeeper final : private TemplateOwner {
  public:
    TemplateKeeper(PoolContext& context, TemplateKeeperOwner& owner,
                   std::shared_ptr<const PoolSettings> settings);

    /// Whether a worker can be had now.
    bool can_provide() const {
        return !wanted() || plain_ || (serving_ != nullptr && serving_->can_fork());
    }
    /// Whether workers are forked: they cost milliseconds, and a few megabytes each.
    bool forks() const { return serving_ != nullptr; }
    /// New code is being imported, for all workers.
    bool renewing() const { return coming_ != nullptr && roll_; }
    /// Where the next worker comes from; only while can_provide().
    WorkerOrigin origin() const;
    void born(TemplateProcess* parent);    ///< a worker was made with this origin
    void buried(TemplateProcess* parent);  ///< and has gone

    /// The next generation: imports the application anew. The present one serves until then.
    /// Returns its number.
    unsigned renew(std::shared_ptr<const PoolSettings> settings, bool roll);
    void reset();  ///< the operator has mended something: no back-off any more
    /// Starts what is due, enforces limits; `may_start`: no breaker has tripped.
    void tick(TimePoint now, bool may_start);

    void stop();  ///< no forks from here on
    void kill_all(const char* why);
    boost::asio::awaitable<void> join();

    bool any_alive() const { return !templates_.empty(); }
    bool owns(pid_t pid) const;
    std::uint64_t private_bytes() const;  ///< of all templates together
    /// Why the code of a newer generation does not serve, or why there is no template; for status.
    const std::string& error() const { return error_; }
    /// When the next template is started; past: it is under way, or none is wanted.
    TimePoint next_start() const { return coming_ == nullptr ? restart_at_ : TimePoint{}; }
    void describe(PoolSnapshot& snapshot) const;

  private:
    bool wanted() const { return settings_->preload; }
    TemplateProcess& start();
    boost::asio::awaitable<void> run(std::list<TemplateProcess>::iterator place);
    void template_ready(TemplateProcess& ready) override;
    void template_gone(TemplateProcess& gone, const ExitVerdict& verdict) override;
    bool pass_findings(TemplateProcess& ready);
    void serve(TemplateProcess* next, unsigned generation);
    void renewal_failed(const TemplateProcess& failed, const std::string& what);
    void retire_idle();
    void forget_buried();
    bool leaks(const TemplateProcess& each) const;
    bool start_in_place_of_serving(TimePoint now);
    Duration wait_after(const TemplateProcess& failed, TimePoint now);

    PoolContext& context_;
    TemplateKeeperOwner& owner_;
    std::shared_ptr<const PoolSettings> settings_;
    std::list<TemplateProcess> templates_;
    TemplateProcess* serving_ = nullptr;
    TemplateProcess* coming_ = nullptr;
    bool roll_ = false;  ///< when coming_ serves, the workers of older ones go
    /// Workers are spawned: forking is unsafe, or a reload has asked for the first template.
    bool plain_ = false;
    bool stopping_ = false;
    bool refused_ = false;
    unsigned last_generation_ = 0;
    std::uint64_t forks_of_gone_ = 0;
    Backoff backoff_;
    TimePoint restart_at_{};
    std::string error_;
    std::vector<std::string> findings_;  ///< of the last template that was unsafe
    TaskGroup running_;
};

}  // namespace supervise
