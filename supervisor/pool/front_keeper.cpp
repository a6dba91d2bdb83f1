#include "front_keeper.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

#include "front_spec.hpp"

namespace supervise {
namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

/// One that has been asked to trim so lately is not asked again, but replaced.
constexpr Duration trim_pause = 60s;

/// Without the traceback, which the log has.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

}  // namespace

FrontKeeper::FrontKeeper(PoolContext& context, std::shared_ptr<const PoolSettings> settings)
    : context_(context), settings_(std::move(settings)), running_(context.executor) {}

std::optional<unsigned> FrontKeeper::free_place() const {
    for (const unsigned place : {0U, 1U}) {
        const bool taken =
            std::any_of(fronts_.begin(), fronts_.end(), [&](const FrontProcess& each) {
                return each.place() == place && each.state() != FrontProcess::State::gone;
            });
        if (!taken) {
            return place;
        }
    }
    return std::nullopt;
}

void FrontKeeper::start() {
    const std::optional<unsigned> place = free_place();
    if (!place) {
        return;  // one is stopping, and one takes long to be killed
    }
    reason_ = asked_.value_or(RecycleReason::requested);
    asked_.reset();
    FrontOwner& owner = *this;  // a private base: emplace_back() could not convert to it
    fronts_.emplace_back(context_, owner, settings_, ++incarnations_, *place);
    const auto added = std::prev(fronts_.end());
    coming_ = &*added;
    running_.spawn(added->label(), run(added));
}

asio::awaitable<void> FrontKeeper::run(std::list<FrontProcess>::iterator place) {
    try {
        co_await place->run();
    } catch (const std::exception& error) {
        context_.logger.error("front.burial_failed",
                              {{"pool", settings_->name}, {"error", error.what()}});
    }
    fronts_.erase(place);
}

asio::awaitable<void> FrontKeeper::join() { co_await running_.join(); }

void FrontKeeper::tick(TimePoint now, bool may_start) {
    for (FrontProcess& each : fronts_) {
        each.check(now);
        if (!stopping_) {
            each.check_stop(now);
        }
    }
    if (stopping_ || !wanted()) {
        return;
    }
    watch(now);
    if (coming_ != nullptr || now < start_at_) {
        return;
    }
    if (serving_ == nullptr && may_start && !breaker_.tripped()) {
        start();
    } else if (serving_ != nullptr && asked_ && fronts_.size() == 1) {
        start();
    }
}

void FrontKeeper::watch(TimePoint now) {
    if (serving_ == nullptr) {
        return;
    }
    if (coming_ != nullptr) {
        // Without one that serves it may wait for the broker for ever, as Celery does.
        if (now - coming_->launched_at() > settings_->start_timeout) {
            coming_->kill(Cause::exit, "it did not consume " +
                                           std::to_string(settings_->start_timeout.count()) +
                                           " ms after its launch (start_timeout)");
        }
        return;
    }
    watch_line(now);
}

bool FrontKeeper::over_line() const {
    const std::optional<std::uint64_t> line = settings_->front->max_rss;
    return line && !line_suspended_ && serving_->memory().rss >= *line;
}

/// One that trimming helps for a moment only is replaced.
void FrontKeeper::watch_line(TimePoint now) {
    if (asked_ || !over_line()) {
        return;
    }
    const TimePoint last = serving_->trim_asked_at();
    const bool lately = last != TimePoint{} && now - last < trim_pause;
    if (!lately && !serving_->trimming()) {
        serving_->trim();
    } else if (!lately || !serving_->trimming()) {
        asked_ = RecycleReason::max_rss;  // it came back over the line, or does not answer
    }
}

void FrontKeeper::front_trimmed(FrontProcess& trimmed) {
    const std::uint64_t before = trimmed.before_trim().rss;
    const std::uint64_t after = trimmed.memory().rss;
    context_.logger.info("front.trimmed", {{"pool", settings_->name},
                                           {"front", trimmed.incarnation()},
                                           {"pid", trimmed.pid()},
                                           {"came_back", before > after ? before - after : 0},
                                           {"rss", after}});
    if (&trimmed == serving_ && coming_ == nullptr && wanted()) {
        watch_line(context_.clock->now());
    }
}

