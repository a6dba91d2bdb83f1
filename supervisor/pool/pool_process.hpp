#pragma once

#include <boost/asio/awaitable.hpp>
#include <climits>
#include <memory>
#include <string>

#include "base/task_group.hpp"
#include "context.hpp"
#include "ipc/channel.hpp"
#include "ipc/message.hpp"
#include "process/child_process.hpp"
#include "process/output_reader.hpp"

namespace supervise {

/// What a process does and is, for those who watch it: a worker or a template.
class PoolProcessOwner {
  public:
    virtual ~PoolProcessOwner() = default;
    /// Decoded, with a descriptor exactly if the message's flag says so; `message` is valid during
    /// the call.
    virtual void message_came(const ipc::Message& message, UniqueFd descriptor) = 0;
    virtual void channel_ended() = 0;  ///< once; most often the first sign of its death
    virtual void broken(const std::string& what) = 0;  ///< it breaks the protocol
    /// As LineHandler.
    virtual void output_came(const char* stream, std::string_view line, bool cut,
                             std::uint64_t dropped) = 0;
    virtual std::string label() const = 0;
};

/// One process of a pool with all that is its own: leaf cgroup, channel, output pipes; from its
/// launch to its burial. Knows nothing of jobs. Owned by a worker or a template.
class PoolProcess {
  public:
    PoolProcess(PoolContext& context, PoolProcessOwner& owner);

    /// Makes leaf, channel and pipes, and starts the process with them. `leaf_name` is unique in
    /// the pool. What `spec` says of descriptors and cgroups is set here.
    boost::asio::awaitable<Result<void>> launch(std::string pool, std::string leaf_name,
                                                LeafLimits limits, Launcher& launcher,
                                                LaunchSpec spec);
    /// Hears what it says until it has ended; then its status is known. Throws only if another part
    /// of the program took the status.
    boost::asio::awaitable<void> live(OutputSettings limits);
    /// After live() has thrown: ends and reaps it. Throws if somebody else took its status.
    boost::asio::awaitable<void> put_down();
    /// Takes in what it sent before it died.
    void read_last_frames();
    /// Removes the leaf once it is empty and waits for the pipes to end, for a bounded time.
    boost::asio::awaitable<void> bury();

    bool launched() const { return child_ != nullptr; }
    bool running() const { return child_ && child_->running(); }
    int pid() const { return child_ ? child_->pid() : 0; }
    std::optional<ExitStatus> status() const { return child_ ? child_->status() : std::nullopt; }
    void signal(int number);  ///< nothing happens when it has ended
    void kill();              ///< with all its descendants
    std::optional<MemorySample> sample() { return leaf_ ? leaf_->sample() : std::nullopt; }
    std::optional<MemoryEvents> events() { return leaf_ ? leaf_->events() : std::nullopt; }
    ipc::Channel* channel() { return channel_.get(); }

  private:
    Result<void> prepare(const std::string& pool, const std::string& leaf_name,
                         const LeafLimits& limits);
    boost::asio::awaitable<void> serve();
    boost::asio::awaitable<void> read_output(UniqueFd pipe, const char* stream,
                                             OutputSettings settings);
    boost::asio::awaitable<bool> remove_leaf(TimePoint until);
    void receive(int most);
    void take_in(std::string_view frame, UniqueFd descriptor);

    PoolContext& context_;
    PoolProcessOwner& owner_;
    std::unique_ptr<Leaf> leaf_;
    std::unique_ptr<ipc::Channel> channel_;
    std::unique_ptr<ChildProcess> child_;
    bool ended_ = false;  ///< its channel
    std::string burial_failure_;
    UniqueFd far_end_, out_, err_, child_out_,
        child_err_;  ///< child's ends are closed after launch
    TaskGroup serving_, output_;
};

}  // namespace supervise
