// Worker: what it says and hears over its channel.
#include <utility>

#include "worker.hpp"
#include "worker_spec.hpp"

namespace supervise {
namespace asio = boost::asio;

namespace {

Duration decayed(Duration mean, Duration sample) {
    return mean == Duration{} ? sample : mean + (sample - mean) / 4;
}

/// Frames taken from one worker before others have their turn.
constexpr int frames_per_turn = 64;

}  // namespace

asio::awaitable<void> Worker::serve() {
    for (;;) {
        co_await channel_->wait_readable();
        try {
            receive_all(frames_per_turn);
        } catch (const std::exception& error) {
            broken(std::string("serving it failed: ") + error.what());
            co_return;
        }
    }
}

void Worker::receive_all(int most) {
    for (int i = 0; i < most; ++i) {
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
        sample_memory();
        if (record.after_first == 0) {
            record.after_first = record.memory.rss;
        }
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
    job_ = &job;
    enter(WorkerEvent::job_sent);
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

}  // namespace supervise
