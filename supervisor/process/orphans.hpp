#pragma once

#include <sys/types.h>

#include <cstddef>
#include <functional>
#include <set>
#include <vector>

namespace supervise {

/// PR_SET_CHILD_SUBREAPER (prctl(2), Linux 3.4): descendants that lose their parent become our
/// children instead of init's, so that none survives us on tiers C and D. For the daemon only.
void become_subreaper();

/// Our children as they are now, by pid.
std::vector<pid_t> children_now();

/// While one lives, children may be born to us that we do not know yet, because a template forks
/// them: reap_orphans() leaves alone what is younger than it.
class BirthExpected {
  public:
    BirthExpected();
    ~BirthExpected();
    BirthExpected(const BirthExpected&) = delete;
    BirthExpected& operator=(const BirthExpected&) = delete;

  private:
    std::multiset<unsigned long long>::iterator since_;
};

/// Kills and reaps children that `is_ours(pid)` does not know (orphans of dead workers; all zombies
/// when we are pid 1 of a container). Never blocks and never takes the status of a known worker.
/// Returns how many were reaped.
std::size_t reap_orphans(const std::function<bool(pid_t)>& is_ours);

}  // namespace supervise
