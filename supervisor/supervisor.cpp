// The supervisor from start to end. What it answers to the control plane is in
// supervisor_control.cpp.
#include "supervise/supervisor.hpp"

#include <unistd.h>

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <exception>

#include "process/orphans.hpp"
#include "python_package.hpp"
#include "supervisor_impl.hpp"

extern char** environ;

namespace supervise {
namespace asio = boost::asio;
using namespace std::chrono_literals;

namespace {

/// What a worker inherits: everything but what was meant for the supervisor alone. Other names that
/// begin with SUPERVISE_ are the application's: it may be a client of another supervise.
std::vector<std::string> worker_environment() {
    constexpr std::string_view ours[] = {"NOTIFY_SOCKET=", "WATCHDOG_", "LISTEN_",
                                         "SUPERVISE_PYTHON_PACKAGE=", "SUPERVISE_TIER="};
    std::vector<std::string> environment;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        const bool kept =
            std::none_of(std::begin(ours), std::end(ours),
                         [&](std::string_view start) { return text.starts_with(start); });
        if (kept) {
            environment.emplace_back(text);
        }
    }
    return environment;
}

std::optional<Tier> tier_of(std::optional<char> letter) {
    return letter ? std::optional(static_cast<Tier>(*letter - 'A')) : std::nullopt;
}

}  // namespace

Supervisor::Impl::Impl(asio::any_io_executor executor, Settings settings, Hooks hooks)
    : executor_(executor),
      settings_(std::move(settings)),
      hooks_(std::move(hooks)),
      clock_(hooks_.clock != nullptr ? *hooks_.clock : system_clock()),
      started_at_(clock_.now()),
      random_(std::random_device{}()),
      stop_asked_(executor, asio::steady_timer::time_point::max()),
      pool_group_(executor),
      control_group_(executor) {}

Supervisor::Impl::~Impl() = default;

bool Supervisor::Impl::lets_others_in(const Settings& settings) {
    bool others = !settings.supervisor.operators.empty();
    for (const PoolSettings& pool : settings.pools) {
        others = others || !pool.clients.empty() || (pool.front && pool.user);
    }
    return others;
}

void Supervisor::Impl::find_owners() {
    owners_.clear();
    for (const PoolSettings& pool : settings_.pools) {
        if (pool.front && pool.user) {
            for (const uid_t user : uids_of({*pool.user})) {
                owners_.emplace(user, pool.name);
            }
        }
    }
}

std::vector<std::string> Supervisor::Impl::pools_of(uid_t user) {
    std::vector<std::string> names;
    const auto [first, last] = owners_.equal_range(user);
    for (auto owner = first; owner != last; ++owner) {
        names.push_back(owner->second);
    }
    return names;
}

PoolContext Supervisor::Impl::pool_context() {
    PoolContext context;
    context.executor = executor_;
    context.clock = &clock_;
    context.launcher = &system_launcher();
    context.cgroups = cgroups_.get();
    context.logger = hooks_.logger;
    context.random = &random_;
    context.last_job_id = &last_job_id_;
    context.runtime_dir = settings_.supervisor.runtime_dir;
    context.package_dir = package_dir_;
    context.environment = worker_environment();
    context.limits = hooks_.limits;
    context.config_error = [this](const std::string& message) { config_error(message); };
    return context;
}

