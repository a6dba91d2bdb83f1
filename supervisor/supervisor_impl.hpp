#pragma once

#include <list>
#include <map>

#include "base/task_group.hpp"
#include "control/http_server.hpp"
#include "pool/control_api.hpp"
#include "pool/pool.hpp"
#include "runtime_dir.hpp"
#include "supervise/supervisor.hpp"

namespace supervise {

/// Owns everything: runtime directory, cgroups, pools, control plane. See supervisor.hpp.
class Supervisor::Impl final : public ControlApi {
  public:
    Impl(boost::asio::any_io_executor executor, Settings settings, Hooks hooks);
    ~Impl() override;

    boost::asio::awaitable<void> run();
    void stop() override;
    void hurry();
    void kill();
    void reload_and_log();
    void log_state();

    Snapshot snapshot() override;
    std::vector<std::string> pools_of(uid_t user) override;
    ApiResult<JobId> submit(const std::string& pool, const std::string& task,
                            const std::vector<ipc::Id>& ids, unsigned priority) override;
    boost::asio::awaitable<ApiResult<JobEnd>> submit_and_wait(std::string pool, std::string task,
                                                              std::vector<ipc::Id> ids,
                                                              unsigned priority) override;
    ApiResult<unsigned> recycle(const std::string& pool, std::optional<unsigned> slot) override;
    ApiResult<unsigned> renew_template(const std::string& pool) override;
    ApiResult<unsigned> recycle_front(const std::string& pool) override;
    ApiResult<void> scale(const std::string& pool, unsigned workers) override;
    ApiResult<void> set_max(const std::string& pool, unsigned workers) override;
    ApiResult<void> pause(const std::string& pool) override;
    ApiResult<void> resume(const std::string& pool) override;
    ApiResult<ReloadReport> reload() override;
    ApiResult<Explanation> why_job(JobId id) override;
    ApiResult<Explanation> why_worker(const std::string& pool, unsigned slot) override;

  private:
    PoolContext pool_context();
    void open();
    void add_pool(std::list<Pool>& pools, PoolSettings settings);
    static bool lets_others_in(const Settings& settings);
    void find_owners();
    boost::asio::awaitable<void> run_pool(std::list<Pool>::iterator pool);
    boost::asio::awaitable<void> keep_house();
    void sweep_orphans();
    /// Returns what it does besides taking over the settings, for people.
    std::vector<std::string> apply(Settings settings);
    static std::string renew_for_reload(Pool& pool);
    void config_error(const std::string& message);
    ApiResult<Pool*> find(const std::string& pool);
    ApiResult<JobId> submit_for(Submitter* submitter, const std::string& pool,
                                const std::string& task, const std::vector<ipc::Id>& ids,
                                unsigned priority);

    boost::asio::any_io_executor executor_;
    Settings settings_;
    Hooks hooks_;
    Clock& clock_;
    TimePoint started_at_;
    std::mt19937_64 random_;
    JobId last_job_id_ = 0;
    std::string package_dir_;
    std::optional<RuntimeDir> runtime_dir_;
    std::unique_ptr<Cgroups> cgroups_;
    std::unique_ptr<control::HttpServer> http_;
    std::list<Pool> pools_;
    std::multimap<uid_t, std::string> owners_;  ///< users of pools with a front, and these pools
    bool stopping_ = false;
    bool reloaded_ = false;  ///< what is wrong with the settings now is no failure of the start
    std::string impossible_settings_;
    boost::asio::steady_timer stop_asked_;  ///< never expires; cancelled by stop()
    TaskGroup pool_group_, control_group_;
};

}  // namespace supervise
