#include "template_keeper.hpp"

#include <algorithm>
#include <chrono>
#include <utility>

namespace supervise {
namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

/// A template does nothing but fork: what it grows by is a leak (of a hook, of a thread).
constexpr std::uint64_t least_leak = 64ULL << 20;

/// A template that leaves a request to fork unanswered for so long may be stopped or hang: another
/// is imported meanwhile, and takes its place unless it goes on.
constexpr Duration silent_time = 2s;
/// At the end no template is waited for any longer: it holds no job.
constexpr Duration stop_time = 2s;

/// Without the traceback, which the log has.
std::string first_line(const std::string& text) { return text.substr(0, text.find('\n')); }

std::string joined(const std::vector<std::string>& texts) {
    std::string all;
    for (const std::string& text : texts) {
        all += (all.empty() ? "" : "; ") + text;
    }
    return all;
}

}  // namespace

TemplateKeeper::TemplateKeeper(PoolContext& context, TemplateKeeperOwner& owner,
                               std::shared_ptr<const PoolSettings> settings)
    : context_(context),
      owner_(owner),
      settings_(std::move(settings)),
      last_generation_(settings_->preload ? 0 : 1),
      running_(context.executor) {}

WorkerOrigin TemplateKeeper::origin() const {
    return serving_ != nullptr ? WorkerOrigin{serving_, serving_->tasks()} : WorkerOrigin{};
}

void TemplateKeeper::born(TemplateProcess* parent) {
    if (parent != nullptr) {
        ++parent->workers;
    }
}

void TemplateKeeper::buried(TemplateProcess* parent) {
    if (parent != nullptr) {
        --parent->workers;
        retire_idle();
        forget_buried();
    }
}

TemplateProcess& TemplateKeeper::start() {
    TemplateOwner& owner = *this;  // a private base: emplace_back() could not convert to it
    templates_.emplace_back(context_, owner, settings_, ++last_generation_);
    const auto place = std::prev(templates_.end());
    running_.spawn(place->label(), run(place));
    coming_ = &*place;
    return *place;
}

asio::awaitable<void> TemplateKeeper::run(std::list<TemplateProcess>::iterator place) {
    try {
        co_await place->run();
    } catch (const std::exception& error) {
        context_.logger.error("template.burial_failed",
                              {{"pool", settings_->name}, {"error", error.what()}});
    }
    place->buried = true;
    forget_buried();
}

void TemplateKeeper::forget_buried() {
    for (auto each = templates_.begin(); each != templates_.end();) {
        if (each->buried && each->workers == 0) {  // its workers point to it
            forks_of_gone_ += each->forks();
            each = templates_.erase(each);
        } else {
            ++each;
        }
    }
}

asio::awaitable<void> TemplateKeeper::join() { co_await running_.join(); }

unsigned TemplateKeeper::renew(std::shared_ptr<const PoolSettings> settings, bool roll) {
    plain_ = plain_ || (!wanted() && settings->preload);  // as before, until the first one serves
    settings_ = std::move(settings);
    error_.clear();
    reset();
    if (coming_ != nullptr) {
        std::exchange(coming_, nullptr)->kill(Cause::shutdown, "a newer one takes its place");
    }
    if (stopping_) {
        return last_generation_;
    }
    roll_ = roll;
    if (!wanted()) {
        plain_ = false;
        findings_.clear();
        serve(nullptr, ++last_generation_);
        return last_generation_;
    }
    return start().generation();
}

void TemplateKeeper::reset() {
    backoff_.reset();
    restart_at_ = TimePoint{};
    refused_ = false;
}

void TemplateKeeper::tick(TimePoint now, bool may_start) {
    for (TemplateProcess& each : templates_) {
        each.check(now);
    }
    if (stopping_ || !wanted() || coming_ != nullptr || refused_ || now < restart_at_) {
        return;
    }
    if (serving_ != nullptr && start_in_place_of_serving(now)) {
        roll_ = false;
        start();
    } else if (serving_ == nullptr && !plain_ && may_start) {
        start();
    }
}

