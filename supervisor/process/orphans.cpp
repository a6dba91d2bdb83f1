#include "orphans.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "launcher.hpp"
#include "process_tree.hpp"
#include "supervise/error.hpp"

namespace supervise {

namespace {

/// In the unit of ProcessFacts::start_time: clock ticks since the boot.
std::multiset<unsigned long long>& births_expected_since() {
    static std::multiset<unsigned long long> times;
    return times;
}

unsigned long long ticks_since_boot() {
    timespec now{};
    ::clock_gettime(CLOCK_BOOTTIME, &now);
    static const auto ticks = static_cast<unsigned long long>(::sysconf(_SC_CLK_TCK));
    return static_cast<unsigned long long>(now.tv_sec) * ticks +
           static_cast<unsigned long long>(now.tv_nsec) * ticks / 1'000'000'000;
}

bool may_be_newborn(const std::optional<ProcessFacts>& facts) {
    const auto& times = births_expected_since();
    return !times.empty() && (!facts || facts->start_time >= *times.begin());
}

}  // namespace

BirthExpected::BirthExpected() : since_(births_expected_since().insert(ticks_since_boot())) {}
BirthExpected::~BirthExpected() { births_expected_since().erase(since_); }

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
        if (may_be_newborn(facts)) {
            continue;
        }
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
