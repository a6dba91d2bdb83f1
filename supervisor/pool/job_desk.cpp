#include "job_desk.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "config/suggest.hpp"

namespace supervise {
namespace {

double wall_time() {
    return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch())
        .count();
}

/// A burst's memory beyond that is given back.
constexpr std::size_t most_spare_nodes = 4096;

/// A job has no submitter from here on.
Submitter& part(Job& job) {
    Submitter& submitter = *std::exchange(job.submitter, nullptr);
    submitter.open_jobs.remove(job);
    return submitter;
}

/// Whoever made a call delivers it again when it comes back, or another does.
bool is_abandoned(const Job& job) { return job.call && job.submitter == nullptr; }

constexpr const char* lost_by_shutdown = "the pool stopped before it began";
constexpr const char* lost_by_departure = "its client went away before it began";

}  // namespace

JobDesk::JobDesk(std::uint64_t queue_limit, JobId& last_id, std::unique_ptr<Ledger> ledger)
    : queue_limit_(queue_limit), last_id_(last_id), ledger_(std::move(ledger)) {}

void JobDesk::set_tasks(const TaskTable& tasks) { tasks_ = tasks; }

std::variant<JobId, Rejection> JobDesk::accept(Request request, TimePoint now) {
    const auto refuse = [this](ipc::Refusal reason, std::string message) {
        ++refused_;
        return Rejection{reason, std::move(message)};
    };
    if (closed_) {
        return refuse(ipc::Refusal::stopping, "the pool is stopping and takes no more jobs");
    }
    const auto task = tasks_.find(request.task);
    if (task == tasks_.end()) {
        return refuse(ipc::Refusal::unknown_task, unknown_task_message(std::string(request.task)));
    }
    if (1 + request.task.size() + request.args.size() > ipc::max_call) {
        return refuse(ipc::Refusal::bad_frame,
                      "the task's name and its arguments have more than " +
                          std::to_string(ipc::max_call - 1) +
                          " bytes together; keep the data in a store and pass its ID");
    }
    if (queue_.size() >= queue_limit_) {
        return refuse(ipc::Refusal::queue_full,
                      "the queue holds " + std::to_string(queue_.size()) +
                          " jobs, its limit (jobs.queue_limit); submit again when some are done");
    }
    const JobId id = ++last_id_;
    Job& job = insert(id);
    job.task = task->second;
    job.args = request.args;
    job.call = request.call;
    job.payload = std::move(request.payload);
    job.soft_time_limit = request.soft_time_limit.value_or(job.task->soft_time_limit);
    job.time_limit = request.time_limit.value_or(job.task->time_limit);
    job.priority = request.priority;
    job.submitter = request.submitter;
    if (job.submitter != nullptr) {
        job.submitter->open_jobs.push_back(job);
    }
    job.queued_at = now;
    queue_.push(job);
    return id;
}

std::string JobDesk::unknown_task_message(const std::string& name) const {
    // Near in letters first; a bare function name means the task that ends with it.
    std::vector<std::pair<std::size_t, std::string>> near;
    for (const auto& [known, task] : tasks_) {
        const bool same_tail = known.size() > name.size() && known.ends_with('.' + name);
        const std::size_t distance = same_tail ? 0 : config::edit_distance(name, known);
        if (distance <= std::max<std::size_t>(2, name.size() / 4)) {
            near.emplace_back(distance, known);
        }
    }
    std::sort(near.begin(), near.end());
    std::string message = "no task " + name + " is registered";
    if (near.empty()) {
        message += "; the pool has " + std::to_string(tasks_.size()) + " task" +
                   (tasks_.size() == 1 ? "" : "s") + ", mark the function with @supervise.task";
        return message;
    }
    message += "; did you mean ";
    for (std::size_t i = 0; i < near.size() && i < 3; ++i) {
        message += (i > 0 ? ", " : "") + near[i].second;
    }
    return message + '?';
}

Job* JobDesk::take() { return queue_.pop(); }

void JobDesk::give_back(Job& job, TimePoint now) {
    job.state = JobState::queued;
    queue_.push_front(job);
    if (closed_) {
        lose_queued(job, Cause::shutdown, lost_by_shutdown, now);
    } else if (is_abandoned(job)) {
        lose_queued(job, Cause::revoked, lost_by_departure, now);
    }
}

void JobDesk::begin(Job& job, TimePoint now) {
    job.state = JobState::running;
    job.began_at = now;
}

