// Tier B: a hybrid host. Birth, kill and emptiness by cgroup v2, limit and usage by the v1 memory
// controller. A worker has one leaf in each tree, of the same name.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>

#include "base/control_file.hpp"
#include "cgroup_tiers.hpp"
#include "cgroup_tree.hpp"
#include "memory_files.hpp"
#include "v2_group.hpp"

namespace supervise {
namespace {

class HybridLeaf final : public Leaf {
  public:
    HybridLeaf(V2Group group, std::string v1_path, UniqueFd v1_tasks)
        : group_(std::move(group)),
          v1_path_(std::move(v1_path)),
          v1_tasks_(std::move(v1_tasks)),
          stat_(v1_path_ + "/memory.stat") {}

    int cgroup_dir() const override { return group_.dir(); }
    int cgroup_v1_tasks() const override { return v1_tasks_.get(); }
    void attach(pid_t pid) override { process_.attach(pid); }

    std::optional<MemorySample> sample() override {
        const auto bytes = process_.read();
        if (!bytes) {
            return std::nullopt;
        }
        MemorySample out{bytes->resident, 0};
        const bool there = stat_.with_text([&out](std::string_view text) {
            // "rss" is anonymous memory, huge pages included; "shmem" counts as cache here.
            for (const char* key : {"rss", "swap", "shmem"}) {
                out.private_bytes += find_counter(text, key).value_or(0);
            }
        });
        return there ? std::optional(out) : std::nullopt;
    }

    std::optional<MemoryEvents> events() override {
        const auto control = read_control_file(AT_FDCWD, v1_path_ + "/memory.oom_control");
        if (!control) {
            return std::nullopt;
        }
        MemoryEvents out;
        out.oom_kill = find_counter(*control, "oom_kill").value_or(0);
        out.max = KeptFile(v1_path_ + "/memory.failcnt").number().value_or(0);
        out.peak = KeptFile(v1_path_ + "/memory.max_usage_in_bytes").number().value_or(0);
        return out;
    }

    Result<void> kill_all(pid_t /*pid*/) override { return group_.kill(); }

    bool populated() override {
        if (group_.populated()) {
            return true;
        }
        const auto procs = read_control_file(AT_FDCWD, v1_path_ + "/cgroup.procs");
        return procs && !procs->empty();
    }

    Result<void> remove() override {
        const auto first = group_.remove();
        const auto second = remove_groups(v1_path_);
        return first ? second : first;
    }

  private:
    V2Group group_;
    std::string v1_path_;
    UniqueFd v1_tasks_;
    KeptFile stat_;
    ProcessMemory process_;
};

/// The limit on memory, and on memory and swap together where swap is accounted.
Result<void> set_v1_limit(const std::string& leaf, std::uint64_t bytes) {
    const std::string text = std::to_string(bytes);
    auto written = write_control_file(AT_FDCWD, leaf + "/memory.limit_in_bytes", text);
    if (!written) {
        return written;
    }
    // A page more, so that it is the first limit that is hit: the kernel counts no hits of this
    // one.
    static const auto page = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
    written = write_control_file(AT_FDCWD, leaf + "/memory.memsw.limit_in_bytes",
                                 std::to_string(bytes + page));
    if (!written && written.error().code == boost::system::errc::no_such_file_or_directory) {
        return {};  // CONFIG_MEMCG_SWAP off
    }
    return written;
}

class HybridCgroups final : public Cgroups {
  public:
    HybridCgroups(CgroupTree v2, CgroupTree v1, std::string reason)
        : v2_(std::move(v2)), v1_(std::move(v1)), reason_(std::move(reason)) {
        const auto has = [this](const char* file) {
            return ::access((v2_.instance() + '/' + file).c_str(), F_OK) == 0;
        };
        features_ = {
            "spawn: on (CLONE_INTO_CGROUP, and the worker joins the v1 memory group by itself)",
            has("cgroup.kill") ? "kill: on (cgroup.kill)"
                               : "kill: emulated (freezer and signals, Linux < 5.14)",
            "memory.max: on (v1 memory.limit_in_bytes)",
            "memory.oom.group: off (v1 has none)",
            "private memory: on (v1 memory.stat, rss + swap + shmem)",
            "oom verdict: on (v1 memory.oom_control)",
            has("memory.pressure") ? "pressure: on (PSI)" : "pressure: off (no memory.pressure)",
        };
    }

