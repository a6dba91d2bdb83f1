// Supervisor: what the control plane asks of it.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>

#include "base/control_file.hpp"
#include "settings_diff.hpp"
#include "supervisor_impl.hpp"

namespace supervise {
namespace asio = boost::asio;

namespace {

std::uint64_t own_rss() {
    const Result<std::string> statm = read_control_file(AT_FDCWD, "/proc/self/statm");
    if (!statm) {
        return 0;
    }
    const std::size_t first = statm->find(' ');
    const std::size_t second = statm->find(' ', first + 1);
    const auto pages = parse_counter(statm->substr(first, second - first));
    return pages.value_or(0) * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

ApiError refusal(const Rejection& rejection) {
    switch (rejection.reason) {
        case ipc::Refusal::queue_full:
            return {429, "queue_full", rejection.message};
        case ipc::Refusal::unknown_task:
            return {404, "unknown_task", rejection.message};
        case ipc::Refusal::stopping:
            return {503, "stopping", rejection.message};
        case ipc::Refusal::degraded:
            return {503, "degraded", rejection.message};
        default:
            return {400, "refused", rejection.message};
    }
}

/// Waits for one job that came through the control plane. Lives in the waiting coroutine.
class Waiter final : public Submitter {
  public:
    explicit Waiter(const asio::any_io_executor& executor)
        : ended_(executor, asio::steady_timer::time_point::max()) {}

    void job_ended(JobId id, JobState state, unsigned attempts, std::string_view report) override {
        end_ = JobEnd{id, state, attempts, std::string(report)};
        ended_.cancel();
    }
    asio::awaitable<JobEnd> wait() {
        while (!end_) {
            boost::system::error_code ended;
            co_await ended_.async_wait(asio::redirect_error(asio::use_awaitable, ended));
            const auto state = co_await asio::this_coro::cancellation_state;
            if (state.cancelled() != asio::cancellation_type::none) {
                throw boost::system::system_error(asio::error::operation_aborted);
            }
        }
        co_return *end_;
    }

  private:
    std::optional<JobEnd> end_;
    asio::steady_timer ended_;
};

}  // namespace

ApiResult<Pool*> Supervisor::Impl::find(const std::string& name) {
    std::string known;
    for (Pool& pool : pools_) {
        if (pool.settings().name == name) {
            return &pool;
        }
        known += (known.empty() ? "" : ", ") + pool.settings().name;
    }
    return ApiError{404, "unknown_pool", "there is no pool " + name + "; there is: " + known};
}

Snapshot Supervisor::Impl::snapshot() {
    Snapshot result;
    result.pid = ::getpid();
    result.version = SUPERVISE_VERSION;
    if (cgroups_) {
        result.tier = letter(cgroups_->tier());
        result.tier_reason = cgroups_->reason();
        result.features = cgroups_->features();
    }
    result.uptime_seconds = std::chrono::duration<double>(clock_.now() - started_at_).count();
    result.rss_bytes = own_rss();
    result.stopping = stopping_;
    for (const Pool& pool : pools_) {
        result.pools.push_back(pool.snapshot());
    }
    return result;
}

ApiResult<JobId> Supervisor::Impl::submit_for(Submitter* submitter, const std::string& name,
                                              const std::string& task,
                                              const std::vector<ipc::Id>& ids, unsigned priority) {
    const ApiResult<Pool*> pool = find(name);
    if (!pool) {
        return pool.error();
    }
    if (priority > 9) {
        return ApiError{400, "bad_request", "priority is 0 to 9"};
    }
    const std::optional<std::string> args = ipc::encode_args(ids);
    if (!args || 1 + task.size() + args->size() > ipc::max_call) {
        return ApiError{413, "too_large",
                        "the arguments do not fit: at most 100 IDs, 960 bytes, 990 with the task's "
                        "name, a text ID at "
                        "most 255; keep the data in a store and pass its ID"};
    }
    JobDesk::Request request;
    request.task = task;
    request.args = *args;
    request.priority = static_cast<std::uint8_t>(priority);
    request.submitter = submitter;
    std::variant<JobId, Rejection> answer = (*pool)->submit(std::move(request));
    if (const auto* rejection = std::get_if<Rejection>(&answer)) {
        return refusal(*rejection);
    }
    return std::get<JobId>(answer);
}

ApiResult<JobId> Supervisor::Impl::submit(const std::string& pool, const std::string& task,
                                          const std::vector<ipc::Id>& ids, unsigned priority) {
    return submit_for(nullptr, pool, task, ids, priority);
}

asio::awaitable<ApiResult<JobEnd>> Supervisor::Impl::submit_and_wait(std::string pool,
                                                                     std::string task,
                                                                     std::vector<ipc::Id> ids,
                                                                     unsigned priority) {
    Waiter waiter(executor_);
    const ApiResult<JobId> id = submit_for(&waiter, pool, task, ids, priority);
    if (!id) {
        co_return id.error();
    }
    try {
        JobEnd end = co_await waiter.wait();
        co_return end;
    } catch (...) {
        for (Pool& each : pools_) {
            each.forget(*id);
        }
        throw;
    }
}

ApiResult<unsigned> Supervisor::Impl::recycle(const std::string& name,
                                              std::optional<unsigned> slot) {
    const ApiResult<Pool*> pool = find(name);
    if (!pool) {
        return pool.error();
    }
    return (*pool)->recycle(slot);
}

ApiResult<unsigned> Supervisor::Impl::renew_template(const std::string& name) {
    const ApiResult<Pool*> pool = find(name);
    if (!pool) {
        return pool.error();
    }
    return (*pool)->renew_template();
}

ApiResult<unsigned> Supervisor::Impl::recycle_front(const std::string& name) {
    const ApiResult<Pool*> pool = find(name);
    if (!pool) {
        return pool.error();
    }
    return (*pool)->recycle_front();
}

ApiResult<void> Supervisor::Impl::scale(const std::string& name, unsigned workers) {
    const ApiResult<Pool*> pool = find(name);
    if (!pool) {
        return pool.error();
    }
    return (*pool)->scale(workers);
}

ApiResult<void> Supervisor::Impl::set_max(const std::string& name, unsigned workers) {
    const ApiResult<Pool*> pool = find(name);
    if (!pool) {
        return pool.error();
    }
    return (*pool)->set_max(workers);
}

ApiResult<void> Supervisor::Impl::pause(const std::string& name) {
    const ApiResult<Pool*> pool = find(name);
    if (!pool) {
        return pool.error();
    }
    (*pool)->pause();
    return {};
}

ApiResult<void> Supervisor::Impl::resume(const std::string& name) {
    const ApiResult<Pool*> pool = find(name);
    if (!pool) {
        return pool.error();
    }
    (*pool)->resume();
    return {};
}

ApiResult<Explanation> Supervisor::Impl::why_job(JobId id) {
    for (const Pool& pool : pools_) {
        if (std::optional<Explanation> found = pool.why_job(id)) {
            return *found;
        }
    }
    const std::string id_text = std::to_string(id);
    return ApiError{
        404, "unknown_job",
        id == 0 || id > last_job_id_
            ? "there was no job " + id_text
            : "job " + id_text + " has ended, and its record has made room for later ones"};
}

ApiResult<Explanation> Supervisor::Impl::why_worker(const std::string& name, unsigned slot) {
    const ApiResult<Pool*> pool = find(name);
    if (!pool) {
        return pool.error();
    }
    return (*pool)->why_worker(slot);
}

ApiResult<ReloadReport> Supervisor::Impl::reload() {
    if (stopping_) {
        return ApiError{503, "stopping", "the supervisor is stopping"};
    }
    if (!hooks_.reload) {
        return ApiError{501, "no_reload", "this supervisor was not started from a config file"};
    }
    std::variant<Settings, std::string> answer = hooks_.reload();
    if (const auto* error = std::get_if<std::string>(&answer)) {
        return ApiError{422, "bad_config", *error};
    }
    Settings& settings = std::get<Settings>(answer);
    const std::vector<std::string> fixed = changes_that_need_a_restart(settings_, settings);
    if (!fixed.empty()) {
        std::string text;
        for (const std::string& change : fixed) {
            text += (text.empty() ? "" : "; ") + change;
        }
        return ApiError{409, "needs_restart", "nothing was applied; this needs a restart: " + text};
    }
    for (const Pool& pool : pools_) {
        if (pool.stopping()) {
            return ApiError{409, "busy",
                            "pool " + pool.settings().name +
                                " is still stopping after an earlier reload; try again"};
        }
    }
    ReloadReport report;
    report.changes = describe_changes(settings_, settings);
    try {
        const std::vector<std::string> more = apply(std::move(settings));
        report.changes.insert(report.changes.end(), more.begin(), more.end());
    } catch (const StartError& error) {
        return ApiError{500, "failed", error.what()};
    }
    return report;
}

/// A reload is for changed code, too, which a template would never see.
std::string Supervisor::Impl::renew_for_reload(Pool& pool) {
    const ApiResult<unsigned> generation = pool.renew_template();
    return "pool " + pool.settings().name + ": its template " +
           (generation ? "imports the application anew"
                       : "stays as it is: " + generation.error().message);
}

std::vector<std::string> Supervisor::Impl::apply(Settings settings) {
    const auto find_in = [](const Settings& file, const std::string& name) -> const PoolSettings* {
        for (const PoolSettings& pool : file.pools) {
            if (pool.name == name) {
                return &pool;
            }
        }
        return nullptr;
    };
    // Sockets first: what can fail does so before anything is touched.
    std::list<Pool> added;
    for (const PoolSettings& pool : settings.pools) {
        if (find_in(settings_, pool.name) == nullptr) {
            add_pool(added, pool);
        }
    }
    reloaded_ = true;
    if (lets_others_in(settings)) {
        runtime_dir_->let_others_in();
    }
    std::vector<std::string> done;
    for (Pool& pool : pools_) {
        const std::string& name = pool.settings().name;
        const PoolSettings* before = find_in(settings_, name);
        const PoolSettings* after = find_in(settings, name);
        if (after == nullptr) {
            pool.stop();
        } else if (before != nullptr && !(*before == *after)) {
            PoolSettings next = *after;
            if (before->min_workers == next.min_workers &&
                before->max_workers == next.max_workers) {
                // What `supervise scale` has set stays until the file says another size.
                next.min_workers = pool.settings().min_workers;
                next.max_workers = pool.settings().max_workers;
            }
            pool.apply(std::move(next));
        } else if (before != nullptr && after->preload) {
            done.push_back(renew_for_reload(pool));
        }
    }
    for (auto pool = added.begin(); pool != added.end(); ++pool) {
        pool_group_.spawn("pool " + pool->settings().name, run_pool(pool));
    }
    pools_.splice(pools_.end(), added);
    settings_ = std::move(settings);
    find_owners();
    if (!owners_.empty()) {
        http_->let_owners_in();
    }
    return done;
}

void Supervisor::Impl::reload_and_log() {
    const ApiResult<ReloadReport> report = reload();
    if (!report) {
        hooks_.logger.error("reload.refused", {{"error", report.error().message}});
        return;
    }
    for (const std::string& change : report->changes) {
        hooks_.logger.info("reload.changed", {{"change", change}});
    }
    hooks_.logger.info("reload.done", {{"changes", report->changes.size()}});
}

void Supervisor::Impl::log_state() {
    const Snapshot now = snapshot();
    for (const PoolSnapshot& pool : now.pools) {
        hooks_.logger.info("state.pool", {{"pool", pool.name},
                                          {"state", pool.state},
                                          {"queued", pool.jobs.queued},
                                          {"running", pool.jobs.running},
                                          {"done", pool.jobs.done},
                                          {"failed", pool.jobs.failed},
                                          {"lost", pool.jobs.lost},
                                          {"dead", pool.jobs.dead}});
        for (const TemplateSnapshot& each : pool.templates) {
            hooks_.logger.info("state.template", {{"pool", pool.name},
                                                  {"generation", each.generation},
                                                  {"pid", each.pid},
                                                  {"state", each.state},
                                                  {"forks", each.forks},
                                                  {"workers", each.workers},
                                                  {"rss", each.rss_bytes},
                                                  {"private", each.private_bytes}});
        }
        for (const FrontSnapshot& each : pool.fronts) {
            hooks_.logger.info("state.front", {{"pool", pool.name},
                                               {"front", each.incarnation},
                                               {"pid", each.pid},
                                               {"node", each.node},
                                               {"state", each.state},
                                               {"rss", each.rss_bytes},
                                               {"private", each.private_bytes}});
        }
        for (const WorkerSnapshot& worker : pool.workers) {
            hooks_.logger.info("state.worker", {{"pool", pool.name},
                                                {"slot", worker.slot},
                                                {"incarnation", worker.incarnation},
                                                {"pid", worker.pid},
                                                {"state", worker.state},
                                                {"job", worker.job_id.value_or(0)},
                                                {"jobs", worker.jobs_done},
                                                {"rss", worker.rss_bytes},
                                                {"private", worker.private_bytes}});
        }
    }
}

}  // namespace supervise
