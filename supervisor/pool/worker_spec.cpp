#include "worker_spec.hpp"

#include <grp.h>
#include <pwd.h>

#include <algorithm>
#include <charconv>

namespace supervise {
namespace {

std::optional<unsigned> as_number(const std::string& text) {
    unsigned number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc{} && end == text.data() + text.size() ? std::optional(number)
                                                                    : std::nullopt;
}

void set_user(LaunchSpec& spec, const PoolSettings& settings) {
    const passwd* entry = nullptr;
    if (settings.user) {
        const std::optional<unsigned> number = as_number(*settings.user);
        entry = number ? ::getpwuid(*number) : ::getpwnam(settings.user->c_str());
        if (entry != nullptr) {
            spec.uid = entry->pw_uid;
            spec.gid = entry->pw_gid;
            gid_t groups[64];
            int count = 64;
            if (::getgrouplist(entry->pw_name, entry->pw_gid, groups, &count) >= 0) {
                spec.groups.assign(groups, groups + count);
            }
        } else {
            spec.uid = number;
            spec.gid = number;
        }
    }
    if (settings.group) {
        const std::optional<unsigned> number = as_number(*settings.group);
        const group* found = number ? nullptr : ::getgrnam(settings.group->c_str());
        spec.gid = found != nullptr ? std::optional<gid_t>(found->gr_gid) : number;
    }
}

void put(std::vector<std::string>& environment, const std::string& name, const std::string& value) {
    const std::string start = name + '=';
    std::erase_if(environment, [&](const std::string& entry) { return entry.starts_with(start); });
    environment.push_back(start + value);
}

}  // namespace

LaunchSpec make_worker_spec(const PoolSettings& settings, const PoolContext& context) {
    LaunchSpec spec;
    spec.argv = {settings.python, context.package_dir + "/supervise/_worker_main.py", settings.app};
    for (const std::string& path : settings.module_path) {
        spec.argv.insert(spec.argv.end(), {"--path", path});
    }
    spec.directory = settings.directory;
    spec.environment = context.environment;
    put(spec.environment, "SUPERVISE_POOL", settings.name);
    put(spec.environment, "SUPERVISE_RUNTIME_DIR", context.runtime_dir);
    for (const auto& [name, value] : settings.environment) {
        put(spec.environment, name, value);
    }
    set_user(spec, settings);
    spec.umask = settings.umask;
    spec.limits = settings.limits;
    for (const ResourceLimit& limit : context.limits) {
        const bool own = std::any_of(
            settings.limits.begin(), settings.limits.end(),
            [&](const ResourceLimit& other) { return other.resource == limit.resource; });
        if (!own) {
            spec.limits.push_back(limit);
        }
    }
    spec.oom_score_adj = settings.memory.oom_score_adj;
    return spec;
}

}  // namespace supervise
