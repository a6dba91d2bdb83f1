#pragma once

#include <boost/asio/io_context.hpp>
#include <functional>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "pool/pool.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/fake_clock.hpp"
#include "tests/support/fake_host.hpp"
#include "tests/unit/pool/desk_support.hpp"

namespace supervise::test {

struct LogLine {
    LogLevel level = LogLevel::info;
    std::string event;
    std::map<std::string, std::string> fields;
};

/// A pool named "p" on a loop, with a fake clock and a fake host; the test plays its workers. Time
/// passes only in pass(); everything that waits for real events fails after 20 s.
class Stage {
  public:
    /// A pool of `workers`, without jitter, of tasks app.work and app.retry (two retries).
    explicit Stage(unsigned workers = 1);
    ~Stage();

    PoolSettings settings;  ///< to change before start()
    std::vector<ipc::TaskInfo> tasks;
    FakeHost& host() { return *host_; }
    FakeClock clock;
    Listener listener;  ///< submits the jobs
    std::vector<LogLine> log;
    std::vector<std::string> config_errors;

    /// Makes the pool and runs it; its workers come when the test waits for them.
    void start();
    /// The same, and brings its first workers to READY.
    void start_ready();
    Pool& pool() { return *pool_; }
    bool ended() const { return ended_; }
    const std::string& runtime_dir() const { return runtime_dir_; }
    boost::asio::io_context& loop() { return io_; }

    /// Runs the loop until `condition` holds; the time stands.
    void until(const std::string& what, const std::function<bool()>& condition);
    /// Runs what is ready, until nothing is.
    void turn();
    /// Lets time pass, from one sleeper to the next.
    void pass(Duration time);
    /// Lets time pass until `condition` holds, at most `most`; false if it does not.
    bool pass_until(Duration most, const std::function<bool()>& condition);

    /// Waits for the launch of a slot's n-th worker.
    FakeWorker& worker(unsigned slot, unsigned incarnation);
    /// The same, and brings it to READY.
    FakeWorker& ready(unsigned slot, unsigned incarnation);
    /// Whether its launch has begun.
    bool has(unsigned slot, unsigned incarnation);
    /// "idle", "busy" and so on as status shows it; "" when it is not there (any more).
    std::string state(const FakeWorker& worker) const;

    UniqueFd connect();  ///< to the pool's socket, as a client does
    JobId submit(const std::string& task = "app.work");
    Rejection refused(const std::string& task = "app.work");
    /// Waits for a worker's next message, which must be a job, and begins it; its id.
    JobId job(FakeWorker& worker);
    /// Waits for a worker's next message.
    ipc::Message next(FakeWorker& worker);
    /// Nothing has come for it. Only after turn(): then all that was to be sent was.
    bool hears_nothing(FakeWorker& worker);
    /// Answers for a job, and waits until the pool knows.
    void done(FakeWorker& worker, JobId id);
    void failed(FakeWorker& worker, JobId id);
    /// A whole job: submitted, run by `worker`, done.
    void does_a_job(FakeWorker& worker);
    /// Ends a worker that was told RETIRE, and waits until the pool knows.
    void retires(FakeWorker& worker);
    /// Ends a worker's process, and waits until the pool knows.
    void dies(FakeWorker& worker, int signal);
    /// Waits until the pool knows that it is no more.
    void gone(FakeWorker& worker);

    /// Waits until its process has written a line: "up", or the name of a signal that came.
    void says(FakeWorker& worker, const std::string& line);

    std::vector<LogLine> logged(const std::string& event) const;
    PoolSnapshot status() const { return pool_->snapshot(); }
    /// How a job ended, once it has; exactly once.
    const Listener::End& end_of(JobId id);

  private:
    void answer(FakeWorker& worker, JobId id, const std::string& report);

    boost::asio::io_context io_{1};
    std::string runtime_dir_;
    std::unique_ptr<FakeHost> host_;
    std::mt19937_64 random_{1};
    JobId last_job_id_ = 0;
    std::unique_ptr<Pool> pool_;
    bool ended_ = false;
    std::exception_ptr failure_;
};

}  // namespace supervise::test
