#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "backoff.hpp"
#include "base/task_group.hpp"
#include "context.hpp"
#include "gap_stats.hpp"
#include "life_book.hpp"
#include "supervise/snapshot.hpp"
#include "worker.hpp"

namespace supervise {

/// The pool's slots and the workers in them: fills empty slots within their back-off, starts
/// successors in time, hands slots over between two jobs, keeps the herd rule, the breaker and the
/// memory budget. It knows workers, not the queue. Owned by the pool, which hears the workers and
/// passes on what concerns it here.
class Roster {
  public:
    Roster(PoolContext& context, WorkerOwner& owner, std::shared_ptr<const PoolSettings> settings);

    // --- what happened
    void ready(Worker& worker);
    void job_sent(Worker& worker, const Job& job);
    void job_done(Worker& worker);
    void trimmed(Worker& worker);
    void gone(Worker& worker, const ExitVerdict& verdict, bool given_back);
    /// Samples memory, enforces time limits and the hard line, ages and starts workers; `waiting`
    /// jobs are queued. Returns when it should be called again at the latest.
    TimePoint tick(std::size_t waiting);
    /// When this worker has to be looked at, for its job's limits and its memory.
    TimePoint next_look(const Worker& worker, TimePoint now) const;

    // --- what the pool asks
    /// The worker that shall have the next job, or null.
    Worker* available(const Task& task);
    bool available(const Worker& worker) const;
    bool any_available() const;
    /// Whether a job that is accepted now can be expected to run, though the breaker has tripped.
    bool can_serve() const;
    /// Puts the slots right: launches, hand-overs, retirements.
    void settle();
    void resize(
        std::shared_ptr<const PoolSettings> settings);  ///< the operator's; nothing else changed
    void apply(std::shared_ptr<const PoolSettings> settings, bool replace_workers);
    unsigned recycle(std::optional<unsigned> slot, RecycleReason reason);
    void reset_breaker();
    Worker* worker_of(JobId job);

    void stop();                     ///< idle workers go at once, busy ones after their job
    void interrupt();                ///< the grace is over: busy workers get the soft limit
    void kill_all(const char* why);  ///< and that is over too
    boost::asio::awaitable<void> join();

    // --- what it knows
    bool tripped() const { return breaker_.tripped(); }
    bool ever_ready() const { return ever_ready_; }
    /// It tries, and fails: nobody should wait for its first worker.
    bool fails_to_start() const { return !ever_ready_ && breaker_.deaths() >= 3; }
    bool any_alive() const { return !workers_.empty(); }
    bool owns(pid_t pid) const;  ///< a process that a worker here has not reaped yet
    unsigned wanted() const { return wanted_; }
    const std::string& last_failure() const { return last_failure_; }
    const std::string& complaint() const { return complaint_; }
    const LifeBook& book() const { return book_; }
    void describe(PoolSnapshot& snapshot) const;

  private:
    struct Slot {
        unsigned number = 1;
        std::uint32_t incarnations = 0;
        Worker* current = nullptr;
        Worker* successor = nullptr;
        Worker* leaving = nullptr;  ///< recycled, not gone yet
        Backoff backoff;
        TimePoint restart_at{};
        bool gap_open = false;
        TimePoint gap_since{};
        TimePoint spare_since{};  ///< the successor is ready and not needed (any more)
    };

    Slot& slot_of(const Worker& worker) { return slots_[worker.name().slot - 1]; }
    Worker& spawn(Slot& slot);
    boost::asio::awaitable<void> run(std::list<Worker>::iterator worker);
    void judge(Worker& worker);
    void watch(Worker& worker, TimePoint now);
    void settle_slot(Slot& slot, TimePoint now);
    void start_successors(TimePoint now);
    bool wants_successor(const Slot& slot) const;
    unsigned replacing() const;
    bool has_room_for_one_more() const;
    bool may_launch() const;
    void hand_over(Slot& slot);
    void let_go(Worker& worker, std::string_view reason);
    void break_first(Slot& slot);
    void count_recycle(const Worker& old, const Worker* fresh);
    void watch_futility(RecycleReason reason, const Worker& old, const Worker& fresh);
    void check_lines(const Worker& worker);
    void autoscale(std::size_t waiting, TimePoint now);
    void write_life(const Worker& worker, const ExitVerdict& verdict, const char* how,
                    bool given_back);
    void complain(std::string text);

    PoolContext& context_;
    WorkerOwner& owner_;
    std::shared_ptr<const PoolSettings> settings_;
    std::deque<Slot> slots_;  ///< index = number - 1; never shrinks, so that references stay
    std::list<Worker> workers_;
    unsigned wanted_;
    unsigned generation_ = 1;
    bool stopping_ = false;
    bool ever_ready_ = false;
    bool lines_checked_ = false;  ///< against a fresh worker, since the settings came
    Duration warm_up_{};
    MemorySample fresh_;  ///< of the last worker that became ready
    Breaker breaker_;
    SuspendedLines suspended_;
    FutilityWatch rss_futility_, private_futility_;
    std::string last_failure_;
    std::string complaint_;  ///< a promise of the config that is not kept, for status

    std::array<std::uint64_t, recycle_reasons> recycles_{};
    std::map<std::string, std::uint64_t> restarts_;
    std::uint64_t trims_ = 0, trimmed_bytes_ = 0;
    GapStats gaps_;
    LifeBook book_;
    TaskGroup running_;
};

}  // namespace supervise
