#include "spawn.hpp"

#include <linux/sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace supervise {
namespace {

/// No handler of ours may run in the child, where it would find a half of our state.
class AllSignalsBlocked {
  public:
    AllSignalsBlocked() {
        sigset_t all;
        ::sigfillset(&all);
        ::pthread_sigmask(SIG_SETMASK, &all, &before_);
    }
    ~AllSignalsBlocked() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
    AllSignalsBlocked(const AllSignalsBlocked&) = delete;
    AllSignalsBlocked& operator=(const AllSignalsBlocked&) = delete;

  private:
    sigset_t before_;
};

bool not_available(int number) {
    return number == ENOSYS || number == EPERM ||  // seccomp profiles that predate clone3
           number == EINVAL || number == E2BIG;    // kernels before 5.7
}

bool refused_by_cgroup(int number) {
    return number == EACCES || number == EBUSY || number == EOPNOTSUPP || number == EBADF ||
           number == ENODEV || number == ENOENT;  // removed meanwhile
}

Result<Launched> fork_child(ChildPlan& plan, int cgroup_dir) {
    plan.v2_dir = cgroup_dir;
    const pid_t pid = ::fork();
    if (pid == 0) {
        run_child(plan);
    }
    if (pid < 0) {
        return errno_error("fork");
    }
    Launched launched{pid, UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)))};
    if (!launched.pidfd) {
        const Error error = errno_error("pidfd_open (Linux 5.3)", std::to_string(pid));
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
        return error;
    }
    return launched;
}

}  // namespace

std::string path_of(int fd) {
    char path[4096];
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t size = ::readlink(link.c_str(), path, sizeof path);
    return size < 0 ? "descriptor " + std::to_string(fd)
                    : std::string(path, static_cast<std::size_t>(size));
}

Result<Launched> spawn(ChildPlan plan, int cgroup_dir) {
    const AllSignalsBlocked blocked;
    int pidfd = -1;
    clone_args args{};
    args.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
    args.pidfd = reinterpret_cast<std::uintptr_t>(&pidfd);
    args.exit_signal = SIGCHLD;
    if (cgroup_dir >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = static_cast<std::uint64_t>(cgroup_dir);
    }
    const long pid = ::syscall(SYS_clone3, &args, sizeof args);
    if (pid == 0) {
        run_child(plan);
    }
    if (pid > 0) {
        return Launched{static_cast<pid_t>(pid), UniqueFd(pidfd)};
    }
    if (not_available(errno)) {
        return fork_child(plan, cgroup_dir);
    }
    if (cgroup_dir >= 0 && refused_by_cgroup(errno)) {
        const int number = errno;
        return errno_error("join cgroup", path_of(cgroup_dir), number);
    }
    return errno_error("clone3");
}

}  // namespace supervise