asio::awaitable<void> Supervisor::Impl::run() {
    try {
        open();
    } catch (...) {
        pools_.clear();
        http_.reset();
        if (cgroups_) {
            cgroups_->remove_all();
        }
        runtime_dir_.reset();
        throw;
    }
    hooks_.logger.info("supervise.started", {{"version", SUPERVISE_VERSION},
                                             {"pid", ::getpid()},
                                             {"tier", std::string(1, letter(cgroups_->tier()))},
                                             {"tier_reason", cgroups_->reason()},
                                             {"runtime_dir", settings_.supervisor.runtime_dir},
                                             {"pools", pools_.size()}});
    if (stopping_) {  // asked before there was anything to stop
        for (Pool& pool : pools_) {
            pool.stop();
        }
    }
    control_group_.spawn("control plane", http_->run());
    control_group_.spawn("housekeeping", keep_house());
    for (auto pool = pools_.begin(); pool != pools_.end(); ++pool) {
        pool_group_.spawn("pool " + pool->settings().name, run_pool(pool));
    }
    if (!stopping_) {
        boost::system::error_code asked;
        co_await stop_asked_.async_wait(asio::redirect_error(asio::use_awaitable, asked));
    }
    co_await pool_group_.join();
    control_group_.cancel();
    co_await control_group_.join();
    sweep_orphans();
    http_.reset();
    cgroups_->remove_all();
    hooks_.logger.info("supervise.stopped", {{"jobs", last_job_id_}});
    runtime_dir_.reset();
    if (!impossible_settings_.empty()) {
        throw StartError(impossible_settings_, 78);
    }
}

void Supervisor::Impl::open() {
    const Result<std::string> package = python_package_dir();
    if (!package) {
        throw StartError(package.error().message(), 1);
    }
    package_dir_ = *package;
    Result<RuntimeDir> directory =
        RuntimeDir::open(settings_.supervisor.runtime_dir, lets_others_in(settings_));
    if (!directory) {
        const bool busy = directory.error().code == boost::system::errc::operation_would_block;
        throw StartError(directory.error().message(), busy ? 75 : 1);
    }
    runtime_dir_.emplace(std::move(*directory));
    if (hooks_.adopt_orphans && !children_now().empty()) {
        // Started by `exec` from a shell with children of its own: they are none of our business.
        hooks_.adopt_orphans = false;
        hooks_.logger.warning("supervise.not_alone",
                              {{"reason",
                                "this process had children before it became supervise; "
                                "orphans of workers are left to init"}});
    }
    if (hooks_.adopt_orphans) {
        become_subreaper();
    }
    cgroups_ = open_cgroups(settings_.supervisor.cgroup_root, tier_of(hooks_.tier), hooks_.logger);

    control::HttpServer::Options options;
    options.runtime_dir = settings_.supervisor.runtime_dir;
    options.listen = settings_.supervisor.listen;
    options.operators = uids_of(settings_.supervisor.operators);
    find_owners();
    options.for_owners = !owners_.empty();
    http_ = std::make_unique<control::HttpServer>(executor_, *this, clock_, hooks_.logger,
                                                  std::move(options));
    if (const Result<void> opened = http_->open(); !opened) {
        throw StartError(opened.error().message(), 1);
    }
    for (const PoolSettings& pool : settings_.pools) {
        add_pool(pools_, pool);
    }
}

void Supervisor::Impl::add_pool(std::list<Pool>& pools, PoolSettings settings) {
    pools.emplace_back(pool_context(), std::move(settings));
    if (const Result<void> opened = pools.back().open(); !opened) {
        pools.pop_back();
        throw StartError(opened.error().message(), 1);
    }
}

asio::awaitable<void> Supervisor::Impl::run_pool(std::list<Pool>::iterator pool) {
    try {
        co_await pool->run();
    } catch (const std::exception& error) {
        // Its workers would be left to nobody. Better to end at once: they finish their job and go.
        hooks_.logger.error("supervise.broken",
                            {{"pool", pool->settings().name}, {"error", error.what()}});
        std::terminate();
    }
    hooks_.logger.info("pool.stopped", {{"pool", pool->settings().name}});
    pools_.erase(pool);
}

asio::awaitable<void> Supervisor::Impl::keep_house() {
    for (;;) {
        co_await clock_.sleep_for(1s);
        sweep_orphans();
    }
}

