#pragma once

#include <sys/types.h>

#include <optional>
#include <vector>

namespace supervise {

/// From stat(5) in /proc.
struct ProcessFacts {
    char state = '?';
    pid_t parent = 0;
    pid_t group = 0;
    pid_t session = 0;
    unsigned long long start_time = 0;  ///< with the pid, it names a process for ever
};
std::optional<ProcessFacts> facts_of(pid_t pid);

/// Children of `pid`, zombies too, as far as /proc shows them at this moment.
std::vector<pid_t> children_of(pid_t pid);

/// SIGKILL to the process group of `leader`, to all its descendants, and to the orphans of its
/// session that have become our children. `leader` must be a child of ours that was not reaped yet.
void kill_tree(pid_t leader);

}  // namespace supervise
