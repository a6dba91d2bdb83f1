#pragma once

#include <array>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <variant>
#include <vector>

#include "supervise/clock.hpp"
#include "supervise/error.hpp"
#include "supervise/job.hpp"
#include "supervise/logger.hpp"
#include "supervise/settings.hpp"
#include "supervise/snapshot.hpp"

namespace supervise {

/// The only kinds of argument and of result: an int64, a UUID, a text of at most 255 bytes.
using JobArgument = std::variant<std::int64_t, std::array<std::uint8_t, 16>, std::string>;

/// How a job ended.
struct JobOutcome {
    JobId id = 0;
    JobState state = JobState::done;  ///< done, failed, lost or dead
    unsigned attempts = 0;
    std::optional<JobArgument> result;  ///< of a done one, if its task returned an ID
    std::string error;                  ///< of the others: the error, or the cause and its evidence
};

/// What the embedder gives; every part has a sensible default.
struct Hooks {
    Clock* clock = nullptr;  ///< the system's when null; outlives the supervisor
    Logger logger;           ///< silent when empty
    /// The settings to apply on reload, or the message that says why not.
    std::function<std::variant<Settings, std::string>()> reload;
    /// Adopt and end the orphans of dead workers where there are no cgroups (prctl(2),
    /// PR_SET_CHILD_SUBREAPER). Only for a process that has no other children.
    bool adopt_orphans = false;
    std::optional<char> tier;           ///< 'A'..'D': no better one than this
    std::vector<ResourceLimit> limits;  ///< for workers, unless their pool says otherwise
};

/// The supervisor could not start, or found its settings impossible once it ran.
class StartError : public std::runtime_error {
  public:
    StartError(const std::string& message, int code)
        : std::runtime_error(message), exit_code(code) {}
    int exit_code;  ///< 1 failed, 75 another one runs here, 78 the settings
};

/// All pools, their sockets and the control plane. The embedder owns the loop (one thread) and the
/// signals.
class Supervisor {
  public:
    Supervisor(boost::asio::any_io_executor executor, Settings settings, Hooks hooks = {});
    ~Supervisor();

    /// From the first socket to the last worker's grave: ends after stop(). Throws StartError. Not
    /// to be cancelled: stop() and hurry() end it.
    boost::asio::awaitable<void> run();

    void stop();    ///< drain: no new jobs, running ones have their grace time
    void hurry();   ///< the grace ends now
    void kill();    ///< stops with no grace: no job is interrupted, all workers are killed
    void reload();  ///< asks Hooks::reload and applies the difference; logs what changed or why not
    void log_state() const;

    Result<JobId> submit(const std::string& pool, const std::string& task,
                         const std::vector<JobArgument>& ids, unsigned priority = 0);
    boost::asio::awaitable<Result<JobOutcome>> submit_and_wait(std::string pool, std::string task,
                                                               std::vector<JobArgument> ids,
                                                               unsigned priority = 0);
    Snapshot snapshot() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace supervise
