#pragma once

#include "child_setup.hpp"
#include "launcher.hpp"

namespace supervise {

/// Makes the process that runs `plan`, born into the cgroup v2 group `cgroup_dir` unless that is
/// -1. clone3(2) with a pidfd; where the kernel or a seccomp profile does not have it, fork(2), and
/// the child joins the group itself.
Result<Launched> spawn(ChildPlan plan, int cgroup_dir);

/// The path behind an open descriptor, for messages.
std::string path_of(int fd);

}  // namespace supervise
