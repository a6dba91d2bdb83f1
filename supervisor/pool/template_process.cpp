#include "template_process.hpp"

#include <fcntl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <utility>

#include "process/orphans.hpp"
#include "process/shortage.hpp"
#include "worker_spec.hpp"

namespace supervise {
namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

/// Requests under way at a time: the template takes one after the other, and each holds
/// descriptors.
constexpr std::size_t most_requests = 8;
/// From FORK to FORKED; a fork of many gigabytes takes a second.
constexpr Duration fork_time = 20s;
/// From the channel's end to the exit.
constexpr Duration exit_time = 2s;
constexpr std::size_t most_findings = 32;

/// The pidfd of a process that must be a child of ours: it cannot be anybody else while nobody has
/// reaped it (pidfd_open(2), Linux 5.3).
Result<Launched> take_child(pid_t pid) {
    Launched launched{pid, UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)))};
    siginfo_t info{};
    const bool ours = launched.pidfd && ::waitid(P_PID, static_cast<id_t>(pid), &info,
                                                 WEXITED | WNOHANG | WNOWAIT) == 0;
    if (!ours) {
        return errno_error("take over the forked worker", std::to_string(pid));
    }
    return launched;
}

}  // namespace

TemplateProcess::TemplateProcess(PoolContext& context, TemplateOwner& owner,
                                 std::shared_ptr<const PoolSettings> settings, unsigned generation)
    : context_(context),
      owner_(owner),
      settings_(std::move(settings)),
      generation_(generation),
      launched_at_(context.clock->now()),
      turn_(context.executor, asio::steady_timer::time_point::max()),
      process_(context, *this) {}

std::string TemplateProcess::label() const {
    std::string text = settings_->name + " template, generation " + std::to_string(generation_);
    return process_.launched() ? text + " (pid " + std::to_string(pid()) + ")" : text;
}

asio::awaitable<void> TemplateProcess::run() {
    co_await asio::this_coro::reset_cancellation_state(asio::disable_cancellation());
    try {
        const Result<void> started = co_await start();
        if (!started) {
            start_failure_ = started.error().message();
            shortage_ = shortage_of(started.error());
        } else {
            co_await process_.live(settings_->output);
        }
    } catch (const std::exception& error) {
        broken(std::string("serving it failed: ") + error.what());
    }
    if (process_.running()) {
        try {
            co_await process_.put_down();
        } catch (const std::exception& error) {
            context_.logger.error(
                "template.status_lost",
                {{"pool", settings_->name}, {"pid", pid()}, {"error", error.what()}});
        }
    }
    end_of_life();
    co_await process_.bury();
}

asio::awaitable<Result<void>> TemplateProcess::start() {
    Result<LaunchSpec> spec = make_template_spec(*settings_, context_);
    if (!spec) {
        co_return spec.error();
    }
    const Result<void> launched =
        co_await process_.launch(settings_->name, "template." + std::to_string(generation_),
                                 LeafLimits(), *context_.launcher, std::move(*spec));
    if (!launched) {
        co_return launched.error();
    }
    context_.logger.info("template.starting",
                         {{"pool", settings_->name}, {"generation", generation_}, {"pid", pid()}});
    if (own_act_) {  // asked for while it was being launched
        process_.kill();
    }
    co_return Result<void>();
}

void TemplateProcess::end_of_life() {
    if (process_.launched()) {
        process_.read_last_frames();
        process_.kill();
    }
    ExitEvidence evidence;
    evidence.own_act = own_act_;
    evidence.start_failure = start_failure_;
    evidence.status = process_.status();
    evidence.events = process_.events();
    state_ = State::gone;
    fail_requests();
    owner_.template_gone(*this, judge_exit(evidence));
}

