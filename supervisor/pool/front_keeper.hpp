#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "backoff.hpp"
#include "base/task_group.hpp"
#include "context.hpp"
#include "front_process.hpp"
#include "recycle_policy.hpp"
#include "supervise/snapshot.hpp"

namespace supervise {

/// A pool's fronts: the one that serves, one that is to take over, and one that finishes what it
/// holds; never more than two at a time. Starts one that died again, within the back-off and the
/// breaker's rules, and replaces one that grows: the next one consumes before the old one stops.
/// Owned by the pool, idle where no front is configured.
class FrontKeeper final : private FrontOwner {
  public:
    FrontKeeper(PoolContext& context, std::shared_ptr<const PoolSettings> settings);

    /// Starts what is due and enforces limits; `may_start`: the pool's workers are there.
    void tick(TimePoint now, bool may_start);
    /// Replaces the front where its command line has changed; begins or ends one.
    void apply(std::shared_ptr<const PoolSettings> settings);
    /// Has the front replaced, as soon as no earlier one is still stopping. Returns the number of
    /// the next one.
    unsigned recycle(RecycleReason reason);
    void progress();  ///< a task was done: this is no crash loop
    void reset();     ///< the operator has mended something

    void stop();   ///< all stop consuming, finish what they hold, and none follows
    void hurry();  ///< and do not finish it
    void kill_all(const char* why);
    boost::asio::awaitable<void> join();

    bool wanted() const { return settings_->front.has_value(); }
    bool ever_ready() const { return ever_ready_; }
    bool any_alive() const { return !fronts_.empty(); }
    /// Another one is to take over from the one that serves.
    bool handing_over() const { return serving_ != nullptr && (coming_ != nullptr || asked_); }
    bool tripped() const { return breaker_.tripped(); }
    bool owns(pid_t pid) const;
    /// What is wrong and what to do next; empty when all is well.
    std::string advice() const;
    void describe(PoolSnapshot& snapshot) const;

  private:
    void front_ready(FrontProcess& ready) override;
    void front_trimmed(FrontProcess& trimmed) override;
    void front_leaves(FrontProcess& leaving) override;
    void front_gone(FrontProcess& gone, const ExitVerdict& verdict) override;
    void start();
    boost::asio::awaitable<void> run(std::list<FrontProcess>::iterator place);
    std::optional<unsigned> free_place() const;
    void watch(TimePoint now);
    bool over_line() const;
    void watch_line(TimePoint now);
    void take_over(FrontProcess& ready, FrontProcess& old);
    void hand_over_failed(const FrontProcess& failed, const ExitVerdict& verdict);
    void check_line(const MemorySample& fresh);
    void complain(const std::string& text);
    void died(const FrontProcess& gone, bool served, const ExitVerdict& verdict);

    PoolContext& context_;
    std::shared_ptr<const PoolSettings> settings_;
    std::list<FrontProcess> fronts_;
    FrontProcess* serving_ = nullptr;
    FrontProcess* coming_ = nullptr;
    std::optional<RecycleReason> asked_;               ///< a hand-over is due
    RecycleReason reason_ = RecycleReason::requested;  ///< of the hand-over under way
    unsigned incarnations_ = 0;
    bool stopping_ = false;
    bool ever_ready_ = false;
    bool worked_ = false;  ///< tasks were done since the last front's death
    Backoff backoff_;
    Breaker breaker_;
    TimePoint start_at_{};  ///< not before
    std::string error_;
    std::string complaint_;  ///< of the memory line
    bool line_checked_ = false;
    bool line_suspended_ = false;
    FutilityWatch futility_;
    std::array<std::uint64_t, recycle_reasons> recycles_{};
    std::map<std::string, std::uint64_t> restarts_;
    TaskGroup running_;
};

}  // namespace supervise