void Supervisor::Impl::sweep_orphans() {
    if (!hooks_.adopt_orphans) {
        return;
    }
    const std::size_t reaped = reap_orphans([this](pid_t pid) {
        return std::any_of(pools_.begin(), pools_.end(),
                           [pid](const Pool& pool) { return pool.owns(pid); });
    });
    if (reaped > 0) {
        hooks_.logger.debug("supervise.orphans", {{"reaped", reaped}});
    }
}

void Supervisor::Impl::stop() {
    if (stopping_) {
        return;
    }
    stopping_ = true;
    hooks_.logger.info("supervise.stopping", {});
    for (Pool& pool : pools_) {
        pool.stop();
    }
    stop_asked_.cancel();
}

void Supervisor::Impl::hurry() {
    stop();
    hooks_.logger.warning("supervise.hurrying", {});
    for (Pool& pool : pools_) {
        pool.hurry();
    }
}

void Supervisor::Impl::kill() {
    stop();
    hooks_.logger.warning("supervise.killing", {{"reason", "whoever had started it is gone"}});
    for (Pool& pool : pools_) {
        pool.kill();
    }
}

void Supervisor::Impl::config_error(const std::string& message) {
    // Settings that were good enough to run with must not end the service on a reload.
    const bool served = std::any_of(pools_.begin(), pools_.end(), [](const Pool& pool) {
        return pool.snapshot().attempts.done > 0;
    });
    if (!served && !stopping_ && !reloaded_) {
        impossible_settings_ = message;
        stop();
        hurry();
    }
}

Supervisor::Supervisor(asio::any_io_executor executor, Settings settings, Hooks hooks)
    : impl_(std::make_unique<Impl>(executor, std::move(settings), std::move(hooks))) {}

Supervisor::~Supervisor() = default;

asio::awaitable<void> Supervisor::run() { return impl_->run(); }
void Supervisor::stop() { impl_->stop(); }
void Supervisor::hurry() { impl_->hurry(); }
void Supervisor::kill() { impl_->kill(); }
void Supervisor::reload() { impl_->reload_and_log(); }
void Supervisor::log_state() const { impl_->log_state(); }
Snapshot Supervisor::snapshot() const { return impl_->snapshot(); }

Result<JobId> Supervisor::submit(const std::string& pool, const std::string& task,
                                 const std::vector<JobArgument>& ids, unsigned priority) {
    const ApiResult<JobId> answer = impl_->submit(pool, task, ids, priority);
    if (!answer) {
        return Error{
            boost::system::errc::make_error_code(boost::system::errc::operation_not_permitted),
            "submit", answer.error().message};
    }
    return *answer;
}

asio::awaitable<Result<JobOutcome>> Supervisor::submit_and_wait(std::string pool, std::string task,
                                                                std::vector<JobArgument> ids,
                                                                unsigned priority) {
    const ApiResult<JobEnd> answer =
        co_await impl_->submit_and_wait(std::move(pool), std::move(task), std::move(ids), priority);
    if (!answer) {
        co_return Error{
            boost::system::errc::make_error_code(boost::system::errc::operation_not_permitted),
            "submit", answer.error().message};
    }
    JobOutcome outcome;
    outcome.id = answer->id;
    outcome.state = answer->state;
    outcome.attempts = answer->attempts;
    const std::optional<ipc::Report> report = ipc::decode_report(answer->report);
    if (report && std::holds_alternative<ipc::Value>(*report)) {
        const std::string_view id = std::get<ipc::Value>(*report).id;
        outcome.result = id.empty() ? std::nullopt : ipc::decode_id(id);
    } else if (report && std::holds_alternative<ipc::Failure>(*report)) {
        const auto& failure = std::get<ipc::Failure>(*report);
        outcome.error = std::string(failure.type) + ": " + std::string(failure.message);
    } else if (report) {
        const auto& loss = std::get<ipc::Loss>(*report);
        outcome.error = std::string(name_of(loss.cause)) + ": " + std::string(loss.detail);
    }
    co_return outcome;
}

}  // namespace supervise