void TemplateProcess::message_came(const ipc::Message& message, UniqueFd /*descriptor*/) {
    if (state_ == State::gone) {
        return;
    }
    if (const auto* answer = std::get_if<ipc::Forked>(&message);
        answer && state_ != State::starting) {
        forked(*answer);
    } else if (const auto* hello = std::get_if<ipc::Hello>(&message); hello && !greeted_) {
        greet(*hello);
    } else if (const auto* tasks = std::get_if<ipc::Register>(&message);
               tasks && greeted_ && state_ == State::starting) {
        if (!add_tasks(*tasks_being_read_, *tasks, *settings_)) {
            broken("it registers more than 10000 tasks");
        }
    } else if (const auto* unsafe = std::get_if<ipc::Unsafe>(&message);
               unsafe && greeted_ && state_ == State::starting) {
        for (const std::string_view finding : unsafe->findings) {
            if (findings_.size() < most_findings) {
                findings_.emplace_back(finding);
            }
        }
    } else if (std::holds_alternative<ipc::Ready>(message) && greeted_ && !tasks_->empty() &&
               state_ == State::starting) {
        state_ = State::ready;
        ready_at_ = context_.clock->now();
        fresh_ = memory_ = process_.sample().value_or(MemorySample{});
        owner_.template_ready(*this);
    } else if (const auto* failed = std::get_if<ipc::StartFailed>(&message);
               failed && state_ == State::starting) {
        start_failure_ =
            "start failed: " + std::string(failed->type) + ": " + std::string(failed->message);
    } else if (!std::holds_alternative<ipc::Pong>(message)) {
        broken("a message that has no place there came over its channel");
    }
}

void TemplateProcess::greet(const ipc::Hello& hello) {
    if (hello.role != ipc::Role::template_process || hello.version_min > ipc::protocol_version ||
        hello.version_max < ipc::protocol_version) {
        broken("its package supervise speaks another version of the protocol");
        return;
    }
    greeted_ = true;
    ipc::Welcome welcome;
    welcome.pool = settings_->name;
    welcome.software = software_name;
    process_.channel()->send(ipc::encode(welcome).bytes());
}

asio::awaitable<void> TemplateProcess::turn_to_fork() {
    while (state_ == State::ready && requests_.size() >= most_requests) {
        boost::system::error_code changed;
        co_await turn_.async_wait(asio::redirect_error(asio::use_awaitable, changed));
    }
}

asio::awaitable<Result<Launched>> TemplateProcess::launch(LaunchSpec spec) {
    co_await turn_to_fork();
    const std::uint32_t number = ++last_number_;
    Request request(context_.executor);
    request.sent_at = context_.clock->now();
    const BirthExpected birth;
    if (state_ != State::ready || !send_request(number, spec)) {
        co_return errno_error("fork a worker: the template has gone", {}, 0);
    }
    requests_[number] = &request;
    while (!request.answer) {
        boost::system::error_code changed;
        co_await request.changed.async_wait(asio::redirect_error(asio::use_awaitable, changed));
    }
    if (!*request.answer) {
        co_return request.answer->error();
    }
    co_return take_child(**request.answer);
}

bool TemplateProcess::send_request(std::uint32_t number, const LaunchSpec& spec) {
    // Whoever is not allowed to clone into a group may still join it by a descriptor that we have
    // opened (cgroups(7): the opener's credentials count, Linux 5.16 and its backports).
    const bool own_user = settings_->user.has_value();
    std::vector<int> descriptors{spec.channel, spec.mark, spec.out, spec.err};
    UniqueFd procs;
    ipc::Fork fork;
    fork.number = number;
    if (spec.cgroup_dir >= 0 && !own_user) {
        fork.born = true;
        descriptors.push_back(spec.cgroup_dir);
    } else if (spec.cgroup_dir >= 0) {
        procs.reset(::openat(spec.cgroup_dir, "cgroup.procs", O_WRONLY | O_CLOEXEC));
        if (procs) {
            ++fork.joins;
            descriptors.push_back(procs.get());
        }
    }
    if (spec.cgroup_v1_tasks >= 0) {
        ++fork.joins;
        descriptors.push_back(spec.cgroup_v1_tasks);
    }
    const ipc::Frame frame = ipc::encode(fork);
    switch (process_.channel()->send(frame.bytes(), descriptors)) {
        case ipc::Channel::SendStatus::sent:
            return true;
        case ipc::Channel::SendStatus::full:
            broken("it does not read its channel");
            return false;
        case ipc::Channel::SendStatus::closed:
            channel_ended_at_ = context_.clock->now();
            break;
    }
    return false;
}

