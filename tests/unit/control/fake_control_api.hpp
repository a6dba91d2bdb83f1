#pragma once

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <condition_variable>
#include <functional>
#include <mutex>

#include "supervisor/pool/control_api.hpp"

namespace supervise::test {

inline Snapshot sample_snapshot() {
    WorkerSnapshot busy;
    busy.slot = 1;
    busy.incarnation = 3;
    busy.pid = 4712;
    busy.state = "busy";
    busy.task = "reports.tasks.build";
    busy.job_id = 812;
    busy.jobs_done = 912;
    busy.age_seconds = 3725.5;
    busy.rss_bytes = 312ULL << 20;
    busy.private_bytes = 120ULL << 20;
    busy.generation = 2;
    WorkerSnapshot idle;
    idle.slot = 2;
    idle.incarnation = 1;
    idle.pid = 4713;
    idle.state = "idle";
    idle.jobs_done = 7;
    idle.age_seconds = 61;
    idle.rss_bytes = 58ULL << 20;
    idle.private_bytes = 21ULL << 20;
    idle.successor = true;

    PoolSnapshot pool;
    pool.name = "reports";
    pool.state = "running";
    pool.workers_wanted = 2;
    pool.workers = {busy, idle};
    pool.jobs = {12, 1, 81'234, 3, 2, 1};
    pool.attempts = {81'234, 5, 4};
    pool.recycles = {{"max_tasks", 12}, {"max_rss", 1}};
    pool.restarts = {{"signal", 2}};
    pool.slot_gap = {0.0012, 0.008, 13};
    pool.clients = 4;
    pool.refused = 6;
    pool.trims = 9;
    pool.trimmed_bytes = 700ULL << 20;

    Snapshot snapshot;
    snapshot.pid = 4711;
    snapshot.version = "0.1.0";
    snapshot.tier = 'B';
    snapshot.tier_reason = "the memory controller is on cgroup v1";
    snapshot.features = {"kill: on (cgroup.kill)"};
    snapshot.uptime_seconds = 8040.25;
    snapshot.rss_bytes = 12ULL << 20;
    snapshot.pools = {pool};
    return snapshot;
}

/// The sample with a template that serves, an older one whose last worker still runs, and a spare.
inline Snapshot forked_snapshot() {
    TemplateSnapshot serving;
    serving.state = "ready";
    serving.generation = 3;
    serving.pid = 4720;
    serving.age_seconds = 120.5;
    serving.rss_bytes = 96ULL << 20;
    serving.private_bytes = 81ULL << 20;
    serving.forks = 212;
    serving.workers = 2;
    TemplateSnapshot old = serving;
    old.state = "retiring";
    old.generation = 2;
    old.pid = 4710;
    old.forks = 1;
    old.workers = 1;
    WorkerSnapshot spare;
    spare.pid = 4730;
    spare.state = "idle";
    spare.age_seconds = 2;
    spare.rss_bytes = 40ULL << 20;
    spare.private_bytes = 5ULL << 20;
    spare.generation = 3;

    Snapshot snapshot = sample_snapshot();
    PoolSnapshot& pool = snapshot.pools[0];
    pool.workers.insert(pool.workers.begin(), spare);
    pool.workers[2].generation = 3;
    pool.generation = 3;
    pool.templates = {serving, old};
    pool.template_forks = 300;
    return snapshot;
}

/// The sample as a Celery pool, in which a second front has just taken over.
inline Snapshot fronted_snapshot() {
    FrontSnapshot serving;
    serving.incarnation = 2;
    serving.node = "reports-2@host";
    serving.state = "ready";
    serving.pid = 4741;
    serving.age_seconds = 61;
    serving.rss_bytes = 54ULL << 20;
    serving.private_bytes = 43ULL << 20;
    FrontSnapshot old = serving;
    old.incarnation = 1;
    old.node = "reports@host";
    old.state = "stopping";
    old.pid = 4740;
    old.rss_bytes = 406ULL << 20;

    Snapshot snapshot = sample_snapshot();
    PoolSnapshot& pool = snapshot.pools[0];
    pool.fronts = {serving, old};
    pool.front_recycles = {{"max_rss", 1}};
    pool.front_restarts = {{"signal", 3}};
    return snapshot;
}

/// One pool "reports" with the task "reports.tasks.build"; writes down what it was asked. Used from
/// the server's thread and the test's.
class FakeControlApi final : public ControlApi {
  public:
    Snapshot current = sample_snapshot();
    JobEnd end{812, JobState::done, 1, ipc::encode_report(ipc::Value{})};
    bool hold_jobs = false;  ///< submit_and_wait() never ends by itself
    bool queue_full = false;
    bool has_template = true;
    bool has_front = true;
    std::optional<uid_t> owner;  ///< of pool "reports"
    std::optional<ApiError> reload_error;
    std::function<void()> on_snapshot = [] {};

    /// Waits until `call` has been written down.
    bool wait_for(const std::string& call) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, std::chrono::seconds(20), [&] {
            return std::find(calls_.begin(), calls_.end(), call) != calls_.end();
        });
    }
    std::vector<std::string> calls() {
        const std::lock_guard lock(mutex_);
        return calls_;
    }

    Snapshot snapshot() override {
        on_snapshot();
        return current;
    }

    std::vector<std::string> pools_of(uid_t user) override {
        return user == owner ? std::vector<std::string>{"reports"} : std::vector<std::string>();
    }

    ApiResult<JobId> submit(const std::string& pool, const std::string& task,
                            const std::vector<ipc::Id>& ids, unsigned priority) override {
        std::string call = "submit " + pool + ' ' + task;
        for (const ipc::Id& id : ids) {
            call += ' ' + std::to_string(id.index()) + ':' + ipc::to_string(id);
        }
        note(call + " priority " + std::to_string(priority));
        if (pool != "reports") {
            return unknown_pool(pool);
        }
        if (task != "reports.tasks.build") {
            return ApiError(404, "unknown_task",
                            "no task \"" + task + "\"; did you mean reports.tasks.build?");
        }
        if (queue_full) {
            return ApiError(429, "queue_full", "10000 jobs wait already");
        }
        return end.id;
    }

    boost::asio::awaitable<ApiResult<JobEnd>> submit_and_wait(std::string pool, std::string task,
                                                              std::vector<ipc::Id> ids,
                                                              unsigned priority) override {
        const auto id = submit(pool, task, ids, priority);
        if (!id) {
            co_return id.error();
        }
        if (hold_jobs) {
            struct Left {
                FakeControlApi* api;
                ~Left() { api->note("waiter left"); }
            } left{this};
            note("waiting");
            const auto executor = co_await boost::asio::this_coro::executor;
            boost::asio::steady_timer never(executor, boost::asio::steady_timer::time_point::max());
            co_await never.async_wait(boost::asio::use_awaitable);
        }
        co_return end;
    }

    ApiResult<unsigned> recycle(const std::string& pool, std::optional<unsigned> slot) override {
        note("recycle " + pool + (slot ? '/' + std::to_string(*slot) : ""));
        if (pool != "reports") {
            return unknown_pool(pool);
        }
        if (slot && *slot > 2) {
            return ApiError(404, "unknown_slot", "pool reports has slots 1 to 2");
        }
        return slot ? 1U : 2U;
    }
    ApiResult<unsigned> recycle_front(const std::string& pool) override {
        note("recycle_front " + pool);
        if (pool != "reports") {
            return unknown_pool(pool);
        }
        if (!has_front) {
            return ApiError(409, "no_front", "supervise does not run a front for pool reports");
        }
        return 3U;
    }
    ApiResult<unsigned> renew_template(const std::string& pool) override {
        note("renew_template " + pool);
        if (pool != "reports") {
            return unknown_pool(pool);
        }
        if (!has_template) {
            return ApiError(409, "no_template", "pool reports has no template");
        }
        return 4U;
    }
    ApiResult<void> scale(const std::string& pool, unsigned workers) override {
        return change("scale", pool, ' ' + std::to_string(workers));
    }
    ApiResult<void> set_max(const std::string& pool, unsigned workers) override {
        return change("set_max", pool, ' ' + std::to_string(workers));
    }
    ApiResult<void> pause(const std::string& pool) override { return change("pause", pool); }
    ApiResult<void> resume(const std::string& pool) override { return change("resume", pool); }
    ApiResult<ReloadReport> reload() override {
        note("reload");
        if (reload_error) {
            return *reload_error;
        }
        return ReloadReport{{"pool reports: recycle.max_tasks 1000 -> 500"}};
    }
    void stop() override { note("stop"); }

    ApiResult<Explanation> why_job(JobId id) override {
        if (id != 812) {
            return ApiError(404, "unknown_job", "no job " + std::to_string(id) + " is known");
        }
        Explanation attempt{"attempt 1", "lost: signal", {{"wait status", "killed by 9"}}, {}};
        return Explanation{"job 812", "done in its 2nd attempt", {{"state", "done"}}, {attempt}};
    }
    ApiResult<Explanation> why_worker(const std::string& pool, unsigned slot) override {
        if (pool != "reports") {
            return unknown_pool(pool);
        }
        return Explanation{"worker reports/" + std::to_string(slot), "busy", {}, {}};
    }

  private:
    static ApiError unknown_pool(const std::string& pool) {
        return {404, "unknown_pool", "no pool \"" + pool + "\"; there is reports"};
    }
    ApiResult<void> change(const std::string& what, const std::string& pool,
                           const std::string& rest = "") {
        note(what + ' ' + pool + rest);
        if (pool != "reports") {
            return unknown_pool(pool);
        }
        return {};
    }
    void note(std::string call) {
        const std::lock_guard lock(mutex_);
        calls_.push_back(std::move(call));
        changed_.notify_all();
    }

    std::mutex mutex_;
    std::condition_variable changed_;
    std::vector<std::string> calls_;
};

}  // namespace supervise::test
