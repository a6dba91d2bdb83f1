// Tier A: cgroup v2 with the memory controller, as under systemd's Delegate=yes.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/control_file.hpp"
#include "cgroup_tiers.hpp"
#include "cgroup_tree.hpp"
#include "memory_files.hpp"
#include "v2_group.hpp"

namespace supervise {
namespace {

class V2Leaf final : public Leaf {
  public:
    explicit V2Leaf(V2Group group)
        : group_(std::move(group)),
          stat_(group_.path() + "/memory.stat"),
          swap_(group_.path() + "/memory.swap.current") {}

    int cgroup_dir() const override { return group_.dir(); }
    int cgroup_v1_tasks() const override { return -1; }
    void attach(pid_t pid) override { process_.attach(pid); }

    std::optional<MemorySample> sample() override {
        const auto bytes = process_.read();
        if (!bytes) {
            return std::nullopt;
        }
        // Without swap accounting there is no memory.swap.current.
        MemorySample out{bytes->resident, swap_.is_open() ? swap_.number().value_or(0) : 0};
        const bool there = stat_.with_text([&out](std::string_view text) {
            out.private_bytes += find_counter(text, "anon").value_or(0);
            out.private_bytes += find_counter(text, "shmem").value_or(0);
        });
        return there ? std::optional(out) : std::nullopt;
    }

    std::optional<MemoryEvents> events() override {
        const auto text = read_control_file(group_.dir(), "memory.events");
        if (!text) {
            return std::nullopt;
        }
        MemoryEvents out;
        out.oom_kill = find_counter(*text, "oom_kill").value_or(0);
        out.max = find_counter(*text, "max").value_or(0);
        out.peak = KeptFile(group_.path() + "/memory.peak").number().value_or(0);
        return out;
    }

    Result<void> kill_all(pid_t /*pid*/) override { return group_.kill(); }
    bool populated() override { return group_.populated(); }
    Result<void> remove() override { return group_.remove(); }

  private:
    V2Group group_;
    KeptFile stat_;
    KeptFile swap_;
    ProcessMemory process_;
};

/// The supervisor's own way out of an inner group, where no process may sit.
class OwnLeaf {
  public:
    OwnLeaf() = default;
    /// Moves this process from `group` to a leaf "supervisor" in it.
    Result<void> enter(const std::string& group) {
        const auto procs = read_control_file(AT_FDCWD, group + "/cgroup.procs");
        if (!procs) {
            return procs.error();
        }
        const std::string me = std::to_string(::getpid()) + '\n';
        if (*procs != me) {
            return errno_error("other processes share our group " + group +
                                   "; run it in a group of its own (systemd: Delegate=yes) or set "
                                   "cgroup_root",
                               {}, 0);
        }
        const std::string leaf = group + "/supervisor";
        if (::mkdir(leaf.c_str(), 0755) < 0 && errno != EEXIST) {
            return errno_error("make cgroup", leaf);
        }
        if (const auto moved = write_control_file(AT_FDCWD, leaf + "/cgroup.procs", "0"); !moved) {
            ::rmdir(leaf.c_str());
            return moved.error();
        }
        group_ = group;
        return {};
    }
    /// Back to where we came from; the group must hand no controllers down any more.
    void leave() {
        if (!group_.empty()) {
            (void)write_control_file(AT_FDCWD, group_ + "/cgroup.procs", "0");
            ::rmdir((group_ + "/supervisor").c_str());
            group_.clear();
        }
    }

  private:
    std::string group_;
};

class V2Cgroups final : public Cgroups {
  public:
    V2Cgroups(Hierarchy hierarchy, CgroupTree tree, OwnLeaf own)
        : hierarchy_(std::move(hierarchy)), tree_(std::move(tree)), own_(std::move(own)) {}

    /// Makes a leaf on trial: what its folder holds tells what this kernel can do.
    Result<void> probe();

    Tier tier() const override { return Tier::a; }
    const std::vector<std::string>& features() const override { return features_; }
    const std::string& reason() const override { return reason_; }

    std::uint64_t memory_limit() const override {
        const std::uint64_t all = total_memory();
        return std::min(v2_memory_limit(hierarchy_, tree_.base()).value_or(all), all);
    }

    Result<std::unique_ptr<Leaf>> make_leaf(const std::string& pool, const std::string& name,
                                            const LeafLimits& limits) override;

    void remove_all() override {
        tree_.remove_all();
        own_.leave();
    }

