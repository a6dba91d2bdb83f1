#include "child_process.hpp"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/error.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/system/system_error.hpp>
#include <cerrno>
#include <cstdio>
#include <exception>

namespace supervise {
namespace asio = boost::asio;

namespace {

// glibc names P_PIDFD since 2.36 only; the number is the kernel's.
constexpr auto by_pidfd = static_cast<idtype_t>(3);

ExitStatus status_of(const siginfo_t& info) {
    if (info.si_code == CLD_EXITED) {
        return {ExitStatus::Kind::exited, info.si_status, false};
    }
    return {ExitStatus::Kind::signaled, info.si_status, info.si_code == CLD_DUMPED};
}

}  // namespace

ChildProcess::ChildProcess(asio::any_io_executor executor, pid_t pid, UniqueFd pidfd)
    : pid_(pid), pidfd_(executor) {
    pidfd_.assign(pidfd.get());
    pidfd.release();  // only now: assign() may throw
}

ChildProcess::~ChildProcess() {
    if (!pidfd_.is_open()) {
        return;
    }
    std::fprintf(stderr, "child process %d destroyed before it was waited for\n",
                 static_cast<int>(pid_));
#ifndef NDEBUG
    std::terminate();
#else
    // No blocking wait here: reap_orphans() takes the zombie.
    ::syscall(SYS_pidfd_send_signal, pidfd_.native_handle(), SIGKILL, nullptr, 0);
#endif
}

Result<void> ChildProcess::signal(int number) {
    if (!pidfd_.is_open()) {
        return errno_error("signal process", std::to_string(pid_), ESRCH);
    }
    if (::syscall(SYS_pidfd_send_signal, pidfd_.native_handle(), number, nullptr, 0) < 0) {
        return errno_error("signal process", std::to_string(pid_));
    }
    return {};
}

Result<void> ChildProcess::signal_group(int number) {
    // Until it is reaped, its pid cannot name another group.
    if (!pidfd_.is_open()) {
        return errno_error("signal process group", std::to_string(pid_), ESRCH);
    }
    if (::killpg(pid_, number) < 0) {
        return errno_error("signal process group", std::to_string(pid_));
    }
    return {};
}

bool ChildProcess::reap() {
    siginfo_t info{};
    int result = 0;
    do {
        result =
            ::waitid(by_pidfd, static_cast<id_t>(pidfd_.native_handle()), &info, WEXITED | WNOHANG);
    } while (result < 0 && errno == EINTR);
    if (result < 0) {
        // ECHILD: another part of this program reaped it, or SIGCHLD is ignored. The status is
        // lost for good, and to invent one would be worse than to say so.
        const Error error = errno_error("wait for process", std::to_string(pid_));
        pidfd_.close();
        throw ErrorException(error);
    }
    if (info.si_pid == 0) {
        return false;
    }
    status_ = status_of(info);
    pidfd_.close();
    return true;
}

asio::awaitable<ExitStatus> ChildProcess::wait() {
    while (!status_) {
        if (!pidfd_.is_open()) {
            throw ErrorException(errno_error("wait for process", std::to_string(pid_), ECHILD));
        }
        if (reap()) {
            break;
        }
        // A wake-up may be a stale event of a descriptor that had this number before (Asio recycles
        // its records), hence the loop around a wait that never blocks.
        boost::system::error_code error;
        co_await pidfd_.async_wait(asio::posix::stream_descriptor::wait_read,
                                   asio::redirect_error(asio::use_awaitable, error));
        if (error && !status_) {
            throw boost::system::system_error(error);
        }
    }
    co_return *status_;
}

}  // namespace supervise