    Tier tier() const override { return Tier::b; }
    const std::vector<std::string>& features() const override { return features_; }
    const std::string& reason() const override { return reason_; }

    std::uint64_t memory_limit() const override {
        const std::uint64_t all = total_memory();
        return std::min(v1_memory_limit(v1_.base()).value_or(all), all);
    }

    Result<std::unique_ptr<Leaf>> make_leaf(const std::string& pool, const std::string& name,
                                            const LeafLimits& limits) override;

    void remove_all() override {
        v2_.remove_all();
        v1_.remove_all();
    }

  private:
    CgroupTree v2_;
    CgroupTree v1_;
    std::string reason_;
    std::vector<std::string> features_;
};

Result<std::unique_ptr<Leaf>> HybridCgroups::make_leaf(const std::string& pool,
                                                       const std::string& name,
                                                       const LeafLimits& limits) {
    const auto v2_path = v2_.make_leaf(pool, name);
    if (!v2_path) {
        return v2_path.error();
    }
    const auto v1_path = v1_.make_leaf(pool, name);
    if (!v1_path) {
        (void)remove_groups(*v2_path);
        return v1_path.error();
    }
    const auto give_up = [&](const Error& error) -> Result<std::unique_ptr<Leaf>> {
        (void)remove_groups(*v2_path);
        (void)remove_groups(*v1_path);
        return error;
    };
    if (limits.memory_max) {
        if (const auto set = set_v1_limit(*v1_path, *limits.memory_max); !set) {
            return give_up(set.error());
        }
    }
    auto group = V2Group::open(*v2_path);
    if (!group) {
        return give_up(group.error());
    }
    UniqueFd tasks(::open((*v1_path + "/tasks").c_str(), O_WRONLY | O_CLOEXEC));
    if (!tasks) {
        return give_up(errno_error("open", *v1_path + "/tasks"));
    }
    return std::unique_ptr<Leaf>(
        std::make_unique<HybridLeaf>(std::move(*group), *v1_path, std::move(tasks)));
}

/// Beneath `root`; without one beneath our own group, or at the top where that cannot be written.
Result<CgroupTree> open_tree(const Hierarchy& hierarchy, const TierContext& context) {
    if (context.root) {
        return CgroupTree::open(hierarchy, hierarchy.mount + *context.root, {}, context.logger);
    }
    if (hierarchy.own) {
        auto tree = CgroupTree::open(hierarchy, *hierarchy.own, {}, context.logger);
        if (tree || *hierarchy.own == hierarchy.mount) {
            return tree;
        }
    }
    return CgroupTree::open(hierarchy, hierarchy.mount, {}, context.logger);
}

}  // namespace

Result<std::unique_ptr<Cgroups>> open_hybrid(const TierContext& context, std::string reason) {
    if (!context.host.v2) {
        return errno_error("cgroup v2 is not mounted", {}, 0);
    }
    if (!context.host.v1_memory) {
        return errno_error("the v1 memory controller is not mounted", {}, 0);
    }
    auto v2 = open_tree(*context.host.v2, context);
    if (!v2) {
        return v2.error();
    }
    auto v1 = open_tree(*context.host.v1_memory, context);
    if (!v1) {
        v2->remove_all();
        return v1.error();
    }
    return std::unique_ptr<Cgroups>(
        std::make_unique<HybridCgroups>(std::move(*v2), std::move(*v1), std::move(reason)));
}

}  // namespace supervise
