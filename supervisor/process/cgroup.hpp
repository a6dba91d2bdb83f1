#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "supervise/error.hpp"
#include "supervise/logger.hpp"

namespace supervise {

/// What memory and cgroup facilities this host gives (DESIGN section 6).
enum class Tier {
    a,  ///< cgroup v2 with the memory controller, delegated
    b,  ///< hybrid: v2 for spawn and kill, v1 memory for limits and usage
    c,  ///< no cgroups of our own; a container limit can be read
    d,  ///< neither
};
char letter(Tier tier);  ///< 'A'..'D'

struct LeafLimits {
    std::optional<std::uint64_t> memory_max;  ///< bytes; the kernel's backstop, above the hard line
};

struct MemorySample {
    std::uint64_t rss = 0;  ///< bytes, VmRSS of the worker process
    /// Bytes: anon + swap + shmem of the leaf; C and D: resident - shared of statm(5).
    std::uint64_t private_bytes = 0;
};

struct MemoryEvents {
    std::uint64_t oom_kill = 0;  ///< kills in this leaf by the OOM killer, the victim maybe twice
    std::uint64_t max = 0;       ///< times that usage hit the leaf's limit
    std::uint64_t peak = 0;      ///< bytes, highest usage ever, page cache included; 0: not known
};

/// The groups of one worker incarnation; on tiers C and D nothing but a name. Never used twice:
/// after a write to cgroup.kill, CLONE_INTO_CGROUP into that group kills at birth (Linux 6.14 and
/// its backports).
class Leaf {
  public:
    virtual ~Leaf() = default;
    virtual int cgroup_dir() const = 0;       ///< for LaunchSpec; -1: none
    virtual int cgroup_v1_tasks() const = 0;  ///< for LaunchSpec; -1: none
    /// Starts reading memory of `pid` (keeps its statm open, so that a reused pid cannot mislead).
    virtual void attach(pid_t pid) = 0;
    /// 15 us on tiers A and B, 2 us else; nothing once the process has gone.
    virtual std::optional<MemorySample> sample() = 0;
    /// Read after the exit is known and before remove(); nothing on tiers C and D.
    virtual std::optional<MemoryEvents> events() = 0;
    /// SIGKILL to all in the leaf (cgroup.kill); on tiers C and D to the process group of `pid` and
    /// to all descendants that can be found. Call it before `pid` is reaped: there is no other way
    /// to know them where there is no cgroup.
    virtual Result<void> kill_all(pid_t pid) = 0;
    /// True while a process is left in it.
    virtual bool populated() = 0;
    /// Removes the groups; EBUSY while `populated()` or a zombie remains.
    virtual Result<void> remove() = 0;
};

/// Our part of the cgroup trees. Made once by the supervisor, outlives all leaves.
class Cgroups {
  public:
    virtual ~Cgroups() = default;
    virtual Tier tier() const = 0;
    /// One line a feature: "kill: on (cgroup.kill)", "memory.max: emulated (sampling)".
    virtual const std::vector<std::string>& features() const = 0;
    /// Why not a better tier, for people; empty on A.
    virtual const std::string& reason() const = 0;
    /// Bytes that this host or container may use (cgroup limit or RAM).
    virtual std::uint64_t memory_limit() const = 0;
    /// A fresh leaf of a pool's group; `name` ("3.17": slot and incarnation) is unique in the pool
    /// while the supervisor lives, EEXIST otherwise.
    virtual Result<std::unique_ptr<Leaf>> make_leaf(const std::string& pool,
                                                    const std::string& name,
                                                    const LeafLimits& limits) = 0;
    /// Removes every group of ours that is left, and the root where we made it. After all leaves
    /// have gone; what is still populated stays and is named in the log.
    virtual void remove_all() = 0;
};

/// Finds the tier and prepares it. `root` is a path from the hierarchy's mount ("/supervise"), made
/// if it is not there; without it the supervisor's own group is used, after it has moved itself to
/// a leaf "supervisor" of that group (tier A; no process may sit in an inner group). On tier B
/// without a root, groups are made at the top of both hierarchies only if our own group there is
/// not writable. Never fails: what cannot be had gives a lower tier with its reason. `force` (from
/// the environment's SUPERVISE_TIER=C, for tests and operators) asks for a lower tier.
std::unique_ptr<Cgroups> open_cgroups(const std::optional<std::string>& root,
                                      std::optional<Tier> force, const Logger& logger);

}  // namespace supervise
