#include "settings_diff.hpp"

#include <algorithm>
#include <map>
#include <sstream>

#include "config/load.hpp"

namespace supervise {
namespace {

/// "pool reports: recycle.max_tasks" -> "1000", from the effective values as TOML.
std::map<std::string, std::string> flatten(const Settings& settings) {
    std::map<std::string, std::string> values;
    std::istringstream lines(config::effective_toml(settings));
    std::string line;
    std::string place;
    while (std::getline(lines, line)) {
        if (line.empty()) {
            continue;
        }
        if (line.front() == '[') {
            const std::string table = line.substr(1, line.find(']') - 1);
            if (table.rfind("pool.", 0) == 0) {
                const std::size_t dot = table.find('.', 5);
                place = "pool " + table.substr(5, dot - 5) + ": " +
                        (dot == std::string::npos ? "" : table.substr(dot + 1) + '.');
            } else {
                place = table + ": ";
            }
        } else if (const std::size_t equals = line.find(" = "); equals != std::string::npos) {
            const std::size_t end = line.find_last_not_of(' ', equals);
            values[place + line.substr(0, end + 1)] = line.substr(equals + 3);
        }
    }
    return values;
}

/// Takes the pools that `other` has not out of `settings`; their names.
std::vector<std::string> take_out_strangers(Settings& settings, const Settings& other) {
    std::vector<std::string> names;
    std::erase_if(settings.pools, [&](const PoolSettings& pool) {
        const bool stranger =
            std::none_of(other.pools.begin(), other.pools.end(),
                         [&pool](const PoolSettings& each) { return each.name == pool.name; });
        if (stranger) {
            names.push_back(pool.name);
        }
        return stranger;
    });
    return names;
}

}  // namespace

std::vector<std::string> describe_changes(const Settings& before, const Settings& after) {
    Settings left = before;
    Settings right = after;
    std::vector<std::string> changes;
    for (const std::string& name : take_out_strangers(right, before)) {
        changes.push_back("pool " + name + " added");
    }
    for (const std::string& name : take_out_strangers(left, after)) {
        changes.push_back("pool " + name + " removed");
    }
    const std::map<std::string, std::string> old_values = flatten(left);
    const std::map<std::string, std::string> new_values = flatten(right);
    for (const auto& [key, value] : new_values) {
        const auto old = old_values.find(key);
        if (old == old_values.end()) {
            changes.push_back(key + " set to " + value);
        } else if (old->second != value) {
            changes.push_back(key + ' ' + old->second + " -> " + value);
        }
    }
    for (const auto& [key, value] : old_values) {
        if (new_values.count(key) == 0) {
            changes.push_back(key + " no longer set");
        }
    }
    return changes;
}

std::vector<std::string> changes_that_need_a_restart(const Settings& before,
                                                     const Settings& after) {
    Settings left;
    left.supervisor = before.supervisor;
    Settings right;
    right.supervisor = after.supervisor;
    return describe_changes(left, right);
}

}  // namespace supervise
