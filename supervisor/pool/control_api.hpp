#pragma once

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <boost/system/result.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ipc/message.hpp"
#include "supervise/snapshot.hpp"

namespace supervise {

/// A refusal for people: `code` is a word for programs ("unknown_pool"), `message` says what to do.
/// Not an aggregate: C++20 could then make one of a bare number, and ApiResult<unsigned> would not
/// know a value from an error.
struct ApiError {
    ApiError() = default;  // for result::error(), which gives one in any case
    ApiError(unsigned status, std::string word, std::string text)
        : http_status(status), code(std::move(word)), message(std::move(text)) {}

    unsigned http_status = 400;
    std::string code;
    std::string message;
};
[[noreturn]] void throw_exception_from_error(const ApiError& error,
                                             const boost::source_location& where);

template <class T>
using ApiResult = boost::system::result<T, ApiError>;

/// How a job that came through the control socket ended.
struct JobEnd {
    JobId id = 0;
    JobState state = JobState::done;
    unsigned attempts = 1;
    std::string report;  ///< encoded ipc::Report
};

struct ReloadReport {
    std::vector<std::string>
        changes;  ///< "pool reports: recycle.max_tasks 1000 -> 500"; empty: none
};

/// What the control plane may ask of the supervisor; the supervisor implements it, the HTTP server
/// calls it, both on the loop's thread.
class ControlApi {
  public:
    virtual ~ControlApi() = default;

    virtual Snapshot snapshot() = 0;
    /// The pools whose front supervise runs as this user.
    virtual std::vector<std::string> pools_of(uid_t user) = 0;

    virtual ApiResult<JobId> submit(const std::string& pool, const std::string& task,
                                    const std::vector<ipc::Id>& ids, unsigned priority) = 0;
    /// As submit(), and waits for the end. The job goes on when the waiter is cancelled.
    virtual boost::asio::awaitable<ApiResult<JobEnd>> submit_and_wait(std::string pool,
                                                                      std::string task,
                                                                      std::vector<ipc::Id> ids,
                                                                      unsigned priority) = 0;
    /// Replaces one slot's worker, or all of a pool's in turn; returns how many were asked.
    virtual ApiResult<unsigned> recycle(const std::string& pool, std::optional<unsigned> slot) = 0;
    /// Imports a pool's application anew, in a new template; the workers roll over to it when that
    /// has succeeded. Returns the new generation's number. 409 "no_template" without preload.
    virtual ApiResult<unsigned> renew_template(const std::string& pool) = 0;
    /// Has a second front take over from a Celery pool's first. Returns the number of the next one.
    /// 409 "no_front" where supervise runs none.
    virtual ApiResult<unsigned> recycle_front(const std::string& pool) = 0;
    virtual ApiResult<void> scale(const std::string& pool, unsigned workers) = 0;  ///< 0..1024
    /// 0..1024 as the most; the least stays, where the pool's file has one.
    virtual ApiResult<void> set_max(const std::string& pool, unsigned workers) = 0;
    virtual ApiResult<void> pause(const std::string& pool) = 0;   ///< no new job begins
    virtual ApiResult<void> resume(const std::string& pool) = 0;  ///< also resets a tripped breaker
    virtual ApiResult<ReloadReport> reload() = 0;  ///< the config file; nothing changes on an error
    virtual void stop() = 0;                       ///< as SIGTERM does

    virtual ApiResult<Explanation> why_job(JobId id) = 0;
    virtual ApiResult<Explanation> why_worker(const std::string& pool, unsigned slot) = 0;
};

}  // namespace supervise
