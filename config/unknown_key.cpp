#include "config/unknown_key.hpp"

#include <algorithm>
#include <array>
#include <iterator>

#include "config/diagnostic.hpp"
#include "config/suggest.hpp"

namespace supervise::config {
namespace {

/// What other programs call these keys; right of it the path that ours has.
constexpr std::array<std::pair<std::string_view, std::string_view>, 16> other_names{{
    {"concurrency", "pool.NAME.workers"},
    {"processes", "pool.NAME.workers"},
    {"module", "pool.NAME.app"},
    {"command", "pool.NAME.app"},
    {"cwd", "pool.NAME.directory"},
    {"chdir", "pool.NAME.directory"},
    {"env", "pool.NAME.environment"},
    {"rlimits", "pool.NAME.limits"},
    {"preload_app", "pool.NAME.preload"},
    {"standby", "pool.NAME.spare"},
    {"prefetch", "pool.NAME.jobs.window"},
    {"prefetch_multiplier", "pool.NAME.jobs.window"},
    {"max_requests", "pool.NAME.recycle.max_tasks"},
    {"max_tasks_per_child", "pool.NAME.recycle.max_tasks"},
    {"max_memory_per_child", "pool.NAME.recycle.max_rss"},
    {"max_memory", "pool.NAME.recycle.max_rss"},
}};

std::string last_part(std::string_view path) {
    return std::string(path.substr(path.rfind('.') + 1));
}

std::string parent(std::string_view path) {
    const std::size_t dot = path.rfind('.');
    return std::string(path.substr(0, dot == std::string_view::npos ? 0 : dot));
}

/// "pool.NAME.recycle" with the name of the pool that `path` lies in.
std::string for_pool_of(std::string table, std::string_view path) {
    const std::size_t name = table.find("NAME");
    if (name != std::string::npos && path.substr(0, 5) == "pool.") {
        const std::string_view rest = path.substr(5);
        table.replace(name, 4, rest.substr(0, rest.find('.')));
    }
    return table;
}

/// The path of the key that is meant, wherever it belongs; empty when nothing is near.
std::string meant_path(std::string_view key, const std::string& table,
                       const std::vector<std::string>& known,
                       const std::vector<std::string>& all_keys) {
    for (const auto& [other, path] : other_names) {
        if (edit_distance(key, other) == 0) {
            return std::string(path);
        }
    }
    const auto ends_in = [&](std::string_view name) {
        return std::find_if(all_keys.begin(), all_keys.end(), [&](const std::string& path) {
            return edit_distance(name, last_part(path)) == 0;
        });
    };
    if (const auto exact = ends_in(key); exact != all_keys.end()) {
        return *exact;
    }
    if (const std::string_view near = nearest(key, known); !near.empty()) {
        return table + '.' + std::string(near);
    }
    std::vector<std::string> names;
    std::transform(all_keys.begin(), all_keys.end(), std::back_inserter(names), last_part);
    const std::string_view near = nearest(key, names);
    return near.empty() ? "" : *ends_in(near);
}

}  // namespace

std::string in_table(const std::string& path) { return path.empty() ? "" : " in [" + path + ']'; }

std::string unknown_key(std::string_view key, const std::string& table,
                        const std::vector<std::string>& known,
                        const std::vector<std::string>& all_keys) {
    const std::string text = "unknown key " + in_quotes(key) + in_table(table);
    const std::string meant = meant_path(key, table, known, all_keys);
    if (meant.empty()) {
        return text + "; known here: " + join(known);
    }
    const std::string name = last_part(meant);
    const std::string home = for_pool_of(parent(meant), table);
    const std::string place = home == table ? "" : home.empty() ? " at the top" : in_table(home);
    return text + (name == key ? "; it belongs" + place : "; did you mean " + name + place + '?');
}

}  // namespace supervise::config
