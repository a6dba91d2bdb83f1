#include "orphans.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "launcher.hpp"
#include "process_tree.hpp"
#include "supervise/error.hpp"

namespace supervise {

void become_subreaper() {
    if (::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0) {
        throw ErrorException(errno_error("become a subreaper"));
    }
}

std::vector<pid_t> children_now() { return children_of(::getpid()); }

std::size_t reap_orphans(const std::function<bool(pid_t)>& is_ours) {
    std::size_t reaped = 0;
    for (const pid_t pid : children_of(::getpid())) {
        if (is_ours(pid) || is_being_launched(pid)) {
            continue;
        }
        // What a worker that still lives has put into the background is not an orphan yet:
        // it goes with that worker.
        const pid_t session = ::getsid(pid);
        const auto facts = facts_of(pid);
        const bool zombie = facts && facts->state == 'Z';
        if (!zombie && session > 0 && session != pid && is_ours(session)) {
            continue;
        }
        // A child that we have not reaped: its pid cannot name another process.
        ::kill(pid, SIGKILL);
        // By pid, never "any child": that would take a worker's status from its owner.
        if (::waitpid(pid, nullptr, WNOHANG) == pid) {
            ++reaped;
        }
    }
    return reaped;
}

}  // namespace supervise
