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

Duration decayed(Duration mean, Duration sample) {
    return mean == Duration{} ? sample : mean + (sample - mean) / 4;
}

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
    // Each job's two steps are no news; every other step of a life is.
    if (*next != state_ && *next != WorkerState::busy && state_ != WorkerState::busy) {
        logger_.debug("worker.state", {{"pool", name_.pool},
                                       {"slot", name_.slot},
                                       {"incarnation", name_.incarnation},
                                       {"pid", pid()},
                                       {"from", name_of(state_)},
                                       {"to", name_of(*next)}});
    }
    state_ = *next;
    return true;
}

asio::awaitable<void> Worker::run() {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    const Result<void> launched = co_await launch();
    if (launched) {
        co_await live();
    } else {
        start_failure_ = launched.error().message();
    }
    ExitEvidence evidence;
    evidence.own_act = own_act_;
    evidence.memory_max = memory_max_;
    evidence.start_failure = start_failure_;
    bool given_back = false;
    if (child_) {
        evidence.status = child_->status();
        receive_all();
        given_back = job_ != nullptr && !mark_->names(job_->id, job_->attempts + 1U);
        (void)leaf_->kill_all(child_->pid());  // its descendants go with it
    }
    if (leaf_) {
        evidence.events = leaf_->events();
    }
    enter(WorkerEvent::exited);
    const ExitVerdict verdict = judge_exit(evidence);
    owner_.worker_gone(*this, verdict, given_back);
    job_ = nullptr;
    co_await bury();
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

asio::awaitable<void> Worker::serve() {
    for (;;) {
        co_await channel_->wait_readable();
        receive_all();
    }
}

void Worker::receive_all() {
    for (;;) {
        ipc::Channel::Received received = channel_->receive();
        switch (received.status) {
            case ipc::Channel::Received::Status::none:
                return;
            case ipc::Channel::Received::Status::closed:
                // Most often the first sign of its death. Only a worker that stays is to blame.
                if (!channel_closed()) {
                    record.channel_closed_at = context_.clock->now();
                }
                serving_.cancel();  // a closed socket stays readable for ever
                return;
            case ipc::Channel::Received::Status::frame:
                if (received.truncated) {
                    broken("a frame of more than 1024 bytes came over its channel");
                } else if (state_ != WorkerState::gone) {
                    handle(received.frame, std::move(received.descriptor));
                }
        }
    }
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

void Worker::handle(std::string_view frame, UniqueFd descriptor) {
    std::variant<ipc::Message, ipc::DecodeError> decoded = ipc::decode(frame);
    if (const auto* error = std::get_if<ipc::DecodeError>(&decoded)) {
        broken(error->message);
        return;
    }
    const ipc::Message& message = std::get<ipc::Message>(decoded);
    if (ipc::has_descriptor(message) != static_cast<bool>(descriptor)) {
        broken("a frame and its record do not agree on a descriptor");
        return;
    }
    if (const auto* done = std::get_if<ipc::Done>(&message)) {
        job_done(*done);
    } else if (const auto* hello = std::get_if<ipc::Hello>(&message); hello && !greeted_) {
        if (hello->role != ipc::Role::worker || hello->version_min > ipc::protocol_version ||
            hello->version_max < ipc::protocol_version) {
            broken("its package supervise speaks another version of the protocol");
            return;
        }
        greeted_ = true;
        ipc::Welcome welcome;
        welcome.slot = static_cast<std::uint16_t>(name_.slot);
        welcome.incarnation = name_.incarnation;
        welcome.pool = name_.pool;
        welcome.software = software_name;
        welcome.descriptor = true;
        send(welcome, mark_->descriptor());
    } else if (const auto* tasks = std::get_if<ipc::Register>(&message);
               tasks && greeted_ && state_ == WorkerState::starting) {
        registered(*tasks);
    } else if (std::holds_alternative<ipc::Ready>(message) && greeted_ && !tasks_.empty() &&
               enter(WorkerEvent::ready)) {
        record.ready_at = record.last_end = context_.clock->now();
        sample_memory();
        record.fresh = record.memory;
        owner_.worker_ready(*this);
    } else if (const auto* failed = std::get_if<ipc::StartFailed>(&message);
               failed && state_ == WorkerState::starting) {
        start_failure_ =
            "start failed: " + std::string(failed->type) + ": " + std::string(failed->message);
    } else if (std::holds_alternative<ipc::Trimmed>(message) && trimming_) {
        trimming_ = false;
        record.just_trimmed = true;
        sample_memory();
        owner_.worker_trimmed(*this);
    } else if (const auto* ping = std::get_if<ipc::Ping>(&message)) {
        send(ipc::Pong{ping->token});
    } else if (!std::holds_alternative<ipc::Pong>(message)) {
        broken("a message that has no place there came over its channel");
    }
    // A descriptor that comes with DONE has no receiver in this version: it is closed here.
}

void Worker::registered(const ipc::Register& message) {
    constexpr std::size_t most_tasks = 10'000;
    for (const ipc::TaskInfo& info : message.tasks) {
        if (tasks_.size() >= most_tasks) {
            broken("it registers more than 10000 tasks");
            return;
        }
        const auto limit = [](std::optional<std::uint32_t> own, std::optional<Milliseconds> pools) {
            return own ? Duration(Milliseconds(*own)) : Duration(pools.value_or(Milliseconds(0)));
        };
        Task task;
        task.name = info.name;
        task.soft_time_limit = limit(info.soft_time_limit_ms, settings_->jobs.soft_time_limit);
        task.time_limit = limit(info.time_limit_ms, settings_->jobs.time_limit);
        task.retries = info.retries ? *info.retries : settings_->jobs.retries;
        std::string key = task.name;
        tasks_.insert_or_assign(std::move(key), std::make_shared<const Task>(std::move(task)));
    }
}

void Worker::job_done(const ipc::Done& message) {
    if (job_ == nullptr || message.id != job_->id) {
        broken("it answered for job " + std::to_string(message.id) + ", which it does not have");
        return;
    }
    const TimePoint now = context_.clock->now();
    enter(WorkerEvent::job_ended);
    ++record.jobs_done;
    record.job_interval = decayed(record.job_interval, now - record.last_end);
    record.last_end = now;
    record.just_trimmed = false;
    record.deadline = record.soft_deadline = TimePoint{};
    if (settings_->recycle.max_rss || settings_->recycle.max_private || settings_->memory.hard) {
        const auto before = static_cast<double>(record.memory.rss);
        sample_memory();
        const double growth = static_cast<double>(record.memory.rss) - before;
        record.growth_per_job += (growth - record.growth_per_job) / 4;
    }
    Job& job = *std::exchange(job_, nullptr);
    owner_.worker_done(*this, job, message.report);
}

bool Worker::send_job(Job& job) {
    const TimePoint now = context_.clock->now();
    const auto nanoseconds = [](TimePoint when) {
        return static_cast<std::uint64_t>(
            std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count());
    };
    const auto after = [now](Duration limit) {
        return limit == Duration{} ? TimePoint{} : now + limit;
    };
    record.soft_deadline = after(job.task->soft_time_limit);
    record.deadline = after(job.task->time_limit);
    record.soft_limit_sent = false;
    ipc::Job message;
    message.id = job.id;
    message.attempt = static_cast<std::uint16_t>(job.attempts + 1);
    message.soft_deadline_ns = nanoseconds(record.soft_deadline);
    message.deadline_ns = nanoseconds(record.deadline);
    message.task = job.task->name;
    message.args = job.args;
    message.descriptor = static_cast<bool>(job.payload);
    const ipc::Frame frame = ipc::encode(message);
    switch (channel_->send(frame.bytes(), job.payload.get())) {
        case ipc::Channel::SendStatus::sent:
            break;
        case ipc::Channel::SendStatus::full:
            broken("it does not read its channel");
            return false;
        case ipc::Channel::SendStatus::closed:
            record.channel_closed_at = now;
            return false;
    }
    enter(WorkerEvent::job_sent);
    job_ = &job;
    return true;
}

void Worker::send(const ipc::Message& message, int descriptor) {
    const ipc::Frame frame = ipc::encode(message);
    // A worker reads between two jobs, and has at most a few frames to come: never full in good
    // order.
    if (channel_->send(frame.bytes(), descriptor) == ipc::Channel::SendStatus::full) {
        broken("it does not read its channel");
    }
}

void Worker::trim() {
    trimming_ = true;
    record.trim_asked_at = context_.clock->now();
    record.before_trim = record.memory.rss;
    send(ipc::Trim{});
}

void Worker::retire() {
    if (enter(WorkerEvent::retire_asked)) {
        record.retire_asked_at = context_.clock->now();
        if (channel_ && child_) {
            send(ipc::Retire{});
        }
    }
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

void Worker::broken(const std::string& what) {
    if (own_act_ || state_ == WorkerState::gone) {
        return;
    }
    logger_.error("worker.protocol_error", {{"pool", name_.pool},
                                            {"slot", name_.slot},
                                            {"incarnation", name_.incarnation},
                                            {"pid", pid()},
                                            {"error", what}});
    kill(Cause::exit, "killed by supervise: " + what);
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
