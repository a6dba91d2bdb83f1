#include "worker.hpp"

#include <algorithm>
#include <boost/asio/this_coro.hpp>
#include <boost/system/system_error.hpp>
#include <utility>

#include "process/shortage.hpp"
#include "worker_spec.hpp"

namespace supervise {
namespace asio = boost::asio;

Worker::Worker(PoolContext& context, WorkerOwner& owner,
               std::shared_ptr<const PoolSettings> settings, WorkerName name, WorkerOrigin origin)
    : context_(context),
      owner_(owner),
      settings_(std::move(settings)),
      name_(std::move(name)),
      origin_(std::move(origin)),
      own_tasks_(origin_.tasks ? nullptr : std::make_shared<TaskTable>()),
      tasks_(origin_.tasks ? origin_.tasks : own_tasks_),
      process_(context, *this) {
    record.launched_at = record.took_slot_at = context_.clock->now();
}

std::string Worker::label() const {
    std::string text = name_.pool +
                       (name_.slot == 0 ? " spare" : '/' + std::to_string(name_.slot)) +
                       " incarnation " + std::to_string(name_.incarnation);
    return process_.launched() ? text + " (pid " + std::to_string(pid()) + ")" : text;
}

void Worker::take_slot(unsigned slot, std::uint32_t incarnation) {
    name_.slot = slot;
    name_.incarnation = incarnation;
    record.took_slot_at = context_.clock->now();
    context_.logger.info("worker.took_slot", {{"pool", name_.pool},
                                              {"slot", name_.slot},
                                              {"incarnation", name_.incarnation},
                                              {"pid", pid()}});
}

bool Worker::enter(WorkerEvent event) {
    const std::optional<WorkerState> next = next_state(state_, event);
    if (!next) {
        return false;
    }
    // What the pool decides, it logs itself; a job's two steps are of interest to few.
    const bool of_a_job = event == WorkerEvent::job_sent || event == WorkerEvent::job_ended;
    const LogLevel level = of_a_job ? LogLevel::debug : LogLevel::info;
    if ((of_a_job || event == WorkerEvent::launched) && context_.logger.enabled(level)) {
        context_.logger.log(level, "worker." + std::string(name_of(*next)),
                            {{"pool", name_.pool},
                             {"slot", name_.slot},
                             {"incarnation", name_.incarnation},
                             {"pid", pid()},
                             {"job", job() != nullptr ? std::to_string(job()->id) : "-"}});
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
            record.shortage = shortage_of(launched.error());
        } else {
            co_await process_.live(settings_->output);
        }
    } catch (const std::exception& error) {
        broken(std::string("serving it failed: ") + error.what());
    }
    if (process_.running()) {  // what failed was ours: it is ended all the same
        try {
            co_await process_.put_down();
        } catch (const std::exception& error) {
            // Somebody else took its status. Its job must have its end all the same.
            context_.logger.error("worker.status_lost", {{"pool", name_.pool},
                                                         {"slot", name_.slot},
                                                         {"pid", pid()},
                                                         {"error", error.what()}});
        }
    }
    end_of_life();
    co_await process_.bury();
}

void Worker::end_of_life() {
    if (process_.launched()) {
        process_.read_last_frames();
        process_.kill();  // its descendants go with it
    }
    if (!own_act_ && ended_by_client()) {
        own_act_ = OwnAct{Cause::revoked, "ended by signal " + std::to_string(clients_signal_) +
                                              ", sent for its client"};
    }
    ExitEvidence evidence;
    evidence.own_act = own_act_;
    evidence.memory_max = memory_max_;
    evidence.start_failure = start_failure_;
    evidence.status = process_.status();
    evidence.events = process_.events();
    enter(WorkerEvent::exited);
    owner_.worker_gone(*this, judge_exit(evidence), begun());
    jobs_.clear();
}

std::size_t Worker::begun() const {
    for (std::size_t i = 0; i < jobs_.size(); ++i) {
        if (mark_->names(jobs_[i]->id, jobs_[i]->attempts + 1U)) {
            return i + 1;
        }
    }
    return 0;
}

asio::awaitable<Result<void>> Worker::launch() {
    Result<BegunMark> mark = BegunMark::make();
    if (!mark) {
        co_return mark.error();
    }
    mark_.emplace(std::move(*mark));
    LeafLimits limits;
    if (settings_->memory.hard) {
        limits.memory_max = backstop(*settings_->memory.hard);
        memory_max_ = limits.memory_max;
    }
    LaunchSpec spec;
    Launcher* launcher = context_.launcher;
    if (origin_.parent != nullptr) {
        launcher = origin_.parent;
        spec.mark = mark_->descriptor();
        greeted_ = true;  // its template has spoken for it
    } else {
        Result<LaunchSpec> made = make_worker_spec(*settings_, context_);
        if (!made) {
            co_return made.error();
        }
        spec = std::move(*made);
    }
    const std::string place = name_.slot == 0 ? "spare" : std::to_string(name_.slot);
    const Result<void> launched =
        co_await process_.launch(name_.pool, place + '.' + std::to_string(name_.incarnation),
                                 limits, *launcher, std::move(spec));
    if (!launched) {
        co_return launched.error();
    }
    enter(WorkerEvent::launched);
    if (own_act_) {  // asked for while it was being launched
        process_.kill();
    }
    co_return Result<void>();
}

void Worker::output_came(const char* stream, std::string_view line, bool cut,
                         std::uint64_t dropped) {
    if (dropped > 0) {
        context_.logger.warning("worker.output_held_back", {{"pool", name_.pool},
                                                            {"slot", name_.slot},
                                                            {"pid", pid()},
                                                            {"stream", stream},
                                                            {"lines", dropped}});
        return;
    }
    context_.logger.info("worker.output",
                         {{"pool", name_.pool},
                          {"slot", name_.slot},
                          {"pid", pid()},
                          {"stream", stream},
                          {"line", cut ? std::string(line) + " [cut]" : std::string(line)}});
}

void Worker::kill(Cause cause, std::string detail) {
    if (own_act_ || state_ == WorkerState::gone) {
        return;
    }
    own_act_ = OwnAct{cause, std::move(detail)};
    enter(WorkerEvent::retire_asked);
    if (process_.running()) {
        process_.kill();
    }
}

void Worker::revoke(JobId id) {
    revoked_.insert(id);
    if (job() != nullptr && job()->id == id) {
        kill(Cause::revoked, "revoked by its client");
    }
}

void Worker::signal_for_client(int number) {
    clients_signal_ = number;
    signal(number);
}

/// The client's signal ended it: by itself, or by a handler that exits.
bool Worker::ended_by_client() const {
    const std::optional<ExitStatus> status = process_.status();
    return clients_signal_ != 0 && status &&
           (status->kind == ExitStatus::Kind::exited || status->value == clients_signal_);
}

void Worker::sample_memory() {
    const std::optional<MemorySample> sample = process_.sample();
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
