#pragma once

#include <memory>
#include <optional>
#include <string>

#include "cgroup.hpp"
#include "cgroup_host.hpp"

namespace supervise {

/// What each tier is opened from.
struct TierContext {
    HostCgroups host;
    std::optional<std::string> root;  ///< "/supervise": beneath each mount
    Logger logger;
};

/// Tier A: cgroup v2 with the memory controller. An error says what is missing.
Result<std::unique_ptr<Cgroups>> open_v2(const TierContext& context);
/// Tier B: cgroup v2 for spawn and kill, v1 for memory. `reason`: why not A.
Result<std::unique_ptr<Cgroups>> open_hybrid(const TierContext& context, std::string reason);
/// Tiers C and D: no groups. `reason`: why neither A nor B.
std::unique_ptr<Cgroups> open_none(const TierContext& context, Tier tier, std::string reason);

}  // namespace supervise
