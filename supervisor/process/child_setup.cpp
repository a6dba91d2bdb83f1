#include "child_setup.hpp"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace supervise {
namespace {

[[noreturn]] void fail(const ChildPlan& plan, ChildStep step, std::size_t index = 0) {
    const ChildFailure failure{errno, step, index};
    // Smaller than PIPE_BUF, so it goes in one piece or not at all; there is nobody else to tell.
    [[maybe_unused]] const ssize_t written = ::write(plan.report, &failure, sizeof failure);
    ::_exit(127);
}

bool write_all(int fd, const char* text) {
    const std::size_t size = std::strlen(text);
    ssize_t written = 0;
    do {
        written = ::write(fd, text, size);
    } while (written < 0 && errno == EINTR);
    return written >= 0;
}

bool write_file(int dir, const char* path, const char* text) {
    const int fd = ::openat(dir, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const bool written = write_all(fd, text);
    const int number = errno;
    ::close(fd);
    errno = number;
    return written;
}

/// A descriptor that the dup2() calls below cannot overwrite.
bool lift(int& fd) {
    if (fd < 0 || fd > 3) {
        return true;
    }
    fd = ::fcntl(fd, F_DUPFD_CLOEXEC, 4);
    return fd >= 0;
}

struct DirectoryEntry {  // what getdents64(2) gives
    std::uint64_t inode;
    std::int64_t offset;
    unsigned short size;
    unsigned char type;
    char name[1];
};

void set_cloexec(int fd) {
    const int flags = ::fcntl(fd, F_GETFD);
    if (flags >= 0) {
        ::fcntl(fd, F_SETFD, flags | FD_CLOEXEC);
    }
}

/// For kernels before 5.11 and for filters that refuse close_range(2).
void set_cloexec_one_by_one(int first) {
    const int dir = ::open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        for (rlim_t fd = static_cast<rlim_t>(first); fd < limit.rlim_cur; ++fd) {
            set_cloexec(static_cast<int>(fd));
        }
        return;
    }
    alignas(DirectoryEntry) char block[2048];
    for (;;) {
        const long got = ::syscall(SYS_getdents64, dir, block, sizeof block);
        if (got <= 0) {
            break;
        }
        for (long at = 0; at < got;) {
            const auto* entry = reinterpret_cast<const DirectoryEntry*>(block + at);
            int fd = -1;
            for (const char* c = entry->name; *c >= '0' && *c <= '9'; ++c) {
                fd = (fd < 0 ? 0 : fd * 10) + (*c - '0');
            }
            if (fd >= first) {
                set_cloexec(fd);
            }
            at += entry->size;
        }
    }
    ::close(dir);
}

void set_descriptors(ChildPlan& plan) {
    // The report pipe first, so that a failure of the others can still be told.
    const bool lifted = lift(plan.report) && lift(plan.null) && lift(plan.out) && lift(plan.err) &&
                        lift(plan.channel);
    if (!lifted || ::dup2(plan.null, 0) < 0 || ::dup2(plan.out, 1) < 0 || ::dup2(plan.err, 2) < 0 ||
        (plan.channel >= 0 && ::dup2(plan.channel, 3) < 0)) {
        fail(plan, ChildStep::descriptors);
    }
    const int first = plan.channel >= 0 ? 4 : 3;
    if (::syscall(SYS_close_range, first, ~0U, CLOSE_RANGE_CLOEXEC) < 0) {
        set_cloexec_one_by_one(first);
    }
}

void join_cgroups(const ChildPlan& plan) {
    // Before anything else: what this process touches from here on is charged to its own groups.
    if (plan.v1_tasks >= 0 && !write_all(plan.v1_tasks, "0")) {
        fail(plan, ChildStep::join_v1_cgroup);
    }
    if (plan.v2_dir >= 0 && !write_file(plan.v2_dir, "cgroup.procs", "0")) {
        fail(plan, ChildStep::join_v2_cgroup);
    }
}

void set_resources(const ChildPlan& plan) {
    // EACCES: it would go below what we inherited, for which CAP_SYS_RESOURCE is needed (a pod of
    // Kubernetes starts at up to 1000). The higher value that stays serves the same purpose.
    if (!write_file(AT_FDCWD, "/proc/self/oom_score_adj", plan.oom_score_adj) && errno != EACCES) {
        fail(plan, ChildStep::oom_score_adj);
    }
    for (std::size_t i = 0; i < plan.limit_count; ++i) {
        const ChildLimit& limit = plan.limits[i];
        if (::syscall(SYS_prlimit64, 0, limit.resource, &limit.value, nullptr) < 0) {
            fail(plan, ChildStep::limit, i);
        }
    }
}

void set_user(const ChildPlan& plan) {
    // Raw calls: glibc's wrappers would ask threads to follow that do not exist in this process.
    if (plan.set_groups && ::syscall(SYS_setgroups, plan.group_count, plan.groups) < 0) {
        fail(plan, ChildStep::groups);
    }
    if (plan.set_gid && ::syscall(SYS_setresgid, plan.gid, plan.gid, plan.gid) < 0) {
        fail(plan, ChildStep::gid);
    }
    if (plan.set_uid && ::syscall(SYS_setresuid, plan.uid, plan.uid, plan.uid) < 0) {
        fail(plan, ChildStep::uid);
    }
}

void set_signals() {
    // CLONE_CLEAR_SIGHAND leaves ignored signals ignored (SIGPIPE in our case), fork leaves all.
    struct sigaction standard {};
    standard.sa_handler = SIG_DFL;
    for (int number = 1; number < NSIG; ++number) {
        ::sigaction(number, &standard, nullptr);  // refused for SIGKILL, SIGSTOP and glibc's own
    }
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
}

}  // namespace

void run_child(const ChildPlan& shared) {
    ChildPlan plan = shared;  // descriptors move in our copy
    join_cgroups(plan);
    if (::setsid() < 0) {
        fail(plan, ChildStep::new_session);
    }
    set_descriptors(plan);
    set_resources(plan);
    set_user(plan);
    if (plan.set_umask) {
        ::umask(plan.umask);
    }
    // As the worker's user: the folder must be open to it.
    if (plan.directory != nullptr && ::chdir(plan.directory) < 0) {
        fail(plan, ChildStep::directory);
    }
    set_signals();
    ::execve(plan.program, plan.argv, plan.envp);
    fail(plan, ChildStep::exec);
}

}  // namespace supervise
