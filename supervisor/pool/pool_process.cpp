#include "pool_process.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>

namespace supervise {
namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

/// How long a dead process's pipes and group may take to be empty.
constexpr Duration burial_time = 5s;
/// Frames taken from one process before others have their turn.
constexpr int frames_per_turn = 64;

Result<void> make_pipe(UniqueFd& reader, UniqueFd& writer) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        return errno_error("make a pipe for a worker's output");
    }
    reader.reset(ends[0]);
    writer.reset(ends[1]);
    return {};
}

}  // namespace

PoolProcess::PoolProcess(PoolContext& context, PoolProcessOwner& owner)
    : context_(context), owner_(owner), serving_(context.executor), output_(context.executor) {}

Result<void> PoolProcess::prepare(const std::string& pool, const std::string& leaf_name,
                                  const LeafLimits& limits) {
    Result<std::pair<UniqueFd, UniqueFd>> pair = ipc::make_channel_pair();
    if (!pair) {
        return pair.error();
    }
    channel_ = std::make_unique<ipc::Channel>(context_.executor, std::move(pair->first));
    far_end_ = std::move(pair->second);
    ::fcntl(far_end_.get(), F_SETFL, 0);  // the process waits in recv(2)
    for (const auto& [reader, writer] :
         {std::pair(&out_, &child_out_), std::pair(&err_, &child_err_)}) {
        if (const Result<void> made = make_pipe(*reader, *writer); !made) {
            return made.error();
        }
    }
    Result<std::unique_ptr<Leaf>> leaf = context_.cgroups->make_leaf(pool, leaf_name, limits);
    if (!leaf) {
        return leaf.error();
    }
    leaf_ = std::move(*leaf);
    return {};
}

asio::awaitable<Result<void>> PoolProcess::launch(std::string pool, std::string leaf_name,
                                                  LeafLimits limits, Launcher& launcher,
                                                  LaunchSpec spec) {
    if (const Result<void> prepared = prepare(pool, leaf_name, limits); !prepared) {
        co_return prepared.error();
    }
    spec.out = child_out_.get();
    spec.err = child_err_.get();
    spec.channel = far_end_.get();
    spec.cgroup_dir = leaf_->cgroup_dir();
    spec.cgroup_v1_tasks = leaf_->cgroup_v1_tasks();
    Result<Launched> launched = co_await launcher.launch(std::move(spec));
    // Our copies would keep the pipes and the channel from ending with the process.
    child_out_.reset();
    child_err_.reset();
    far_end_.reset();
    if (!launched) {
        co_return launched.error();
    }
    child_ = std::make_unique<ChildProcess>(context_.executor, launched->pid,
                                            std::move(launched->pidfd));
    leaf_->attach(child_->pid());
    co_return Result<void>();
}

asio::awaitable<void> PoolProcess::live(OutputSettings limits) {
    const std::string label = owner_.label();
    serving_.spawn("channel of " + label, serve());
    output_.spawn("stdout of " + label, read_output(std::move(out_), "stdout", limits));
    output_.spawn("stderr of " + label, read_output(std::move(err_), "stderr", limits));
    co_await child_->wait();
}

asio::awaitable<void> PoolProcess::put_down() {
    kill();
    (void)child_->signal(SIGKILL);
    co_await child_->wait();
}

asio::awaitable<void> PoolProcess::serve() {
    while (!ended_) {
        co_await channel_->wait_readable();
        try {
            receive(frames_per_turn);
        } catch (const std::exception& error) {
            owner_.broken(std::string("serving it failed: ") + error.what());
            co_return;
        }
    }
}

void PoolProcess::read_last_frames() {
    try {
        receive(INT_MAX);
    } catch (const std::exception& error) {
        owner_.broken(std::string("reading its last frames failed: ") + error.what());
    }
}

void PoolProcess::receive(int most) {
    ipc::Channel::Batch batch;
    for (int taken = 0; taken < most && !ended_; taken += static_cast<int>(batch.count)) {
        channel_->receive(batch);
        for (std::size_t i = 0; i < batch.count; ++i) {
            if (batch.frames[i].truncated) {
                owner_.broken("a frame of more than 1024 bytes came over its channel");
            } else {
                take_in(batch.frames[i].frame, std::move(batch.frames[i].descriptor));
            }
        }
        if (batch.closed) {
            ended_ = true;  // a closed socket stays readable for ever
            owner_.channel_ended();
        } else if (batch.count == 0) {
            // Not when it is merely not full: the next answer is mostly there by now, and another
            // read costs less than a wait.
            return;
        }
    }
}

void PoolProcess::take_in(std::string_view frame, UniqueFd descriptor) {
    const std::variant<ipc::Message, ipc::DecodeError> decoded = ipc::decode(frame);
    if (const auto* error = std::get_if<ipc::DecodeError>(&decoded)) {
        owner_.broken(error->message);
        return;
    }
    const ipc::Message& message = std::get<ipc::Message>(decoded);
    if (ipc::has_descriptor(message) != static_cast<bool>(descriptor)) {
        owner_.broken("a frame and its record do not agree on a descriptor");
        return;
    }
    owner_.message_came(message, std::move(descriptor));
}

asio::awaitable<void> PoolProcess::read_output(UniqueFd pipe, const char* stream,
                                               OutputSettings settings) {
    LineHandler handler = [this, stream](std::string_view line, bool cut, std::uint64_t dropped) {
        owner_.output_came(stream, line, cut, dropped);
    };
    const OutputLimits limits{settings.max_line, settings.lines_per_second};
    co_await read_lines(context_.executor, std::move(pipe), limits, *context_.clock,
                        std::move(handler));
}

void PoolProcess::signal(int number) {
    if (running()) {
        (void)child_->signal(number);
    }
}

void PoolProcess::kill() {
    if (child_) {
        const Result<void> killed = leaf_->kill_all(child_->pid());
        if (!killed) {
            (void)child_->signal(SIGKILL);
        }
    }
}

asio::awaitable<bool> PoolProcess::remove_leaf(TimePoint until) {
    Duration pause = 1ms;
    while (leaf_) {
        if (!leaf_->populated()) {
            const Result<void> removed = leaf_->remove();
            if (removed) {
                break;
            }
            burial_failure_ = removed.error().message();
        }
        if (context_.clock->now() >= until) {
            co_return false;
        }
        co_await context_.clock->sleep_for(pause);
        pause = std::min<Duration>(pause * 2, 100ms);
    }
    co_return true;
}

asio::awaitable<void> PoolProcess::bury() {
    const TimePoint until = context_.clock->now() + burial_time;
    const bool removed = co_await remove_leaf(until);
    if (!removed) {
        context_.logger.warning("worker.leaf_left",
                                {{"worker", owner_.label()}, {"error", burial_failure_}});
    }
    // The pipes end with their last writer. A descendant that got away (tiers C and D) must not
    // hold us.
    serving_.cancel();
    co_await serving_.join();
    for (Duration pause = 1ms; !output_.empty() && context_.clock->now() < until;) {
        co_await context_.clock->sleep_for(pause);
        pause = std::min<Duration>(pause * 2, 100ms);
    }
    output_.cancel();
    co_await output_.join();
}

}  // namespace supervise