unsigned FrontKeeper::recycle(RecycleReason reason) {
    asked_ = reason;
    start_at_ = TimePoint{};
    return incarnations_ + 1;
}

void FrontKeeper::apply(std::shared_ptr<const PoolSettings> settings) {
    const std::shared_ptr<const PoolSettings> before = std::exchange(settings_, settings);
    if (before->front == settings_->front) {
        return;
    }
    line_checked_ = line_suspended_ = false;
    complaint_.clear();
    futility_.reset();
    if (settings_->front) {
        for (FrontProcess& each : fronts_) {
            each.apply(*settings_->front);
        }
    }
    if (stopping_) {
        return;
    }
    reset();
    if (!settings_->front) {
        serving_ = coming_ = nullptr;
        asked_.reset();
        error_.clear();
        for (FrontProcess& each : fronts_) {
            each.stop();
        }
    } else if (before->front && needs_new_front(*before->front, *settings_->front)) {
        if (coming_ != nullptr) {
            std::exchange(coming_, nullptr)
                ->kill(Cause::shutdown, "one with the new settings takes its place");
        }
        recycle(RecycleReason::config);
    }
}

void FrontKeeper::front_ready(FrontProcess& ready) {
    if (&ready != coming_) {
        return;  // it was told to go meanwhile
    }
    coming_ = nullptr;
    FrontProcess* const old = std::exchange(serving_, &ready);
    ever_ready_ = true;
    error_.clear();
    context_.logger.info("front.ready",
                         {{"pool", settings_->name},
                          {"front", ready.incarnation()},
                          {"pid", ready.pid()},
                          {"node", ready.node()},
                          {"ms", std::chrono::duration_cast<std::chrono::milliseconds>(
                                     ready.ready_at() - ready.launched_at())
                                     .count()},
                          {"rss", ready.fresh().rss},
                          {"private", ready.fresh().private_bytes}});
    check_line(ready.fresh());
    if (old != nullptr) {
        take_over(ready, *old);
    }
}

void FrontKeeper::take_over(FrontProcess& ready, FrontProcess& old) {
    ++recycles_[static_cast<std::size_t>(reason_)];
    context_.logger.info("front.recycled", {{"pool", settings_->name},
                                            {"front", old.incarnation()},
                                            {"pid", old.pid()},
                                            {"node", old.node()},
                                            {"reason", supervise::name_of(reason_)},
                                            {"rss", old.memory().rss},
                                            {"next", ready.pid()}});
    if (reason_ == RecycleReason::max_rss &&
        futility_.recycled(old.memory().rss, ready.fresh().rss)) {
        line_suspended_ = true;
        complain(
            "three hand-overs in a row for front.memory.max_rss gave nothing back; it is not "
            "obeyed until the config changes: raise it or look for what a fresh front loads");
    }
    old.stop();
}

void FrontKeeper::check_line(const MemorySample& fresh) {
    const std::optional<std::uint64_t> line =
        settings_->front ? settings_->front->max_rss : std::nullopt;
    if (std::exchange(line_checked_, true) || !line || *line >= least_line(fresh.rss)) {
        return;
    }
    line_suspended_ = true;
    complain("pool " + settings_->name + ": front.memory.max_rss = " + bytes_text(*line) +
             " is below 1.2 times what a fresh front has (" + bytes_text(fresh.rss) +
             "), so that every front would be replaced at once; set it to " +
             bytes_text(least_line(fresh.rss)) + " at the least");
    if (context_.config_error) {
        context_.config_error(complaint_);
    }
}

void FrontKeeper::complain(const std::string& text) {
    complaint_ = text;
    context_.logger.error("pool.misconfigured", {{"pool", settings_->name}, {"error", complaint_}});
}

