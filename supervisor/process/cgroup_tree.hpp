#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cgroup_host.hpp"
#include "supervise/error.hpp"
#include "supervise/logger.hpp"

namespace supervise {

/// Our folders in one hierarchy: BASE/supervise-PID-STARTTIME/POOL/LEAF. The middle one is ours
/// alone, so that several supervisors may share a base, and a later one can tell what a crashed one
/// has left. Makes and removes groups; knows nothing of memory or processes. Owned by a tier's
/// Cgroups.
class CgroupTree {
  public:
    /// Makes BASE (a path beneath the mount) and our folder in it, hands `controllers` down to each
    /// level that is ours, and removes empty groups of supervisors that are dead. `v2` says whether
    /// there are controllers to hand down; the first of them must work, others may be missing.
    static Result<CgroupTree> open(const Hierarchy& hierarchy, const std::string& base,
                                   std::vector<std::string> controllers, const Logger& logger);

    /// Makes the pool's group if need be and a fresh leaf in it; the leaf's folder.
    Result<std::string> make_leaf(const std::string& pool, const std::string& name);
    /// Removes all that this object has made and that is empty; says in the log what is not.
    void remove_all();

    const std::string& base() const { return base_; }
    /// Our own folder in the base.
    const std::string& instance() const { return instance_; }

  private:
    CgroupTree() = default;
    Result<void> make_base(std::size_t mount_size);
    Result<void> make_group(const std::string& path);
    void remove_stale();

    std::string base_;
    std::string instance_;
    std::vector<std::string> made_above_;  ///< BASE and what is above it, as far as we made it
    std::vector<std::string> controllers_;
    std::vector<std::string>
        handed_down_;  ///< controllers switched on in a BASE that we did not make
    Logger logger_;
};

/// "supervise-PID-STARTTIME" of this process.
std::string instance_name();
/// True when `name` is of that form and its process has ended.
bool is_stale_instance(const std::string& name);

/// Whether cgroup.controllers or cgroup.subtree_control (`file`) names `controller`.
bool lists_controller(const std::string& file, const std::string& controller);

/// Hands `controllers` down to the groups below `group`; only the first of them must work.
Result<void> enable_controllers(const std::string& group,
                                const std::vector<std::string>& controllers);

/// rmdir of `path` and of all groups in it, the inner ones first.
Result<void> remove_groups(const std::string& path);
/// Folders of the groups right below `path`.
std::vector<std::string> groups_in(const std::string& path);

}  // namespace supervise
