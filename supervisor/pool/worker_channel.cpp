// Worker: what it says and hears over its channel.
#include <chrono>
#include <csignal>
#include <utility>

#include "submitter.hpp"
#include "task_table.hpp"
#include "worker.hpp"
#include "worker_spec.hpp"

namespace supervise {
using namespace std::chrono_literals;

namespace {

/// With more jobs in its window, memory is read only so often: a sample costs as much as some jobs.
constexpr Duration sample_pause = 1ms;

Duration decayed(Duration mean, Duration sample) {
    return mean == Duration{} ? sample : mean + (sample - mean) / 4;
}

std::uint64_t nanoseconds(TimePoint when) {
    return static_cast<std::uint64_t>(
        std::chrono::duration_cast<std::chrono::nanoseconds>(when.time_since_epoch()).count());
}

}  // namespace

void Worker::message_came(const ipc::Message& message, UniqueFd descriptor) {
    if (state_ == WorkerState::gone) {
        return;
    }
    if (const auto* done = std::get_if<ipc::Done>(&message)) {
        job_done(*done, std::move(descriptor));
    } else if (const auto* begun = std::get_if<ipc::Begun>(&message);
               begun && job() != nullptr && job()->id == begun->id && job()->call) {
        job()->began_at = context_.clock->now();
        if (job()->submitter != nullptr) {
            job()->submitter->job_begun(*begun);
        }
    } else if (const auto* hello = std::get_if<ipc::Hello>(&message); hello && !greeted_) {
        greet(*hello);
    } else if (const auto* tasks = std::get_if<ipc::Register>(&message);
               tasks && greeted_ && own_tasks_ && state_ == WorkerState::starting) {
        registered(*tasks);
    } else if (std::holds_alternative<ipc::Ready>(message) && greeted_ && !tasks_->empty() &&
               enter(WorkerEvent::ready)) {
        became_ready();
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
}

void Worker::greet(const ipc::Hello& hello) {
    if (hello.role != ipc::Role::worker || hello.version_min > ipc::protocol_version ||
        hello.version_max < ipc::protocol_version) {
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
}

void Worker::registered(const ipc::Register& message) {
    if (!add_tasks(*own_tasks_, message, *settings_)) {
        broken("it registers more than 10000 tasks");
    }
}

void Worker::became_ready() {
    record.ready_at = record.last_end = context_.clock->now();
    sample_memory();
    record.fresh = record.memory;
    owner_.worker_ready(*this);
}

void Worker::job_done(const ipc::Done& message, UniqueFd reply) {
    if (jobs_.empty() || message.id != jobs_.front()->id) {
        broken("it answered for job " + std::to_string(message.id) + ", which it does not have");
        return;
    }
    const TimePoint now = context_.clock->now();
    Job& job = *jobs_.front();
    job.reply = job.call ? std::move(reply) : UniqueFd();
    jobs_.pop_front();
    if (jobs_.empty()) {
        enter(WorkerEvent::job_ended);
    }
    ++record.jobs_done;
    record.job_interval = decayed(record.job_interval, now - record.last_end);
    record.last_end = now;
    record.just_trimmed = false;
    record.deadline = record.soft_deadline = TimePoint{};
    clients_signal_ = 0;
    const bool has_lines =
        settings_->recycle.max_rss || settings_->recycle.max_private || settings_->memory.hard;
    if (has_lines && (jobs_.empty() || now - record.sampled_at >= sample_pause)) {
        sample_memory();
        if (record.after_first == 0) {
            record.after_first = record.memory.rss;
        }
    }
    if (!jobs_.empty()) {
        begin_next(now);
    }
    owner_.worker_done(*this, job, message.report);
}

void Worker::begin_next(TimePoint now) {
    jobs_.front()->began_at = now;
    if (!revoked_.empty() && revoked(jobs_.front()->id)) {
        kill(Cause::revoked, "revoked by its client");
    }
}

std::size_t Worker::send_jobs(std::span<Job* const> jobs) {
    const TimePoint now = context_.clock->now();
    std::size_t count = 0;
    while (count < jobs.size()) {
        const std::size_t more = jobs.size() - count > 1 ? send_batch(jobs.subspan(count), now)
                                                         : send_job(*jobs[count], now);
        if (more == 0) {
            break;
        }
        count += more;
    }
    return count;
}

bool Worker::send_job(Job& job, TimePoint now) {
    const auto after = [now](Duration limit) {
        return limit == Duration{} ? TimePoint{} : now + limit;
    };
    ipc::Job message;
    message.id = job.id;
    message.attempt = static_cast<std::uint16_t>(job.attempts + 1);
    message.soft_deadline_ns = nanoseconds(after(job.soft_time_limit));
    message.deadline_ns = nanoseconds(after(job.time_limit));
    message.task = job.task->name;
    message.args = job.args;
    message.descriptor = static_cast<bool>(job.payload);
    const ipc::Frame frame = ipc::encode(message);
    if (!sent(process_.channel()->send(frame.bytes(), job.payload.get()), now)) {
        return false;
    }
    if (jobs_.empty()) {  // tasks with limits are never put behind another job
        record.soft_deadline = after(job.soft_time_limit);
        record.deadline = after(job.time_limit);
        record.soft_limit_sent = false;
    }
    took(job);
    return true;
}

/// As many of `jobs` as one frame holds.
std::size_t Worker::send_batch(std::span<Job* const> jobs, TimePoint now) {
    constexpr std::size_t entry_size =
        sizeof(ipc::JobBatch::Entry::id) + sizeof(ipc::JobBatch::Entry::attempt);
    ipc::JobBatch message;
    message.task = jobs.front()->task->name;
    message.jobs.reserve(jobs.size());
    std::size_t room = ipc::max_frame - ipc::header_size - 1 - message.task.size();
    for (const Job* const job : jobs) {
        if (entry_size + job->args.size() > room) {
            break;
        }
        room -= entry_size + job->args.size();
        message.jobs.push_back({job->id, static_cast<std::uint16_t>(job->attempts + 1), job->args});
    }
    const std::size_t count = message.jobs.size();
    if (!sent(process_.channel()->send(ipc::encode(message).bytes()), now)) {
        return 0;
    }
    for (Job* const job : jobs.first(count)) {
        took(*job);
    }
    return count;
}

bool Worker::sent(ipc::Channel::SendStatus status, TimePoint now) {
    switch (status) {
        case ipc::Channel::SendStatus::sent:
            return true;
        case ipc::Channel::SendStatus::full:
            broken("it does not read its channel");
            break;
        case ipc::Channel::SendStatus::closed:
            record.channel_closed_at = now;
            break;
    }
    return false;
}

void Worker::took(Job& job) {
    jobs_.push_back(&job);
    enter(WorkerEvent::job_sent);
}

void Worker::send(const ipc::Message& message, int descriptor) {
    const ipc::Frame frame = ipc::encode(message);
    // A worker reads between two jobs, and has at most a few frames to come: never full in good
    // order.
    if (process_.channel()->send(frame.bytes(), descriptor) == ipc::Channel::SendStatus::full) {
        broken("it does not read its channel");
    }
}

void Worker::soft_limit() {
    record.soft_limit_sent = true;
    if (job()->call && job()->submitter != nullptr) {
        job()->submitter->job_soft_limit(job()->id);
    }
    signal(SIGUSR1);
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
        if (process_.launched()) {
            send(ipc::Retire{});
        }
    }
}

void Worker::broken(const std::string& what) {
    if (own_act_ || state_ == WorkerState::gone) {
        return;
    }
    context_.logger.error("worker.protocol_error", {{"pool", name_.pool},
                                                    {"slot", name_.slot},
                                                    {"incarnation", name_.incarnation},
                                                    {"pid", pid()},
                                                    {"error", what}});
    kill(Cause::exit, "killed by supervise: " + what);
}

}  // namespace supervise