/// Whether the one that serves needs a successor; says why.
bool TemplateKeeper::start_in_place_of_serving(TimePoint now) {
    if (serving_->silence(now) > silent_time) {
        context_.logger.warning("template.silent", {{"pool", settings_->name},
                                                    {"generation", serving_->generation()},
                                                    {"pid", serving_->pid()},
                                                    {"seconds", silent_time / 1s}});
        restart_at_ = now + wait_after(*serving_, now);
        return true;
    }
    if (leaks(*serving_)) {
        context_.logger.warning("template.leaks", {{"pool", settings_->name},
                                                   {"generation", serving_->generation()},
                                                   {"pid", serving_->pid()},
                                                   {"private", serving_->memory().private_bytes},
                                                   {"fresh", serving_->fresh().private_bytes}});
        restart_at_ = now + settings_->restart.backoff_most;
        return true;
    }
    return false;
}

/// It is no loop where the last one has served for a while. That it has forked says nothing: one
/// that a timer ends does so, too, a moment before.
Duration TemplateKeeper::wait_after(const TemplateProcess& failed, TimePoint now) {
    const bool healthy =
        failed.ready_at() != TimePoint{} && now - failed.ready_at() >= settings_->restart.period;
    return backoff_.after_death(settings_->restart, healthy, context_.random_share());
}

bool TemplateKeeper::leaks(const TemplateProcess& each) const {
    const std::uint64_t fresh = each.fresh().private_bytes;
    return each.memory().private_bytes > fresh + std::max(fresh / 2, least_leak);
}

void TemplateKeeper::template_ready(TemplateProcess& ready) {
    if (&ready != coming_) {
        return;  // it was told to go meanwhile
    }
    coming_ = nullptr;
    context_.logger.info("template.ready",
                         {{"pool", settings_->name},
                          {"generation", ready.generation()},
                          {"pid", ready.pid()},
                          {"ms", std::chrono::duration_cast<std::chrono::milliseconds>(
                                     ready.ready_at() - ready.launched_at())
                                     .count()},
                          {"tasks", ready.tasks()->size()},
                          {"rss", ready.fresh().rss},
                          {"private", ready.fresh().private_bytes}});
    error_.clear();
    findings_ = ready.findings();
    if (ready.findings().empty() || pass_findings(ready)) {
        plain_ = false;
        serve(&ready, ready.generation());
    }
}

/// False: this template shall not fork; what follows from that is done.
bool TemplateKeeper::pass_findings(TemplateProcess& ready) {
    for (const std::string& finding : ready.findings()) {
        context_.logger.warning(
            "template.unsafe",
            {{"pool", settings_->name}, {"generation", ready.generation()}, {"finding", finding}});
    }
    const std::string findings = joined(ready.findings());
    switch (settings_->on_unsafe_fork) {
        case OnUnsafeFork::fork:
            return true;
        case OnUnsafeFork::spawn:
            context_.logger.warning("template.falls_back",
                                    {{"pool", settings_->name},
                                     {"reason",
                                      "forking is unsafe: workers are spawned one by one "
                                      "until a reload"}});
            plain_ = true;
            serve(nullptr, ready.generation());
            break;
        case OnUnsafeFork::refuse: {
            const std::string what =
                "forking is unsafe and on_unsafe_fork = \"refuse\": " + findings;
            if (serving_ != nullptr || plain_) {
                renewal_failed(ready, what);
            } else {
                refused_ = true;
                error_ = what;
                owner_.fork_refused(what);
            }
            break;
        }
    }
    ready.retire();
    return false;
}

void TemplateKeeper::serve(TemplateProcess* next, unsigned generation) {
    TemplateProcess* const before = std::exchange(serving_, next);
    if (before != nullptr && before->silence(context_.clock->now()) > silent_time) {
        before->kill(Cause::exit,
                     "killed: it left a request to fork unanswered, and another one "
                     "has taken its place");
    }
    retire_idle();
    owner_.generation_changed(generation, std::exchange(roll_, false));
}

void TemplateKeeper::retire_idle() {
    for (TemplateProcess& each : templates_) {
        if (&each != serving_ && &each != coming_ && each.workers == 0) {
            each.retire();
        }
    }
}