  private:
    Hierarchy hierarchy_;
    CgroupTree tree_;
    OwnLeaf own_;
    std::string reason_;
    std::vector<std::string> features_;
};

Result<void> V2Cgroups::probe() {
    const auto leaf = tree_.make_leaf("probe", "leaf");
    if (!leaf) {
        return leaf.error();
    }
    const auto has = [&leaf](const char* file) {
        return ::access((*leaf + '/' + file).c_str(), F_OK) == 0;
    };
    features_ = {
        "spawn: on (CLONE_INTO_CGROUP)",
        has("cgroup.kill") ? "kill: on (cgroup.kill)"
                           : "kill: emulated (freezer and signals, Linux < 5.14)",
        "memory.max: on",
        has("memory.oom.group") ? "memory.oom.group: on" : "memory.oom.group: off (Linux < 4.19)",
        has("memory.swap.current") ? "private memory: on (memory.stat, anon + swap + shmem)"
                                   : "private memory: on (memory.stat, anon + shmem; no swap)",
        "oom verdict: on (memory.events)",
        has("memory.pressure") ? "pressure: on (PSI)" : "pressure: off (no memory.pressure)",
    };
    const bool whole = has("memory.stat") && has("memory.max");
    (void)remove_groups(leaf->substr(0, leaf->rfind('/')));
    return whole ? Result<void>{}
                 : errno_error("the memory controller does not reach our leaves", {}, 0);
}

Result<std::unique_ptr<Leaf>> V2Cgroups::make_leaf(const std::string& pool, const std::string& name,
                                                   const LeafLimits& limits) {
    const auto path = tree_.make_leaf(pool, name);
    if (!path) {
        return path.error();
    }
    const auto give_up = [&path](const Error& error) -> Result<std::unique_ptr<Leaf>> {
        (void)remove_groups(*path);
        return error;
    };
    auto group = V2Group::open(*path);
    if (!group) {
        return give_up(group.error());
    }
    // A worker dies whole or not at all; never set above the leaf, where it would take us all.
    (void)write_control_file(group->dir(), "memory.oom.group", "1");
    if (limits.memory_max) {
        const auto set =
            write_control_file(group->dir(), "memory.max", std::to_string(*limits.memory_max));
        if (!set) {
            return give_up(set.error());
        }
    }
    return std::unique_ptr<Leaf>(std::make_unique<V2Leaf>(std::move(*group)));
}

/// The group whose controllers `base` will have: the nearest one that is there.
std::string existing_part(const std::string& mount, std::string base) {
    while (base.size() > mount.size() && ::access(base.c_str(), F_OK) != 0) {
        base.resize(base.rfind('/'));
    }
    return base;
}

}  // namespace

Result<std::unique_ptr<Cgroups>> open_v2(const TierContext& context) {
    if (!context.host.v2) {
        return errno_error("cgroup v2 is not mounted", {}, 0);
    }
    const Hierarchy& hierarchy = *context.host.v2;
    if (!context.root && !hierarchy.own) {
        return errno_error("our own cgroup is not beneath " + hierarchy.mount, {}, 0);
    }
    const std::string base = context.root ? hierarchy.mount + *context.root : *hierarchy.own;
    const std::string from = existing_part(hierarchy.mount, base);
    if (!lists_controller(from + "/cgroup.controllers", "memory")) {
        return errno_error("no memory controller in " + from, {}, 0);
    }
    if (from != base && !lists_controller(from + "/cgroup.subtree_control", "memory")) {
        return errno_error("no memory controller below " + from +
                               "; switch it on: echo +memory > " + from + "/cgroup.subtree_control",
                           {}, 0);
    }
    OwnLeaf own;
    // The real root of all groups (it has no cgroup.events) may hold processes.
    const bool inner = ::access((base + "/cgroup.events").c_str(), F_OK) == 0;
    if (!context.root && inner) {
        if (const auto entered = own.enter(base); !entered) {
            return entered.error();
        }
    }
    auto tree = CgroupTree::open(hierarchy, base, {"memory", "pids", "cpu"}, context.logger);
    if (!tree) {
        own.leave();
        return tree.error();
    }
    auto out = std::make_unique<V2Cgroups>(hierarchy, std::move(*tree), std::move(own));
    if (const auto probed = out->probe(); !probed) {
        out->remove_all();
        return probed.error();
    }
    return std::unique_ptr<Cgroups>(std::move(out));
}

}  // namespace supervise
