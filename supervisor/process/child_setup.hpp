#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstddef>

namespace supervise {

/// What a new process does between clone and exec, in this order.
enum class ChildStep : int {
    none,
    join_v1_cgroup,
    join_v2_cgroup,
    new_session,
    descriptors,
    oom_score_adj,
    limit,
    groups,
    gid,
    uid,
    directory,
    exec,
};

/// What the child writes to its report pipe when a step fails; nothing is written on success, where
/// exec closes the pipe.
struct ChildFailure {
    int number = 0;  ///< errno
    ChildStep step = ChildStep::none;
    std::size_t index = 0;  ///< of the limit that could not be set
};

struct ChildLimit {
    int resource = 0;
    rlimit value{};
};

/// Everything the child needs, laid out before the clone: after it, memory must not be allocated.
/// All pointers belong to the parent's launch and are read from the child's copy of them.
struct ChildPlan {
    const char* program = nullptr;
    char* const* argv = nullptr;
    char* const* envp = nullptr;
    const char* directory = nullptr;      ///< null: stay
    const char* oom_score_adj = nullptr;  ///< as text
    const ChildLimit* limits = nullptr;
    std::size_t limit_count = 0;
    const gid_t* groups = nullptr;
    std::size_t group_count = 0;
    bool set_groups = false;
    bool set_gid = false;
    bool set_uid = false;
    bool set_umask = false;
    gid_t gid = 0;
    uid_t uid = 0;
    mode_t umask = 0;
    int null = -1;     ///< becomes 0
    int out = -1;      ///< becomes 1
    int err = -1;      ///< becomes 2
    int channel = -1;  ///< becomes 3; -1: none
    int report = -1;
    int v1_tasks = -1;
    int v2_dir = -1;  ///< only after fork, which cannot be born into a group
};

/// Runs in the child: async-signal-safe calls only, ends in exec or _exit(127).
[[noreturn]] void run_child(const ChildPlan& plan);

}  // namespace supervise