void TemplateKeeper::template_gone(TemplateProcess& gone, const ExitVerdict& verdict) {
    const bool expected = &gone != serving_ && &gone != coming_;
    context_.logger.log(expected ? LogLevel::info : LogLevel::warning,
                        expected ? "template.gone" : "template.died",
                        {{"pool", settings_->name},
                         {"generation", gone.generation()},
                         {"pid", gone.pid()},
                         {"detail", verdict.detail},
                         {"forks", gone.forks()},
                         {"workers", gone.workers}});
    if (expected || stopping_) {
        return;
    }
    const bool served = &gone == serving_;
    (served ? serving_ : coming_) = nullptr;
    if (!served && (serving_ != nullptr || plain_)) {
        renewal_failed(gone, verdict.detail);
        return;
    }
    const std::string what =
        "its template " + std::string(served ? "died: " : "did not start: ") + verdict.detail;
    error_ = first_line(what);
    const TimePoint now = context_.clock->now();
    restart_at_ = now + wait_after(gone, now);
    owner_.template_failed(what, gone.shortage());
}

void TemplateKeeper::renewal_failed(const TemplateProcess& failed, const std::string& what) {
    error_ = "generation " + std::to_string(failed.generation()) +
             " of the application does not serve: " + first_line(what) +
             (serving_ != nullptr ? "; the one before it goes on" : "; workers are spawned");
    context_.logger.error(
        "template.renewal_failed",
        {{"pool", settings_->name},
         {"generation", failed.generation()},
         {"error", what},
         {"next", "mend it, then: supervise recycle " + settings_->name + " --template"}});
}

void TemplateKeeper::stop() {
    stopping_ = true;
    serving_ = coming_ = nullptr;
    for (TemplateProcess& each : templates_) {
        each.retire(stop_time);
    }
}

void TemplateKeeper::kill_all(const char* why) {
    for (TemplateProcess& each : templates_) {
        each.kill(Cause::shutdown, why);
    }
}

bool TemplateKeeper::owns(pid_t pid) const {
    return std::any_of(templates_.begin(), templates_.end(),
                       [pid](const TemplateProcess& each) { return each.pid() == pid; });
}

std::uint64_t TemplateKeeper::private_bytes() const {
    std::uint64_t sum = 0;
    for (const TemplateProcess& each : templates_) {
        if (each.state() != TemplateProcess::State::gone) {
            sum += each.memory().private_bytes;
        }
    }
    return sum;
}

void TemplateKeeper::describe(PoolSnapshot& snapshot) const {
    const auto state_of = [](const TemplateProcess& each) {
        switch (each.state()) {
            case TemplateProcess::State::starting:
                return "starting";
            case TemplateProcess::State::ready:
                return "ready";
            case TemplateProcess::State::retiring:
                return "retiring";
            case TemplateProcess::State::gone:
                break;
        }
        return "gone";
    };
    const TimePoint now = context_.clock->now();
    snapshot.template_forks = forks_of_gone_;
    for (auto each = templates_.rbegin(); each != templates_.rend(); ++each) {
        TemplateSnapshot& row = snapshot.templates.emplace_back();
        row.state = state_of(*each);
        row.generation = each->generation();
        row.pid = each->state() == TemplateProcess::State::gone ? 0 : each->pid();
        row.age_seconds = std::chrono::duration<double>(now - each->launched_at()).count();
        row.rss_bytes = each->memory().rss;
        row.private_bytes = each->memory().private_bytes;
        row.forks = each->forks();
        row.workers = each->workers;
        row.findings = each->findings();
        snapshot.template_forks += each->forks();
    }
    if (wanted() && (!error_.empty() || (plain_ && !findings_.empty()))) {
        // What is not there cannot have a line of its own, but its operator looks for one.
        TemplateSnapshot row;
        row.state = refused_ ? "refused" : plain_ && error_.empty() ? "unsafe" : "failed";
        row.generation = last_generation_;
        row.error = error_;
        row.findings = findings_;
        snapshot.templates.insert(snapshot.templates.begin(), std::move(row));
    }
}

}  // namespace supervise
