#pragma once

#include <sys/types.h>

#include <boost/asio/awaitable.hpp>
#include <optional>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "supervise/error.hpp"
#include "supervise/settings.hpp"

namespace supervise {

/// All that a new process is given. Descriptors are the caller's and stay open there; the child
/// gets nothing but 0 (/dev/null), 1, 2 and, when there is one, 3.
struct LaunchSpec {
    std::vector<std::string> argv;         ///< argv[0] is an absolute path or looked up in PATH
    std::vector<std::string> environment;  ///< whole, as "NAME=value"
    std::string directory;
    std::optional<uid_t> uid;
    std::optional<gid_t> gid;
    std::vector<gid_t> groups;  ///< supplementary ones, set when `uid` is
    std::optional<unsigned> umask;
    std::vector<ResourceLimit> limits;
    int oom_score_adj = 0;
    int out = -1;         ///< becomes 1; -1: /dev/null
    int err = -1;         ///< becomes 2; -1: /dev/null
    int channel = -1;     ///< becomes 3; -1: none
    int cgroup_dir = -1;  ///< cgroup v2 leaf for CLONE_INTO_CGROUP; -1: none
    /// Open `tasks` of a v1 memory leaf: the child, which has one thread, joins by itself. Where
    /// one thread moves itself, Linux (5.5 and newer) needs no lock of all processes: 20 us, and
    /// not the 7 ms of an occasional write to cgroup.procs.
    int cgroup_v1_tasks = -1;
    int mark = -1;  ///< of a worker that a template forks; ignored by the system's launcher
};

struct Launched {
    pid_t pid = -1;
    UniqueFd pidfd;
};

/// Starts processes. An interface, so that pool tests can hand out scripted children.
class Launcher {
  public:
    virtual ~Launcher() = default;
    /// Own session and process group, default signals, empty signal mask. Ends when exec has
    /// succeeded; a failure names the step (DESIGN: "exec /usr/bin/python3: No such file ...") and
    /// leaves neither process nor zombie.
    virtual boost::asio::awaitable<Result<Launched>> launch(LaunchSpec spec) = 0;
};

/// The real one: clone3(2), with fork as the fallback where a seccomp profile refuses it.
Launcher& system_launcher();

/// True from the clone of `pid` until its launch() ends: nobody else knows it yet, and
/// reap_orphans() must not take it for a stranger.
bool is_being_launched(pid_t pid);

/// `name` as an absolute path, looked up in `path` when it has no slash.
Result<std::string> find_program(const std::string& name, const std::string& path);

}  // namespace supervise
