#pragma once

#include <unistd.h>

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "supervisor/process/cgroup.hpp"
#include "supervisor/process/cgroup_host.hpp"
#include "supervisor/process/cgroup_tree.hpp"
#include "support.hpp"

namespace supervise::test {

/// A root group for one test, at the top of the hierarchies, and what was logged about it.
class TestGroups {
  public:
    explicit TestGroups(std::optional<Tier> force = std::nullopt) : host_(find_cgroups()) {
        open(force);
    }
    ~TestGroups() {
        cgroups_->remove_all();
        for (const std::string& folder : folders()) {
            (void)remove_groups(folder);
        }
    }
    TestGroups(const TestGroups&) = delete;
    TestGroups& operator=(const TestGroups&) = delete;

    void open(std::optional<Tier> force = std::nullopt) {
        const Logger logger(
            [this](LogLevel, std::string_view event, const LogField* fields, std::size_t) {
                log.push_back(std::string(event) + ' ' + fields[0].value);
            });
        cgroups_ = open_cgroups(root(), force, logger);
    }
    Cgroups& operator*() { return *cgroups_; }
    Cgroups* operator->() { return cgroups_.get(); }
    bool real() const { return cgroups_->tier() == Tier::a || cgroups_->tier() == Tier::b; }

    static std::string root() { return "/supervise-test-" + std::to_string(::getpid()); }
    /// The root group's folder in each tree that this tier uses.
    std::vector<std::string> folders() const {
        std::vector<std::string> out;
        if (real()) {
            out.push_back(host_.v2->mount + root());
        }
        if (cgroups_->tier() == Tier::b) {
            out.push_back(host_.v1_memory->mount + root());
        }
        return out;
    }

    std::vector<std::string> log;

  private:
    HostCgroups host_;
    std::unique_ptr<Cgroups> cgroups_;
};

inline LaunchSpec in(Leaf& leaf, LaunchSpec spec) {
    spec.cgroup_dir = leaf.cgroup_dir();
    spec.cgroup_v1_tasks = leaf.cgroup_v1_tasks();
    return spec;
}

inline const char* no_groups() { return "no cgroups can be made here (needs root and cgroup v2)"; }

}  // namespace supervise::test
