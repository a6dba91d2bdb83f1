#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace supervise {

/// One mounted cgroup hierarchy, as this process sees it.
struct Hierarchy {
    std::string mount;  ///< folder of its top, "/sys/fs/cgroup/memory"
    std::optional<std::string>
        own;  ///< folder of our own group; nothing when it is not mounted here
    bool operator==(const Hierarchy&) const = default;
};

/// The hierarchies that matter to us.
struct HostCgroups {
    std::optional<Hierarchy> v2;
    std::optional<Hierarchy> v1_memory;
};

/// From the texts of /proc/self/mountinfo and /proc/self/cgroup. The two trees of a hybrid host
/// need not have equal paths, and a mount may show a part of its hierarchy only.
HostCgroups parse_cgroups(std::string_view mountinfo, std::string_view self_cgroup);
HostCgroups find_cgroups();

/// The smallest memory.max from `group` up to the mount; nothing when none is set.
std::optional<std::uint64_t> v2_memory_limit(const Hierarchy& hierarchy, const std::string& group);
/// hierarchical_memory_limit of `group`; nothing when none is set.
std::optional<std::uint64_t> v1_memory_limit(const std::string& group);
/// What this process may use by its own groups; nothing when none sets a limit.
std::optional<std::uint64_t> own_memory_limit(const HostCgroups& host);
/// RAM of the host; 0 when /proc/meminfo cannot be read.
std::uint64_t total_memory();

}  // namespace supervise
