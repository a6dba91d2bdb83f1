#include "worker.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <csignal>
#include <utility>

#include "process/output_reader.hpp"
#include "worker_spec.hpp"

namespace supervise {
namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

/// The kernel's line above ours: the sampler must have its chance to act, and to name the job,
/// first.
std::uint64_t backstop(std::uint64_t hard) { return hard + hard / 8 + (16ULL << 20); }

/// How long a dead worker's pipes and group may take to be empty.
constexpr Duration burial_time = 5s;

}  // namespace

Worker::Worker(PoolContext& context, WorkerOwner& owner,
               std::shared_ptr<const PoolSettings> settings, WorkerName name)
    : context_(context),
      owner_(owner),
      settings_(std::move(settings)),
      name_(std::move(name)),
      logger_(context.logger),
      serving_(context.executor),
      output_(context.executor) {
    record.launched_at = context_.clock->now();
}

Worker::~Worker() = default;

std::string Worker::label() const {
    std::string text = name_.pool + '/' + std::to_string(name_.slot) + " incarnation " +
                       std::to_string(name_.incarnation);
    return child_ ? text + " (pid " + std::to_string(child_->pid()) + ")" : text;
}

bool Worker::enter(WorkerEvent event) {
    const std::optional<WorkerState> next = next_state(state_, event);
    if (!next) {
        return false;
    }
    // What the pool decides, it logs itself; a job's two steps are of interest to few.
    const bool of_a_job = event == WorkerEvent::job_sent || event == WorkerEvent::job_ended;
    const LogLevel level = of_a_job ? LogLevel::debug : LogLevel::info;
    if ((of_a_job || event == WorkerEvent::launched) && logger_.enabled(level)) {
        logger_.log(level, "worker." + std::string(name_of(*next)),
                    {{"pool", name_.pool},
                     {"slot", name_.slot},
                     {"incarnation", name_.incarnation},
                     {"pid", pid()},
                     {"job", job_ != nullptr ? std::to_string(job_->id) : "-"}});
    }
    state_ = *next;
    return true;
}

asio::awaitable<void> Worker::run() {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    try {
        const Result<void> launched = co_await launch();
        if (!launched) {
            start_failure_ = launched.error().message();
        } else {
            co_await live();
        }
    } catch (const std::exception& error) {
        broken(std::string("serving it failed: ") + error.what());
    }
    if (child_ && child_->running()) {  // what failed was ours: it is ended all the same
        (void)leaf_->kill_all(child_->pid());
        (void)child_->signal(SIGKILL);
        try {
            co_await child_->wait();
        } catch (const std::exception& error) {
            // Somebody else took its status. Its job must have its end all the same.
            logger_.error("worker.status_lost", {{"pool", name_.pool},
                                                 {"slot", name_.slot},
                                                 {"pid", pid()},
                                                 {"error", error.what()}});
        }
    }
    end_of_life();
    co_await bury();
}

void Worker::end_of_life() {
    bool given_back = false;
    if (child_) {
        try {
            receive_all();
        } catch (const std::exception& error) {
            broken(std::string("reading its last frames failed: ") + error.what());
        }
        given_back = job_ != nullptr && !mark_->names(job_->id, job_->attempts + 1U);
        (void)leaf_->kill_all(child_->pid());  // its descendants go with it
    }
    ExitEvidence evidence;
    evidence.own_act = own_act_;
    evidence.memory_max = memory_max_;
    evidence.start_failure = start_failure_;
    evidence.status = child_ ? child_->status() : std::nullopt;
    evidence.events = leaf_ ? leaf_->events() : std::nullopt;
    enter(WorkerEvent::exited);
    owner_.worker_gone(*this, judge_exit(evidence), given_back);
    job_ = nullptr;
}

asio::awaitable<Result<void>> Worker::launch() {
    Result<std::pair<UniqueFd, UniqueFd>> pair = ipc::make_channel_pair();
    if (!pair) {
        co_return pair.error();
    }
    channel_ = std::make_unique<ipc::Channel>(context_.executor, std::move(pair->first));
    far_end_ = std::move(pair->second);
    Result<BegunMark> mark = BegunMark::make();
    if (!mark) {
        co_return mark.error();
    }
    mark_.emplace(std::move(*mark));
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        co_return errno_error("make a pipe for the output of", label());
    }
    out_.reset(ends[0]);
    child_out_.reset(ends[1]);
    if (::pipe2(ends, O_CLOEXEC) != 0) {
        co_return errno_error("make a pipe for the output of", label());
    }
    err_.reset(ends[0]);
    child_err_.reset(ends[1]);

    LeafLimits limits;
    if (settings_->memory.hard) {
        limits.memory_max = backstop(*settings_->memory.hard);
        memory_max_ = limits.memory_max;
    }
    const std::string leaf_name =
        std::to_string(name_.slot) + '.' + std::to_string(name_.incarnation);
    Result<std::unique_ptr<Leaf>> leaf = context_.cgroups->make_leaf(name_.pool, leaf_name, limits);
    if (!leaf) {
        co_return leaf.error();
    }
    leaf_ = std::move(*leaf);

    Result<LaunchSpec> spec = make_worker_spec(*settings_, context_);
    if (!spec) {
        co_return spec.error();
    }
    spec->out = child_out_.get();
    spec->err = child_err_.get();
    spec->channel = far_end_.get();
    spec->cgroup_dir = leaf_->cgroup_dir();
    spec->cgroup_v1_procs = leaf_->cgroup_v1_procs();
    Result<Launched> launched = co_await context_.launcher->launch(std::move(*spec));
    // Our copies would keep the pipes and the channel from ending with the worker.
    child_out_.reset();
    child_err_.reset();
    far_end_.reset();
    if (!launched) {
        co_return launched.error();
    }
    child_ = std::make_unique<ChildProcess>(context_.executor, launched->pid,
                                            std::move(launched->pidfd));
    leaf_->attach(child_->pid());
    enter(WorkerEvent::launched);
    if (own_act_) {  // asked for while it was being launched
        (void)leaf_->kill_all(child_->pid());
    }
    co_return Result<void>();
}

