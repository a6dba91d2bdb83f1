#pragma once

#include <sys/types.h>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <optional>

#include "base/unique_fd.hpp"
#include "exit_status.hpp"
#include "supervise/error.hpp"

namespace supervise {

/// One child, held by pid and pidfd, so that a signal never reaches a stranger. Owned by the worker
/// that it runs; must have been waited for before it is destroyed (a live child there is a bug).
class ChildProcess {
  public:
    ChildProcess(boost::asio::any_io_executor executor, pid_t pid, UniqueFd pidfd);
    ~ChildProcess();
    ChildProcess(const ChildProcess&) = delete;
    ChildProcess& operator=(const ChildProcess&) = delete;

    pid_t pid() const { return pid_; }  ///< stays known after the end, for logs
    bool running() const { return !status_; }
    const std::optional<ExitStatus>& status() const { return status_; }

    /// pidfd_send_signal(2); ESRCH when it has ended.
    Result<void> signal(int number);
    /// killpg(2) of the child's own process group, which it leads; not after it was reaped.
    Result<void> signal_group(int number);

    /// Waits for the end and reaps (waitid(2) P_PIDFD, never blocking). May be cancelled and called
    /// again.
    boost::asio::awaitable<ExitStatus> wait();

  private:
    bool reap();

    pid_t pid_;
    boost::asio::posix::stream_descriptor pidfd_;
    std::optional<ExitStatus> status_;
};

}  // namespace supervise
