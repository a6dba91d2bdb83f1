// Tiers C and D: no groups of our own. What a group would do is done by process group, session and
// the tree of parents (process_tree.hpp), with the supervisor as subreaper (orphans.hpp).
#include <signal.h>

#include <algorithm>

#include "cgroup_tiers.hpp"
#include "memory_files.hpp"
#include "process_tree.hpp"

namespace supervise {
namespace {

class BareLeaf final : public Leaf {
  public:
    int cgroup_dir() const override { return -1; }
    int cgroup_v1_tasks() const override { return -1; }

    void attach(pid_t pid) override {
        pid_ = pid;
        memory_.attach(pid);
    }

    std::optional<MemorySample> sample() override {
        const auto bytes = memory_.read();
        if (!bytes) {
            return std::nullopt;
        }
        return MemorySample{bytes->resident,
                            bytes->resident - std::min(bytes->resident, bytes->shared)};
    }

    std::optional<MemoryEvents> events() override { return std::nullopt; }

    Result<void> kill_all(pid_t pid) override {
        kill_tree(pid);
        return {};
    }

    bool populated() override {
        // ESRCH: nobody is left in the group, not even a zombie.
        return pid_ > 0 && (::killpg(pid_, 0) == 0 || errno == EPERM);
    }

    Result<void> remove() override { return {}; }

  private:
    pid_t pid_ = 0;
    ProcessMemory memory_;
};

class NoCgroups final : public Cgroups {
  public:
    NoCgroups(HostCgroups host, Tier tier, std::string reason)
        : host_(std::move(host)), tier_(tier), reason_(std::move(reason)) {
        features_ = {
            "spawn: emulated (own session and process group)",
            "kill: emulated (process group, descendants, orphans of the session)",
            "memory.max: emulated (sampling)",
            "private memory: emulated (statm, resident - shared)",
            "oom verdict: off (no events to read)",
            tier == Tier::c && own_memory_limit(host_)
                ? "memory budget: on (limit of the container)"
                : "memory budget: emulated (RAM of the host)",
        };
    }

    Tier tier() const override { return tier_; }
    const std::vector<std::string>& features() const override { return features_; }
    const std::string& reason() const override { return reason_; }

    std::uint64_t memory_limit() const override {
        const std::uint64_t all = total_memory();
        const auto limit = tier_ == Tier::c ? own_memory_limit(host_) : std::nullopt;
        return limit ? std::min(*limit, all) : all;
    }

    Result<std::unique_ptr<Leaf>> make_leaf(const std::string& /*pool*/,
                                            const std::string& /*name*/,
                                            const LeafLimits& /*limits*/) override {
        return std::unique_ptr<Leaf>(std::make_unique<BareLeaf>());
    }

    void remove_all() override {}

  private:
    HostCgroups host_;
    Tier tier_;
    std::string reason_;
    std::vector<std::string> features_;
};

}  // namespace

std::unique_ptr<Cgroups> open_none(const TierContext& context, Tier tier, std::string reason) {
    return std::make_unique<NoCgroups>(context.host, tier, std::move(reason));
}

}  // namespace supervise
