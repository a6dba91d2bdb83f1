#pragma once

#include <boost/asio/awaitable.hpp>
#include <memory>
#include <optional>
#include <string>

#include "context.hpp"
#include "exit_verdict.hpp"
#include "pool_process.hpp"

namespace supervise {

class FrontProcess;

/// Who hears of a front; the keeper.
class FrontOwner {
  public:
    virtual ~FrontOwner() = default;
    virtual void front_ready(FrontProcess& front) = 0;
    virtual void front_trimmed(FrontProcess& front) = 0;
    /// It stops though nobody here has asked it to: consumes no more, and finishes what it holds.
    virtual void front_leaves(FrontProcess& front) = 0;
    virtual void front_gone(FrontProcess& front, const ExitVerdict& verdict) = 0;
};

/// One life of a front: a `celery worker` process that talks to the broker and hands its tasks to
/// the pool's socket, as a client. Its channel is for its coming and going, and its end with ours.
/// Owned by the keeper.
class FrontProcess final : private PoolProcessOwner {
  public:
    /// `place`, 0 or 1, makes its node name.
    FrontProcess(PoolContext& context, FrontOwner& owner,
                 std::shared_ptr<const PoolSettings> settings, unsigned incarnation,
                 unsigned place);

    /// The whole life, from launch to the removal of the leaf. Cancellation is ignored.
    boost::asio::awaitable<void> run();
    /// Celery's warm shutdown: it takes no more from the broker, finishes what it holds and ends.
    void stop();
    /// Celery's cold shutdown: what it holds is ended, too.
    void hurry();
    void kill(Cause cause, std::string detail);
    void trim();  ///< asks it to collect its garbage and give free memory back
    /// Its limits are these from now on.
    void apply(const FrontSettings& limits) { limits_ = limits; }
    /// Samples its memory and enforces its limits; called ten times a second or so.
    void check(TimePoint now);
    /// Enforces how long it may take to stop.
    void check_stop(TimePoint now);

    enum class State {
        starting,    ///< it imports the application
        connecting,  ///< to the broker
        ready,       ///< it consumes
        stopping,
        gone
    };
    State state() const { return state_; }
    unsigned incarnation() const { return incarnation_; }
    unsigned place() const { return place_; }
    /// Why its launch failed, if the machine was short of something; else empty.
    const std::string& shortage() const { return shortage_; }
    bool left() const { return left_; }  ///< it began to stop by itself
    /// Whether it has ended by itself, with exit code 0.
    bool ended_well() const;
    int pid() const { return process_.pid(); }
    const std::string& node() const { return node_; }  ///< "work@host"
    const MemorySample& memory() const { return memory_; }
    const MemorySample& fresh() const { return fresh_; }  ///< when it became ready
    TimePoint launched_at() const { return launched_at_; }
    TimePoint ready_at() const { return ready_at_; }
    bool trimming() const { return trimming_; }
    TimePoint trim_asked_at() const { return trim_asked_at_; }  ///< the last time
    const MemorySample& before_trim() const { return before_trim_; }
    std::string label() const override;  ///< "work front 2 (pid 4711)"

  private:
    boost::asio::awaitable<Result<void>> start();
    void end_of_life();
    void message_came(const ipc::Message& message, UniqueFd descriptor) override;
    void channel_ended() override { channel_ended_at_ = context_.clock->now(); }
    void broken(const std::string& what) override;
    void output_came(const char* stream, std::string_view line, bool cut,
                     std::uint64_t dropped) override;
    void greet(const ipc::Hello& hello);

    PoolContext& context_;
    FrontOwner& owner_;
    std::shared_ptr<const PoolSettings> settings_;
    unsigned incarnation_;
    unsigned place_;
    std::string node_;
    FrontSettings limits_;
    State state_ = State::starting;
    bool left_ = false;
    std::optional<OwnAct> own_act_;
    std::string start_failure_, shortage_;
    std::optional<std::uint64_t> memory_max_;
    TimePoint launched_at_{}, ready_at_{}, stop_asked_at_{}, channel_ended_at_{};
    TimePoint trim_asked_at_{};
    bool trimming_ = false;
    MemorySample memory_, fresh_, before_trim_;
    PoolProcess process_;
};

}  // namespace supervise
