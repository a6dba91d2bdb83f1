#include "pool.hpp"

#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

namespace supervise {
namespace asio = boost::asio;
using namespace std::chrono_literals;
using namespace boost::asio::experimental::awaitable_operators;

namespace {

/// From the interrupt at the grace's end to the kill.
constexpr Duration last_chance = 2s;

/// Whether a worker started under `before` can go on under `after`.
bool needs_new_workers(const PoolSettings& before, const PoolSettings& after) {
    const auto of_a_process = [](const PoolSettings& settings) {
        return std::tie(settings.app, settings.python, settings.directory, settings.module_path,
                        settings.environment, settings.user, settings.group, settings.umask,
                        settings.limits, settings.memory.hard, settings.memory.oom_score_adj,
                        settings.output, settings.jobs.soft_time_limit, settings.jobs.time_limit,
                        settings.jobs.retries, settings.preload);
    };
    return of_a_process(before) != of_a_process(after);
}

std::optional<unsigned> elastic_least(const PoolSettings& settings) {
    return settings.min_workers < settings.max_workers ? std::optional(settings.min_workers)
                                                       : std::nullopt;
}

AttemptPlace place_of(const Worker& worker) {
    return {worker.name().slot, worker.name().incarnation, worker.pid(), worker.record.memory.rss};
}

}  // namespace

Pool::Pool(PoolContext context, PoolSettings settings)
    : context_(std::move(context)),
      settings_(std::make_shared<const PoolSettings>(std::move(settings))),
      desk_(settings_->jobs.queue_limit, *context_.last_job_id, make_memory_ledger()),
      roster_(context_, *this, settings_),
      intake_(context_, *this, desk_, settings_),
      fronts_(context_, settings_),
      least_(elastic_least(*settings_)),
      changed_(context_.executor, asio::steady_timer::time_point::max()),
      look_(context_.executor, asio::steady_timer::time_point::max()),
      group_(context_.executor) {}

Pool::~Pool() = default;

asio::awaitable<void> Pool::run() {
    group_.spawn("intake of " + settings_->name, intake_.run());
    group_.spawn("watch of " + settings_->name, watch());
    co_await group_.join();
}

// Main loop of a pool. Everything between two ticks is driven by what workers and clients send.
asio::awaitable<void> Pool::watch() {
    while (!stopping_ || roster_.any_alive() || fronts_.any_alive()) {
        const TimePoint now = context_.clock->now();
        if (stopping_) {
            drain(now);
        }
        intake_.check(now);
        const TimePoint next = roster_.tick(desk_.queue().size());
        renew_front();
        fronts_.tick(now, roster_.ever_ready());
        dispatch();
        if (roster_.tripped() || roster_.fails_to_start()) {
            changed_.cancel();  // clients that wait for the first worker are to be told
        }
        next_look_ = stopping_ ? std::min(next, now + 10ms) : next;
        co_await (context_.clock->sleep_until(next_look_) || earlier_look());
    }
    co_await fronts_.join();
    co_await roster_.join();
    intake_.stop();
}

asio::awaitable<void> Pool::earlier_look() {
    boost::system::error_code asked;
    co_await look_.async_wait(asio::redirect_error(asio::use_awaitable, asked));
}

void Pool::stop() {
    if (stopping_) {
        return;
    }
    stopping_ = true;
    const TimePoint now = context_.clock->now();
    grace_until_ = now + settings_->grace;
    context_.logger.info("pool.stopping", {{"pool", settings_->name},
                                           {"queued", desk_.queue().size()},
                                           {"running", desk_.running()}});
    fronts_.stop();
    if (!fronts_.any_alive()) {
        close_desk(now);
    }
    changed_.cancel();
}

/// First the front: it stops consuming and waits for what runs. Then the workers go.
void Pool::drain(TimePoint now) {
    if (!fronts_.any_alive()) {
        close_desk(now);
    } else if (paused_ || roster_.wanted() == 0 || (roster_.degraded() && !roster_.can_serve())) {
        desk_.end_queued(now);  // no worker takes it, and the front would wait for it
    }
    if (now >= grace_until_ + last_chance) {
        close_desk(now);
        roster_.kill_all(why_killed_);
        fronts_.kill_all(why_killed_);
    } else if (now >= grace_until_ && !interrupted_) {
        interrupted_ = true;
        if (closed_) {
            roster_.interrupt();
        } else {
            fronts_.hurry();
        }
    }
}

void Pool::close_desk(TimePoint now) {
    if (!std::exchange(closed_, true)) {
        desk_.close(now);
        roster_.stop();
    }
}

/// It has the application's code, too, and follows the workers to new code: not before, since its
/// new tasks would find nobody who knows them.
void Pool::renew_front() {
    if (std::exchange(rolls_seen_, roster_.rolls()) != roster_.rolls() && fronts_.wanted()) {
        fronts_.recycle(RecycleReason::config);
    }
}

void Pool::hurry() { grace_until_ = std::min(grace_until_, context_.clock->now()); }

void Pool::kill() {
    stop();
    why_killed_ = "killed by supervise: whoever had started it is gone";
    grace_until_ = context_.clock->now() - last_chance;
    look_.cancel();
}

void Pool::dispatch() {
    if (paused_ || closed_) {
        return;
    }
    while (!desk_.queue().empty()) {
        Worker* const worker = roster_.available(*desk_.queue().front());
        if (worker == nullptr) {
            return;
        }
        hand_next(*worker);  // one that cannot take it is not available any more
    }
}

void Pool::hand_next(Worker& worker) {
    // Each gets its share of a short queue, whatever its window.
    const std::size_t share = desk_.queue().size() / std::max(1U, roster_.wanted()) + 1;
    const Job& first = *desk_.queue().front();
    const std::size_t most = std::min(share, roster_.room(worker, first));
    batch_.clear();
    do {
        batch_.push_back(desk_.take());
    } while (batch_.size() < most && desk_.queue().front() != nullptr &&
             desk_.queue().front()->task == first.task &&
             desk_.queue().front()->may_share_window());
    const std::size_t taken = worker.send_jobs(batch_);
    const TimePoint now = context_.clock->now();
    for (std::size_t i = 0; i < taken; ++i) {
        desk_.begin(*batch_[i], now);
        roster_.job_sent(worker, *batch_[i]);
    }
    for (std::size_t i = batch_.size(); i > taken; --i) {
        desk_.give_back(*batch_[i - 1], now);
    }
    if (taken > 0 && roster_.next_look(worker, now) < next_look_) {
        look_.cancel();  // its limits do not wait for the next regular look
    }
}

void Pool::worker_ready(Worker& worker) {
    desk_.set_tasks(worker.tasks());
    changed_.cancel();
    roster_.ready(worker);
    dispatch();
}

void Pool::worker_done(Worker& worker, Job& job, std::string_view report) {
    desk_.attempt_ended(job, report, place_of(worker), context_.clock->now());
    roster_.job_done(worker);
    fronts_.progress();
    dispatch();
}

void Pool::worker_trimmed(Worker& worker) {
    roster_.trimmed(worker);
    dispatch();
}

void Pool::worker_gone(Worker& worker, const ExitVerdict& verdict, std::size_t begun) {
    const std::deque<Job*>& jobs = worker.jobs();
    // First: its book names the job, which may not outlive the next step.
    roster_.gone(worker, verdict, begun > 0 ? jobs[begun - 1] : nullptr);
    const TimePoint now = context_.clock->now();
    for (std::size_t i = jobs.size(); i > begun; --i) {  // the first one to the head of the queue
        const JobId id = jobs[i - 1]->id;
        desk_.give_back(*jobs[i - 1], now);
        if (worker.revoked(id)) {  // not begun, and not wanted any more
            desk_.cancel(id, now);
        }
    }
    for (std::size_t i = 0; i < begun; ++i) {
        desk_.attempt_lost(*jobs[i], verdict.cause, verdict.detail, place_of(worker), now);
    }
    changed_.cancel();  // a breaker that tripped lets clients in to be told
    dispatch();
}

asio::awaitable<void> Pool::tasks_known() {
    while (!desk_.knows_tasks() && !roster_.tripped() && !roster_.fails_to_start() && !stopping_) {
        boost::system::error_code changed;
        co_await changed_.async_wait(asio::redirect_error(asio::use_awaitable, changed));
    }
}

std::variant<JobId, Rejection> Pool::submit(JobDesk::Request request) {
    std::variant<JobId, Rejection> answer = client_submits(std::move(request));
    dispatch();
    return answer;
}

std::variant<JobId, Rejection> Pool::client_submits(JobDesk::Request request) {
    if (stopping_) {
        return Rejection{ipc::Refusal::stopping,
                         "pool " + settings_->name + " is stopping and takes no more jobs"};
    }
    if (!desk_.knows_tasks() || (roster_.tripped() && !roster_.can_serve())) {
        const std::string why = advice();
        return Rejection{
            ipc::Refusal::degraded,
            why.empty() ? "pool " + settings_->name + " has no worker ready yet" : why};
    }
    std::variant<JobId, Rejection> answer = desk_.accept(std::move(request), context_.clock->now());
    if (auto* const refused = std::get_if<Rejection>(&answer);
        refused != nullptr && refused->reason == ipc::Refusal::unknown_task && takes_calls() &&
        (roster_.renewing() || fronts_.handing_over())) {
        // Front and workers have different code for a while: the front is to offer it again.
        refused->reason = ipc::Refusal::degraded;
        refused->message += "; the pool is going over to new code";
    }
    return answer;
}

void Pool::client_cancels(JobId id, bool terminate) {
    if (desk_.cancel(id, context_.clock->now()) == JobDesk::Cancelled::running && terminate) {
        if (Worker* const worker = roster_.worker_of(id)) {
            worker->revoke(id);
        }
    }
}

void Pool::client_signals(JobId id, int number) {
    if (desk_.cancel(id, context_.clock->now()) != JobDesk::Cancelled::running) {
        return;
    }
    Worker* const worker = roster_.worker_of(id);
    if (worker != nullptr && worker->job()->id == id) {
        worker->signal_for_client(number);
    }
}

ApiResult<unsigned> Pool::recycle(std::optional<unsigned> slot) {
    if (!slot && !settings_->preload && fronts_.wanted()) {
        roster_.renew_template();  // there is none: what it means is that the workers have new code
    }
    const unsigned asked = roster_.recycle(slot, RecycleReason::requested);
    if (slot && asked == 0) {
        return ApiError{404, "unknown_slot",
                        "pool " + settings_->name + " has no worker in slot " +
                            std::to_string(*slot) + "; supervise status lists them"};
    }
    return asked;
}

ApiResult<unsigned> Pool::renew_template() {
    if (!settings_->preload) {
        return ApiError{409, "no_template",
                        "pool " + settings_->name + " has no template; set preload = true"};
    }
    return roster_.renew_template();
}

ApiResult<unsigned> Pool::recycle_front() {
    if (!fronts_.wanted()) {
        return ApiError{409, "no_front",
                        "supervise does not run a front for pool " + settings_->name +
                            "; a table [pool." + settings_->name + ".front] has it do so"};
    }
    return fronts_.recycle(RecycleReason::requested);
}

ApiResult<void> Pool::scale(unsigned workers) {
    least_.reset();
    return resize(workers, workers);
}

ApiResult<void> Pool::set_max(unsigned workers) {
    return resize(std::min(least_.value_or(workers), workers), workers);
}

ApiResult<void> Pool::resize(unsigned least, unsigned most) {
    if (most > 1024) {
        return ApiError{400, "bad_request", "a pool has 0 to 1024 workers"};
    }
    context_.logger.info(
        "pool.scaled",
        {{"pool", settings_->name}, {"workers", most}, {"min", least}, {"reason", "requested"}});
    auto settings = std::make_shared<PoolSettings>(*settings_);
    settings->min_workers = least;
    settings->max_workers = most;
    settings_ = settings;
    roster_.resize(settings_);
    intake_.apply(settings_);
    fronts_.apply(settings_);
    return {};
}

void Pool::pause() {
    paused_ = true;
    context_.logger.info("pool.paused", {{"pool", settings_->name}});
}

void Pool::resume() {
    paused_ = false;
    context_.logger.info("pool.resumed", {{"pool", settings_->name}});
    roster_.reset_breaker();
    fronts_.reset();
    dispatch();
}

void Pool::apply(PoolSettings settings) {
    const bool replace = needs_new_workers(*settings_, settings);
    if (settings.min_workers != settings_->min_workers ||
        settings.max_workers != settings_->max_workers) {
        least_ = elastic_least(settings);
    }
    settings_ = std::make_shared<const PoolSettings>(std::move(settings));
    desk_.set_queue_limit(settings_->jobs.queue_limit);
    intake_.apply(settings_);
    roster_.apply(settings_, replace);
    fronts_.apply(settings_);
    dispatch();
}

}  // namespace supervise
