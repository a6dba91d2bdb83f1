#include "cgroup_tree.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/control_file.hpp"
#include "process_tree.hpp"

namespace supervise {
namespace {

bool usable_name(const std::string& name) {
    return !name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos;
}

/// mkdir, true when it was not there before.
Result<bool> make_folder(const std::string& path) {
    if (::mkdir(path.c_str(), 0755) == 0) {
        return true;
    }
    if (errno == EEXIST) {
        return false;
    }
    return errno_error("make cgroup", path);
}

}  // namespace

std::string instance_name() {
    const pid_t pid = ::getpid();
    const auto facts = facts_of(pid);
    return "supervise-" + std::to_string(pid) + '-' + std::to_string(facts ? facts->start_time : 0);
}

bool is_stale_instance(const std::string& name) {
    pid_t pid = 0;
    unsigned long long start_time = 0;
    int used = 0;
    if (std::sscanf(name.c_str(), "supervise-%d-%llu%n", &pid, &start_time, &used) != 2 ||
        name.size() != static_cast<std::size_t>(used)) {
        return false;
    }
    const auto facts = facts_of(pid);
    return !facts || facts->start_time != start_time;
}

std::vector<std::string> groups_in(const std::string& path) {
    std::vector<std::string> out;
    const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()), ::closedir);
    while (dir) {
        const dirent* entry = ::readdir(dir.get());
        if (entry == nullptr) {
            break;
        }
        if (entry->d_type == DT_DIR && usable_name(entry->d_name)) {
            out.push_back(path + '/' + entry->d_name);
        }
    }
    return out;
}

Result<void> remove_groups(const std::string& path) {
    Result<void> result;
    for (const std::string& inner : groups_in(path)) {
        const auto removed = remove_groups(inner);
        if (!removed) {
            result = removed;
        }
    }
    if (result && ::rmdir(path.c_str()) < 0 && errno != ENOENT) {
        return errno_error("remove cgroup", path);
    }
    return result;
}

bool lists_controller(const std::string& file, const std::string& controller) {
    auto text = read_control_file(AT_FDCWD, file);
    if (!text) {
        return false;
    }
    std::replace(text->begin(), text->end(), '\n', ' ');
    return (' ' + *text + ' ').find(' ' + controller + ' ') != std::string::npos;
}

Result<void> enable_controllers(const std::string& group,
                                const std::vector<std::string>& controllers) {
    for (std::size_t i = 0; i < controllers.size(); ++i) {
        const auto written =
            write_control_file(AT_FDCWD, group + "/cgroup.subtree_control", '+' + controllers[i]);
        if (!written && i == 0) {
            return written.error();
        }
    }
    return {};
}

Result<CgroupTree> CgroupTree::open(const Hierarchy& hierarchy, const std::string& base,
                                    std::vector<std::string> controllers, const Logger& logger) {
    CgroupTree tree;
    tree.base_ = base;
    tree.controllers_ = std::move(controllers);
    tree.logger_ = logger;
    // A failure below leaves nothing behind.
    const auto give_up = [&tree](const Error& error) -> Result<CgroupTree> {
        tree.remove_all();
        return error;
    };
    if (const auto made = tree.make_base(hierarchy.mount.size()); !made) {
        return give_up(made.error());
    }
    tree.remove_stale();
    tree.instance_ = base + '/' + instance_name();
    if (const auto made = tree.make_group(tree.instance_); !made) {
        return give_up(made.error());
    }
    return tree;
}

Result<void> CgroupTree::make_base(std::size_t mount_size) {
    for (std::size_t end = mount_size; end < base_.size();) {
        end = std::min(base_.find('/', end + 1), base_.size());
        const std::string path = base_.substr(0, end);
        const auto made = make_folder(path);
        if (!made) {
            return made.error();
        }
        if (*made && !made_above_.empty()) {
            // What we made before hands the controllers down; the group above that is the host's,
            // and open_v2() has looked whether it does.
            const auto enabled = enable_controllers(made_above_.back(), controllers_);
            if (!enabled) {
                return enabled.error();
            }
        }
        if (*made) {
            made_above_.push_back(path);
        }
    }
    for (const std::string& name : controllers_) {
        if (made_above_.empty() && !lists_controller(base_ + "/cgroup.subtree_control", name)) {
            handed_down_.push_back(name);
        }
    }
    return enable_controllers(base_, controllers_);
}

Result<void> CgroupTree::make_group(const std::string& path) {
    const auto made = make_folder(path);
    if (!made) {
        return made.error();
    }
    return *made ? enable_controllers(path, controllers_) : Result<void>{};
}

void CgroupTree::remove_stale() {
    for (const std::string& path : groups_in(base_)) {
        if (!is_stale_instance(path.substr(path.rfind('/') + 1))) {
            continue;
        }
        if (const auto removed = remove_groups(path); removed) {
            logger_.info("cgroup.stale_removed", {{"path", path}});
        } else {
            // Its workers outlive a killed supervisor until their job is done; they are not ours.
            logger_.warning("cgroup.stale_left",
                            {{"path", path}, {"reason", removed.error().message()}});
        }
    }
}

Result<std::string> CgroupTree::make_leaf(const std::string& pool, const std::string& name) {
    if (!usable_name(pool) || !usable_name(name)) {
        return errno_error("make cgroup", pool + '/' + name, EINVAL);
    }
    // Another supervisor in a pid namespace of its own may have taken our empty groups for stale.
    if (const auto made = make_group(instance_); !made) {
        return made.error();
    }
    const std::string group = instance_ + '/' + pool;
    if (const auto made = make_group(group); !made) {
        return made.error();
    }
    const std::string leaf = group + '/' + name;
    const auto made = make_folder(leaf);
    if (!made) {
        return made.error();
    }
    if (!*made) {  // a used leaf can kill whoever is born into it
        return errno_error("make cgroup", leaf, EEXIST);
    }
    return leaf;
}

void CgroupTree::remove_all() {
    remove_stale();  // once more: what was in use when we came has most often ended since
    if (!instance_.empty()) {
        if (const auto removed = remove_groups(instance_); !removed) {
            logger_.warning("cgroup.left",
                            {{"path", instance_}, {"reason", removed.error().message()}});
        }
    }
    for (const std::string& name : handed_down_) {
        // Fails while a second supervisor uses the same base: then it is that one's to keep.
        (void)write_control_file(AT_FDCWD, base_ + "/cgroup.subtree_control", '-' + name);
    }
    handed_down_.clear();
    for (; !made_above_.empty(); made_above_.pop_back()) {
        ::rmdir(made_above_.back().c_str());  // stays while somebody else is in it
    }
}

}  // namespace supervise