void TemplateProcess::forked(const ipc::Forked& message) {
    const auto found = requests_.find(message.number);
    if (found == requests_.end()) {
        broken("it answered for a fork that it was not asked for");
        return;
    }
    Request& request = *found->second;
    requests_.erase(found);
    answered_at_ = context_.clock->now();
    if (message.pid == 0) {
        const int number = shortage_number(message.message.substr(0, message.message.find(':')));
        request.answer = number != 0
                             ? errno_error("fork a worker", {}, number)
                             : errno_error("fork a worker: " + std::string(message.message), {}, 0);
    } else {
        ++forks_;
        request.answer = static_cast<pid_t>(message.pid);
    }
    request.changed.cancel();
    turn_.cancel();
}

void TemplateProcess::fail_requests() {
    for (const auto& [number, request] : std::exchange(requests_, {})) {
        request->answer = errno_error("fork a worker: the template has gone", {}, 0);
        request->changed.cancel();
    }
    turn_.cancel();
}

void TemplateProcess::retire(Duration patience) {
    const TimePoint until = context_.clock->now() + patience;
    if (state_ == State::starting) {
        kill(Cause::shutdown, "not needed any more");
    } else if (state_ == State::retiring && retire_until_ != TimePoint{}) {
        retire_until_ = std::min(retire_until_, until);
    } else if (state_ == State::ready) {
        state_ = State::retiring;
        retire_until_ = until;
        process_.channel()->send(ipc::encode(ipc::Retire{}).bytes());
        turn_.cancel();
    }
}

void TemplateProcess::kill(Cause cause, std::string detail) {
    if (own_act_ || state_ == State::gone) {
        return;
    }
    own_act_ = OwnAct{cause, std::move(detail)};
    state_ = State::retiring;
    turn_.cancel();
    if (process_.running()) {
        process_.kill();
    }
}

Duration TemplateProcess::silence(TimePoint now) const {
    // Its requests are answered one after the other: the last answer was a sign of life, too.
    return requests_.empty() ? Duration{}
                             : now - std::max(requests_.begin()->second->sent_at, answered_at_);
}

void TemplateProcess::check(TimePoint now) {
    if (const std::optional<MemorySample> sample = process_.sample()) {
        memory_ = *sample;
    }
    const auto over = [now](TimePoint since, Duration limit) {
        return since != TimePoint{} && now - since > limit;
    };
    if (over(channel_ended_at_, exit_time)) {
        broken("it closed its channel and stays");
    } else if (state_ == State::starting && over(launched_at_, settings_->start_timeout)) {
        kill(Cause::exit, "not ready " + std::to_string(settings_->start_timeout.count()) +
                              " ms after its launch (start_timeout)");
    } else if (state_ == State::retiring && over(retire_until_, Duration{})) {
        kill(Cause::shutdown, "killed: it did not exit when it was told to");
    } else if (silence(now) > fork_time) {
        kill(Cause::exit, "killed: it did not fork within 20 s of being asked to");
    }
}

void TemplateProcess::broken(const std::string& what) {
    if (own_act_ || state_ == State::gone) {
        return;
    }
    context_.logger.error("template.protocol_error",
                          {{"pool", settings_->name}, {"pid", pid()}, {"error", what}});
    kill(Cause::exit, "killed by supervise: " + what);
}

void TemplateProcess::output_came(const char* stream, std::string_view line, bool cut,
                                  std::uint64_t dropped) {
    if (dropped > 0) {
        context_.logger.warning(
            "template.output_held_back",
            {{"pool", settings_->name}, {"pid", pid()}, {"stream", stream}, {"lines", dropped}});
        return;
    }
    context_.logger.info("template.output",
                         {{"pool", settings_->name},
                          {"pid", pid()},
                          {"stream", stream},
                          {"line", cut ? std::string(line) + " [cut]" : std::string(line)}});
}

}  // namespace supervise