/// The next one takes the other place; what this one held goes to it, by the broker.
void FrontKeeper::front_leaves(FrontProcess& leaving) {
    if (&leaving != serving_) {
        return;
    }
    serving_ = nullptr;
    ++restarts_["left"];
    context_.logger.info("front.leaving", {{"pool", settings_->name},
                                           {"front", leaving.incarnation()},
                                           {"pid", leaving.pid()},
                                           {"node", leaving.node()}});
    start_at_ = context_.clock->now() +
                backoff_.after_death(settings_->restart, worked_, context_.random_share());
}

void FrontKeeper::front_gone(FrontProcess& gone, const ExitVerdict& verdict) {
    const bool served = &gone == serving_;
    const bool failed = gone.left() && !gone.ended_well() && verdict.cause != Cause::shutdown;
    const bool expected = stopping_ || (!served && &gone != coming_ && !failed);
    context_.logger.log(expected ? LogLevel::info : LogLevel::warning,
                        expected ? "front.gone" : "front.died",
                        {{"pool", settings_->name},
                         {"front", gone.incarnation()},
                         {"pid", gone.pid()},
                         {"node", gone.node()},
                         {"reason", supervise::name_of(verdict.cause)},
                         {"detail", verdict.detail},
                         {"rss", gone.memory().rss}});
    if (served) {
        serving_ = nullptr;
    } else if (&gone == coming_) {
        coming_ = nullptr;
    }
    if (expected) {
        return;
    }
    if (serving_ != nullptr && !failed) {
        hand_over_failed(gone, verdict);
    } else {
        died(gone, served || failed, verdict);
    }
}

void FrontKeeper::died(const FrontProcess& gone, bool served, const ExitVerdict& verdict) {
    if (gone.pid() != 0) {
        ++restarts_[std::string(supervise::name_of(verdict.cause))];
    }
    if (serving_ == nullptr) {
        error_ = std::string(served ? "its front died: " : "its front did not start: ") +
                 first_line(verdict.detail) +
                 (gone.shortage().empty() ? "" : " (" + gone.shortage() + ')');
    }
    const TimePoint now = context_.clock->now();
    start_at_ = now + backoff_.after_death(settings_->restart, std::exchange(worked_, false),
                                           context_.random_share());
    if (gone.shortage().empty() && breaker_.death(settings_->restart, now)) {
        context_.logger.error("pool.degraded",
                              {{"pool", settings_->name},
                               {"deaths", settings_->restart.burst},
                               {"last", "front: " + verdict.detail},
                               {"next", "mend it, then: supervise resume " + settings_->name}});
    }
}

void FrontKeeper::hand_over_failed(const FrontProcess& failed, const ExitVerdict& verdict) {
    error_ = "the front that was to take over did not start: " + first_line(verdict.detail) +
             "; the one before it goes on";
    // What the line or the config asks for is still due then; what the operator asked for is told.
    start_at_ = context_.clock->now() + settings_->restart.backoff_most;
    if (reason_ == RecycleReason::config) {
        asked_ = reason_;
    }
    context_.logger.error("front.hand_over_failed", {{"pool", settings_->name},
                                                     {"front", failed.incarnation()},
                                                     {"reason", supervise::name_of(reason_)},
                                                     {"error", verdict.detail},
                                                     {"next", "mend it, then: supervise recycle " +
                                                                  settings_->name + " --front"}});
}

void FrontKeeper::progress() {
    worked_ = true;
    breaker_.progress();
}

void FrontKeeper::reset() {
    breaker_.reset();
    backoff_.reset();
    start_at_ = TimePoint{};
}

void FrontKeeper::stop() {
    stopping_ = true;
    for (FrontProcess& each : fronts_) {
        each.stop();
    }
}

void FrontKeeper::hurry() {
    for (FrontProcess& each : fronts_) {
        each.hurry();
    }
}

void FrontKeeper::kill_all(const char* why) {
    for (FrontProcess& each : fronts_) {
        each.kill(Cause::shutdown, why);
    }
}

bool FrontKeeper::owns(pid_t pid) const {
    return std::any_of(fronts_.begin(), fronts_.end(),
                       [pid](const FrontProcess& each) { return each.pid() == pid; });
}

}  // namespace supervise