void JobDesk::attempt_ended(Job& job, std::string_view report, const AttemptPlace& place,
                            TimePoint now) {
    const std::optional<ipc::Report> decoded = ipc::decode_report(report);
    Attempt entry;
    entry.outcome = JobState::done;
    if (const auto* failure = decoded ? std::get_if<ipc::Failure>(&*decoded) : nullptr) {
        entry.outcome = JobState::failed;
        entry.detail = std::string(failure->type) + ": " + std::string(failure->message);
    }
    entry.slot = place.slot;
    entry.incarnation = place.incarnation;
    entry.pid = place.pid;
    entry.rss_bytes = place.rss_bytes;
    ++job.attempts;
    finish(job, std::move(entry), report, now);
}

void JobDesk::attempt_lost(Job& job, Cause cause, const std::string& detail,
                           const AttemptPlace& place, TimePoint now) {
    Attempt entry;
    entry.outcome = JobState::lost;
    entry.cause = cause;
    entry.detail = detail;
    entry.slot = place.slot;
    entry.incarnation = place.incarnation;
    entry.pid = place.pid;
    entry.rss_bytes = place.rss_bytes;
    ++job.attempts;
    const std::string report = ipc::encode_report(ipc::Loss{cause, detail});
    finish(job, std::move(entry), report, now);
}

void JobDesk::lose_queued(Job& job, Cause cause, const std::string& detail, TimePoint now) {
    queue_.remove(job);
    job.began_at = now;
    Attempt entry;
    entry.outcome = JobState::lost;
    entry.cause = cause;
    entry.detail = detail;
    const std::string report = ipc::encode_report(ipc::Loss{cause, detail});
    finish(job, std::move(entry), report, now);
}

void JobDesk::finish(Job& job, Attempt entry, std::string_view report, TimePoint now) {
    const bool good = entry.outcome == JobState::done;
    const bool final_cause = entry.outcome == JobState::lost &&
                             (entry.cause == Cause::revoked || entry.cause == Cause::shutdown);
    const bool may_retry = !good && !final_cause && !closed_ && !job.call;
    const bool retry = may_retry && job.attempts <= job.task->retries;
    if (retry) {
        entry.job_state = JobState::queued;
    } else if (may_retry && job.task->retries > 0) {
        entry.job_state = JobState::dead;
    } else {
        entry.job_state = entry.outcome;
    }
    const JobState state = entry.job_state;
    entry.job = job.id;
    // An end without a beginning stays attempt 0, so that attempts are never counted twice.
    entry.attempt = entry.pid != 0 ? job.attempts : 0;
    entry.task = job.task;
    entry.ended_at = wall_time();
    entry.queued = job.began_at - job.queued_at;
    entry.ran = now - job.began_at;
    ledger_->record(std::move(entry));
    if (retry) {
        job.state = JobState::queued;
        job.queued_at = now;
        queue_.push(job);
        return;
    }
    if (job.submitter != nullptr) {
        if (job.reply) {
            job.submitter->job_reply(job.id, std::move(job.reply));
        }
        part(job).job_ended(job.id, state, job.attempts, report);
    }
    erase(job);
}

Job& JobDesk::insert(JobId id) {
    if (spare_nodes_.empty()) {
        Job& job = jobs_[id];
        job.id = id;
        return job;
    }
    Jobs::node_type node = std::move(spare_nodes_.back());
    spare_nodes_.pop_back();
    node.key() = id;
    node.mapped().id = id;
    return jobs_.insert(std::move(node)).position->second;
}

void JobDesk::erase(Job& job) {
    Jobs::node_type node = jobs_.extract(job.id);
    if (spare_nodes_.size() < most_spare_nodes) {
        node.mapped() = Job{};
        spare_nodes_.push_back(std::move(node));
    }
}

JobDesk::Cancelled JobDesk::cancel(JobId id, TimePoint now) {
    const auto found = jobs_.find(id);
    if (found == jobs_.end()) {
        return Cancelled::unknown;
    }
    if (found->second.state == JobState::running) {
        return Cancelled::running;
    }
    lose_queued(found->second, Cause::revoked, "cancelled before it began", now);
    return Cancelled::queued;
}

void JobDesk::forget(JobId id) {
    const auto found = jobs_.find(id);
    if (found != jobs_.end() && found->second.submitter != nullptr) {
        part(found->second);
    }
}

void JobDesk::forget(Submitter& submitter, TimePoint now) {
    while (Job* const job = submitter.open_jobs.front()) {
        part(*job);
        if (job->state == JobState::queued && is_abandoned(*job)) {
            lose_queued(*job, Cause::revoked, lost_by_departure, now);
        }
    }
}

void JobDesk::close(TimePoint now) {
    closed_ = true;
    end_queued(now);
}

void JobDesk::end_queued(TimePoint now) {
    while (Job* const job = queue_.front()) {
        lose_queued(*job, Cause::shutdown, lost_by_shutdown, now);
    }
}

const Job* JobDesk::find(JobId id) const {
    const auto found = jobs_.find(id);
    return found == jobs_.end() ? nullptr : &found->second;
}

}  // namespace supervise
