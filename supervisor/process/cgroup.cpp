#include "cgroup.hpp"

#include "cgroup_tiers.hpp"

namespace supervise {

char letter(Tier tier) { return static_cast<char>('A' + static_cast<int>(tier)); }

std::unique_ptr<Cgroups> open_cgroups(const std::optional<std::string>& root,
                                      std::optional<Tier> force, const Logger& logger) {
    const TierContext context{find_cgroups(), root, logger};
    const Tier best = force.value_or(Tier::a);
    std::string reason;
    const auto add = [&reason](const std::string& text) {
        reason += (reason.empty() ? "" : "; ") + text;
    };
    if (best != Tier::a) {
        add(std::string("tier ") + letter(best) + " was asked for");
    }
    if (best == Tier::a) {
        auto opened = open_v2(context);
        if (opened) {
            return std::move(*opened);
        }
        add("not A: " + opened.error().message());
    }
    if (best <= Tier::b) {
        auto opened = open_hybrid(context, reason);
        if (opened) {
            return std::move(*opened);
        }
        add("not B: " + opened.error().message());
    }
    Tier tier = best;
    if (best < Tier::c) {
        tier = own_memory_limit(context.host) ? Tier::c : Tier::d;
        if (tier == Tier::d) {
            add("not C: none of our own groups sets a memory limit");
        }
    }
    return open_none(context, tier, reason);
}

}  // namespace supervise
