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

Error no_such(const std::string& kind, const std::string& name) {
    return errno_error("find " + kind, name + ", which was there when the config was read", ENOENT);
}

/// Never goes on without the user that was asked for: the worker would run as ours.
Result<void> set_user(LaunchSpec& spec, const PoolSettings& settings) {
    if (settings.user) {
        const std::optional<unsigned> number = as_number(*settings.user);
        const passwd* entry = number ? ::getpwuid(*number) : ::getpwnam(settings.user->c_str());
        if (entry == nullptr && !number) {
            return no_such("user", *settings.user);
        }
        spec.uid = entry != nullptr ? entry->pw_uid : *number;
        spec.gid = entry != nullptr ? entry->pw_gid : *number;
        if (entry != nullptr) {
            gid_t groups[64];
            int count = 64;
            if (::getgrouplist(entry->pw_name, entry->pw_gid, groups, &count) < 0) {
                return errno_error("take the groups of user", *settings.user + ": more than 64",
                                   E2BIG);
            }
            spec.groups.assign(groups, groups + count);
        }
    }
    if (settings.group) {
        const std::optional<unsigned> number = as_number(*settings.group);
        const group* found = number ? nullptr : ::getgrnam(settings.group->c_str());
        if (found == nullptr && !number) {
            return no_such("group", *settings.group);
        }
        spec.gid = found != nullptr ? found->gr_gid : *number;
    }
    return {};
}

}  // namespace

void put_variable(std::vector<std::string>& environment, const std::string& name,
                  const std::string& value) {
    const std::string start = name + '=';
    std::erase_if(environment, [&](const std::string& entry) { return entry.starts_with(start); });
    environment.push_back(start + value);
}

Result<LaunchSpec> make_template_spec(const PoolSettings& settings, const PoolContext& context) {
    Result<LaunchSpec> spec = make_worker_spec(settings, context);
    if (spec) {
        spec->argv.insert(spec->argv.end(), {"--template", "--pool", settings.name});
    }
    return spec;
}

Result<LaunchSpec> make_worker_spec(const PoolSettings& settings, const PoolContext& context) {
    LaunchSpec spec;
    spec.argv = {settings.python, context.package_dir + "/supervise/_worker_main.py", settings.app};
    for (const std::string& path : settings.module_path) {
        spec.argv.insert(spec.argv.end(), {"--path", path});
    }
    if (settings.kind == PoolKind::celery) {
        spec.argv.push_back("--celery");
    }
    spec.directory = settings.directory;
    spec.environment = context.environment;
    put_variable(spec.environment, "SUPERVISE_POOL", settings.name);
    put_variable(spec.environment, "SUPERVISE_RUNTIME_DIR", context.runtime_dir);
    for (const auto& [name, value] : settings.environment) {
        put_variable(spec.environment, name, value);
    }
    if (const Result<void> found = set_user(spec, settings); !found) {
        return found.error();
    }
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
