#pragma once

#include <array>
#include <boost/asio/awaitable.hpp>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <string>

#include "base/task_group.hpp"
#include "context.hpp"
#include "gap_stats.hpp"
#include "life_book.hpp"
#include "line_watch.hpp"
#include "slot.hpp"
#include "start_trouble.hpp"
#include "supervise/snapshot.hpp"
#include "template_keeper.hpp"
#include "worker.hpp"

namespace supervise {

/// The pool's slots and the workers in them: fills empty slots within their back-off, keeps spares,
/// starts successors in time, hands slots over between two jobs, keeps the herd rule, the breaker
/// and the memory budget. It knows workers, not the queue. Owned by the pool, which hears the
/// workers and passes on what concerns it here.
class Roster final : private TemplateKeeperOwner {
  public:
    Roster(PoolContext& context, WorkerOwner& owner, std::shared_ptr<const PoolSettings> settings);

    // --- what happened
    void ready(Worker& worker);
    void job_sent(Worker& worker, const Job& job);
    void job_done(Worker& worker);
    void trimmed(Worker& worker);
    /// `lost`: the job that it had begun, or null.
    void gone(Worker& worker, const ExitVerdict& verdict, const Job* lost);
    /// Samples memory, enforces time limits and the hard line, ages and starts workers; `waiting`
    /// jobs are queued. Returns when it should be called again at the latest.
    TimePoint tick(std::size_t waiting);
    /// When this worker has to be looked at, for its job's limits and its memory.
    TimePoint next_look(const Worker& worker, TimePoint now) const;

    // --- what the pool asks
    /// The worker that shall have the next job, or null.
    Worker* available(const Job& job);
    bool available(const Worker& worker) const;
    bool any_available() const;
    /// How many jobs like this one an available worker may be sent.
    std::size_t room(const Worker& worker, const Job& job) const;
    /// Whether a job that is accepted now can be expected to run, though the breaker has tripped.
    bool can_serve() const;
    void settle();  ///< puts the slots right: launches, hand-overs, retirements
    void resize(std::shared_ptr<const PoolSettings> settings);  ///< nothing else changed
    void apply(std::shared_ptr<const PoolSettings> settings, bool replace_workers);
    unsigned recycle(std::optional<unsigned> slot, RecycleReason reason);
    /// Imports the application anew and replaces all workers when that has succeeded; the new
    /// generation's number.
    unsigned renew_template();
    void reset_breaker();
    Worker* worker_of(JobId job);

    void stop();                     ///< idle workers go at once, busy ones after their job
    void interrupt();                ///< the grace is over: busy workers get the soft limit
    void kill_all(const char* why);  ///< and that is over too
    boost::asio::awaitable<void> join();

    // --- what it knows
    bool tripped() const { return breaker_.tripped(); }
    bool ever_ready() const { return ever_ready_; }
    bool fails_to_start() const;  ///< it tries: nobody should wait for its first worker
    bool any_alive() const { return !workers_.empty() || keeper_.any_alive(); }
    bool owns(pid_t pid) const;  ///< a process that a worker here has not reaped yet
    unsigned wanted() const { return wanted_; }
    unsigned rolls() const { return rolls_; }  ///< times that all workers followed new code
    bool renewing() const { return rolling_to_ != 0 || keeper_.renewing(); }  ///< not all have yet
    bool degraded() const { return tripped() || !refusal_.empty(); }
    std::string advice() const;  ///< what is wrong with its workers and what to do; mostly empty
    const LifeBook& book() const { return book_; }
    void describe(PoolSnapshot& snapshot) const;

  private:
    void generation_changed(unsigned generation, bool roll) override;
    void template_failed(const std::string& what, const std::string& shortage) override;
    void fork_refused(const std::string& what) override;

    Slot* slot_of(const Worker& worker);
    Worker& spawn(unsigned slot, std::uint32_t incarnation);
    Worker* take_spare(Slot& slot, bool ready_only);
    void prefer_ready_spare(Slot& slot);
    void fill_up_spares(TimePoint now);
    void dismiss(Worker& worker, const char* reason);
    boost::asio::awaitable<void> run(std::list<Worker>::iterator worker);
    void judge(Worker& worker);
    void watch(Worker& worker, TimePoint now);
    void give_up(Slot& slot);
    void fill(Slot& slot, TimePoint now);
    void replace(Slot& slot, TimePoint now);
    void roll_over(Slot& slot);
    bool has_rolled_over() const;
    void start_successors(TimePoint now);
    bool wants_successor(const Slot& slot) const;
    unsigned replacing() const;
    bool has_room_for_one_more() const;
    bool may_launch() const;
    void hand_over(Slot& slot);
    void let_go(Worker& worker, std::string_view reason);
    void break_first(Slot& slot);
    void died(Worker& worker, const ExitVerdict& verdict, Slot* slot, TimePoint now);
    void not_started(Worker& worker, const ExitVerdict& verdict, Slot* slot, TimePoint now);
    void death_of(const std::string& detail, TimePoint now);
    void count_recycle(const Worker& old, const Worker* fresh);
    void autoscale(std::size_t waiting, TimePoint now);
    void write_life(const Worker& worker, const ExitVerdict& verdict, const char* how,
                    const Job* lost);
    void complain(const std::string& text);
    bool lacks_workers() const;
    std::string next_attempt() const;

    PoolContext& context_;
    WorkerOwner& owner_;
    std::shared_ptr<const PoolSettings> settings_;
    std::deque<Slot> slots_;  ///< index = number - 1; never shrinks, so that references stay
    std::list<Worker> workers_;
    std::vector<Worker*> spares_;  ///< starting or ready, oldest first
    std::uint32_t spares_made_ = 0;
    Backoff spare_backoff_;
    TimePoint next_spare_at_{};
    unsigned wanted_, generation_ = 1, rolls_ = 0;
    unsigned rolling_to_ = 0;  ///< a generation of new code that not every slot has; 0: none
    bool stopping_ = false, ever_ready_ = false;
    Duration warm_up_{};
    MemorySample fresh_;  ///< of the last worker that became ready
    Breaker breaker_;
    LineWatch lines_;
    StartTrouble trouble_;
    std::string last_failure_;  ///< the last death that counted for the breaker
    std::string complaint_;     ///< a promise of the config that is not kept, for status
    std::string refusal_;       ///< to fork, by on_unsafe_fork
    std::array<std::uint64_t, recycle_reasons> recycles_{};
    std::map<std::string, std::uint64_t> restarts_;
    std::uint64_t trims_ = 0, trimmed_bytes_ = 0;
    GapStats gaps_;
    LifeBook book_;
    TaskGroup running_;
    TemplateKeeper keeper_;  ///< after workers_, which refer to its templates until they are gone
};

}  // namespace supervise
