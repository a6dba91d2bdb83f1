#include "v2_group.hpp"

#include <fcntl.h>
#include <signal.h>

#include <charconv>
#include <set>

#include "base/control_file.hpp"
#include "cgroup_tree.hpp"

namespace supervise {
namespace {

/// SIGKILL to those in `group` and below that were not in `seen`; true when there were any.
bool kill_new(const std::string& group, std::set<pid_t>& seen) {
    bool found = false;
    for (const std::string& inner : groups_in(group)) {
        found = kill_new(inner, seen) || found;
    }
    const auto text = read_control_file(AT_FDCWD, group + "/cgroup.procs");
    if (!text) {
        return found;
    }
    const char* at = text->data();
    const char* const end = at + text->size();
    while (at != end) {
        pid_t pid = 0;
        const auto [next, error] = std::from_chars(at, end, pid);
        if (error != std::errc{}) {
            break;
        }
        // 0: a process of another pid namespace, out of our reach
        if (pid > 0 && seen.insert(pid).second) {
            found = true;
            ::kill(pid, SIGKILL);
        }
        at = next == end ? end : next + 1;
    }
    return found;
}

}  // namespace

Result<V2Group> V2Group::open(const std::string& path) {
    UniqueFd dir(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!dir) {
        return errno_error("open cgroup", path);
    }
    return V2Group(path, std::move(dir));
}

Result<void> V2Group::kill() {
    auto written = write_control_file(dir_.get(), "cgroup.kill", "1");
    if (!written && written.error().code == boost::system::errc::no_such_file_or_directory) {
        return kill_one_by_one();
    }
    return written;
}

Result<void> V2Group::kill_one_by_one() {
    (void)write_control_file(dir_.get(), "cgroup.freeze", "1");  // Linux 5.2; without it we repeat
    std::set<pid_t> seen;
    constexpr int rounds = 1000;  // without the freezer, a fork bomb could hold us here for ever
    for (int round = 0; round < rounds && kill_new(path_, seen); ++round) {
    }
    // A frozen process dies of SIGKILL as it is, but nothing may stay frozen behind us.
    (void)write_control_file(dir_.get(), "cgroup.freeze", "0");
    return {};
}

bool V2Group::populated() const {
    const auto text = read_control_file(dir_.get(), "cgroup.events");
    return text && find_counter(*text, "populated").value_or(0) != 0;
}

Result<void> V2Group::remove() { return remove_groups(path_); }

}  // namespace supervise
