#include "front_process.hpp"

#include <boost/asio/this_coro.hpp>
#include <chrono>
#include <csignal>
#include <utility>

#include "front_spec.hpp"
#include "process/shortage.hpp"
#include "recycle_policy.hpp"
#include "worker_spec.hpp"

namespace supervise {
namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

/// From the channel's end to the exit: it may be in the middle of a warm shutdown of its own.
constexpr Duration exit_time = 30s;

}  // namespace

FrontProcess::FrontProcess(PoolContext& context, FrontOwner& owner,
                           std::shared_ptr<const PoolSettings> settings, unsigned incarnation,
                           unsigned place)
    : context_(context),
      owner_(owner),
      settings_(std::move(settings)),
      incarnation_(incarnation),
      place_(place),
      node_(front_node(*settings_, place)),
      limits_(*settings_->front),
      launched_at_(context.clock->now()),
      process_(context, *this) {}

std::string FrontProcess::label() const {
    const std::string text = settings_->name + " front " + std::to_string(incarnation_);
    return process_.launched() ? text + " (pid " + std::to_string(pid()) + ")" : text;
}

asio::awaitable<void> FrontProcess::run() {
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
                "front.status_lost",
                {{"pool", settings_->name}, {"pid", pid()}, {"error", error.what()}});
        }
    }
    end_of_life();
    co_await process_.bury();
}

asio::awaitable<Result<void>> FrontProcess::start() {
    Result<LaunchSpec> spec = make_front_spec(*settings_, context_, node_);
    if (!spec) {
        co_return spec.error();
    }
    LeafLimits limits;
    if (settings_->front->hard) {
        memory_max_ = limits.memory_max = backstop(*settings_->front->hard);
    }
    const Result<void> launched =
        co_await process_.launch(settings_->name, "front." + std::to_string(incarnation_), limits,
                                 *context_.launcher, std::move(*spec));
    if (!launched) {
        co_return launched.error();
    }
    context_.logger.info(
        "front.starting",
        {{"pool", settings_->name}, {"front", incarnation_}, {"pid", pid()}, {"node", node_}});
    if (own_act_) {  // asked for while it was being launched
        process_.kill();
    }
    co_return Result<void>();
}

void FrontProcess::end_of_life() {
    if (process_.launched()) {
        process_.read_last_frames();
        process_.kill();
    }
    ExitEvidence evidence;
    evidence.own_act = own_act_;
    evidence.start_failure = start_failure_;
    evidence.status = process_.status();
    evidence.events = process_.events();
    evidence.memory_max = memory_max_;
    state_ = State::gone;
    owner_.front_gone(*this, judge_exit(evidence));
}

void FrontProcess::message_came(const ipc::Message& message, UniqueFd /*descriptor*/) {
    if (state_ == State::gone || state_ == State::stopping) {
        return;
    }
    if (const auto* hello = std::get_if<ipc::Hello>(&message); hello && state_ == State::starting) {
        greet(*hello);
    } else if (std::holds_alternative<ipc::Ready>(message) && state_ == State::connecting) {
        state_ = State::ready;
        ready_at_ = context_.clock->now();
        fresh_ = memory_ = process_.sample().value_or(MemorySample{});
        owner_.front_ready(*this);
    } else if (std::holds_alternative<ipc::Trimmed>(message) && trimming_) {
        trimming_ = false;
        memory_ = process_.sample().value_or(memory_);
        owner_.front_trimmed(*this);
    } else if (std::holds_alternative<ipc::Retire>(message) && state_ == State::ready) {
        state_ = State::stopping;
        left_ = true;
        stop_asked_at_ = context_.clock->now();
        owner_.front_leaves(*this);
    } else if (const auto* failed = std::get_if<ipc::StartFailed>(&message);
               failed && state_ == State::starting) {
        start_failure_ =
            "start failed: " + std::string(failed->type) + ": " + std::string(failed->message);
    } else if (!std::holds_alternative<ipc::Pong>(message)) {
        broken("a message that has no place there came over its channel");
    }
}

void FrontProcess::greet(const ipc::Hello& hello) {
    if (hello.role != ipc::Role::front || hello.version_min > ipc::protocol_version ||
        hello.version_max < ipc::protocol_version) {
        broken("its package supervise speaks another version of the protocol");
        return;
    }
    state_ = State::connecting;
    ipc::Welcome welcome;
    welcome.pool = settings_->name;
    welcome.software = software_name;
    process_.channel()->send(ipc::encode(welcome).bytes());
}

void FrontProcess::trim() {
    trimming_ = true;
    trim_asked_at_ = context_.clock->now();
    before_trim_ = memory_;
    process_.channel()->send(ipc::encode(ipc::Trim{}).bytes());
}

void FrontProcess::stop() {
    if (state_ == State::starting) {
        kill(Cause::shutdown, "not needed any more");
    } else if (state_ == State::connecting || state_ == State::ready) {
        state_ = State::stopping;
        stop_asked_at_ = context_.clock->now();
        process_.signal(SIGTERM);
    }
}

void FrontProcess::hurry() {
    stop();
    process_.signal(SIGQUIT);
}

void FrontProcess::kill(Cause cause, std::string detail) {
    if (own_act_ || state_ == State::gone) {
        return;
    }
    own_act_ = OwnAct{cause, std::move(detail)};
    state_ = State::stopping;
    if (process_.running()) {
        process_.kill();
    }
}

bool FrontProcess::ended_well() const {
    const std::optional<ExitStatus> status = process_.status();
    return !own_act_ && status && status->clean();
}

void FrontProcess::check(TimePoint now) {
    if (const std::optional<MemorySample> sample = process_.sample()) {
        memory_ = *sample;
    }
    if (limits_.hard && memory_.private_bytes >= *limits_.hard) {
        kill(Cause::memory_hard_limit,
             "killed by supervise: private memory of " + bytes_text(memory_.private_bytes) +
                 " reached front.memory.hard = " + bytes_text(*limits_.hard));
    } else if (channel_ended_at_ != TimePoint{} && now - channel_ended_at_ > exit_time) {
        broken("it closed its channel and stays");
    } else if (state_ == State::starting && now - launched_at_ > settings_->start_timeout) {
        kill(Cause::exit, "the application was not imported " +
                              std::to_string(settings_->start_timeout.count()) +
                              " ms after its launch (start_timeout)");
    }
}

void FrontProcess::check_stop(TimePoint now) {
    if (stop_asked_at_ != TimePoint{} && now - stop_asked_at_ > limits_.stop_timeout) {
        kill(Cause::shutdown,
             "killed: it still held tasks when its stop_timeout was over; they go "
             "on");
    }
}

void FrontProcess::broken(const std::string& what) {
    if (own_act_ || state_ == State::gone) {
        return;
    }
    context_.logger.error("front.protocol_error",
                          {{"pool", settings_->name}, {"pid", pid()}, {"error", what}});
    kill(Cause::exit, "killed by supervise: " + what);
}

void FrontProcess::output_came(const char* stream, std::string_view line, bool cut,
                               std::uint64_t dropped) {
    if (dropped > 0) {
        context_.logger.warning(
            "front.output_held_back",
            {{"pool", settings_->name}, {"pid", pid()}, {"stream", stream}, {"lines", dropped}});
        return;
    }
    context_.logger.info("front.output",
                         {{"pool", settings_->name},
                          {"pid", pid()},
                          {"stream", stream},
                          {"line", cut ? std::string(line) + " [cut]" : std::string(line)}});
}

}  // namespace supervise