asio::awaitable<void> Worker::live() {
    serving_.spawn("channel of " + label(), serve());
    output_.spawn("stdout of " + label(), read_output(std::move(out_), "stdout"));
    output_.spawn("stderr of " + label(), read_output(std::move(err_), "stderr"));
    co_await child_->wait();
}

asio::awaitable<void> Worker::read_output(UniqueFd pipe, const char* stream) {
    const int process = pid();
    const OutputLimits limits{settings_->output.max_line, settings_->output.lines_per_second};
    LineHandler handler = [this, process, stream](std::string_view line, bool cut,
                                                  std::uint64_t dropped) {
        if (dropped > 0) {
            logger_.warning("worker.output_held_back", {{"pool", name_.pool},
                                                        {"slot", name_.slot},
                                                        {"pid", process},
                                                        {"stream", stream},
                                                        {"lines", dropped}});
            return;
        }
        logger_.info("worker.output",
                     {{"pool", name_.pool},
                      {"slot", name_.slot},
                      {"pid", process},
                      {"stream", stream},
                      {"line", cut ? std::string(line) + " [cut]" : std::string(line)}});
    };
    co_await read_lines(context_.executor, std::move(pipe), limits, *context_.clock,
                        std::move(handler));
}

asio::awaitable<void> Worker::bury() {
    const TimePoint until = context_.clock->now() + burial_time;
    Duration pause = 1ms;
    bool leaf_removed = leaf_ == nullptr;
    std::string failure;
    while (!leaf_removed && context_.clock->now() < until) {
        if (!leaf_->populated()) {
            const Result<void> removed = leaf_->remove();
            leaf_removed = removed.has_value();
            failure = removed ? "" : removed.error().message();
        }
        if (!leaf_removed) {
            co_await context_.clock->sleep_for(pause);
            pause = std::min<Duration>(pause * 2, 100ms);
        }
    }
    if (!leaf_removed) {
        logger_.warning("worker.leaf_left", {{"pool", name_.pool},
                                             {"slot", name_.slot},
                                             {"incarnation", name_.incarnation},
                                             {"error", failure}});
    }
    // The pipes end with their last writer. A descendant that got away (tiers C and D) must not
    // hold us.
    serving_.cancel();
    co_await serving_.join();
    for (pause = 1ms; !output_.empty() && context_.clock->now() < until;) {
        co_await context_.clock->sleep_for(pause);
        pause = std::min<Duration>(pause * 2, 100ms);
    }
    output_.cancel();
    co_await output_.join();
}

void Worker::kill(Cause cause, std::string detail) {
    if (own_act_ || state_ == WorkerState::gone) {
        return;
    }
    own_act_ = OwnAct{cause, std::move(detail)};
    enter(WorkerEvent::retire_asked);
    if (child_ && child_->running()) {
        const Result<void> killed = leaf_->kill_all(child_->pid());
        if (!killed) {
            (void)child_->signal(SIGKILL);
        }
    }
}

void Worker::signal(int number) {
    if (child_ && child_->running()) {
        (void)child_->signal(number);
    }
}

void Worker::sample_memory() {
    if (!leaf_) {
        return;
    }
    const std::optional<MemorySample> sample = leaf_->sample();
    if (!sample) {
        return;
    }
    const TimePoint now = context_.clock->now();
    const double seconds = std::chrono::duration<double>(now - record.sampled_at).count();
    record.growth_per_second = seconds > 0 ? (static_cast<double>(sample->private_bytes) -
                                              static_cast<double>(record.memory.private_bytes)) /
                                                 seconds
                                           : 0;
    record.memory = *sample;
    record.sampled_at = now;
    record.peak.rss = std::max(record.peak.rss, sample->rss);
    record.peak.private_bytes = std::max(record.peak.private_bytes, sample->private_bytes);
}

}  // namespace supervise
