#include "config/validate.hpp"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cstring>
#include <functional>
#include <map>
#include <optional>

#include "config/paths.hpp"
#include "config/units.hpp"

namespace supervise::config {
namespace {

std::string quoted_path(const std::string& path) { return in_quotes(path, 4'096); }

/// Why `path` is no folder, or nothing.
std::string folder_problem(const std::string& path) {
    struct stat status {};
    if (::stat(path.c_str(), &status) != 0) {
        return errno == ENOENT ? "is not there: create it, or name another"
                               : std::string("cannot be used: ") + std::strerror(errno);
    }
    return S_ISDIR(status.st_mode) ? "" : "is not a folder: name one";
}

std::string parent_of(const std::string& path) {
    const std::size_t slash = path.rfind('/');
    return slash == 0 ? "/" : path.substr(0, slash);
}

/// "package.module": what `import` takes. Letters beyond ASCII are left to Python.
bool is_module_name(std::string_view text) {
    bool first = true;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        const bool letter =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || byte >= 0x80;
        const bool digit = c >= '0' && c <= '9';
        if (c == '.' ? first : !(letter || (digit && !first))) {
            return false;
        }
        first = c == '.';
    }
    return !first;
}

/// As `celery -A` takes it, or "@" and the path of a pickled application.
bool is_celery_app(std::string_view text) {
    const std::size_t colon = text.find(':');
    return text.starts_with("@/") ||
           (is_module_name(text.substr(0, colon)) &&
            (colon == std::string_view::npos || is_module_name(text.substr(colon + 1))));
}

/// The module name that "reports/tasks.py" or "reports.tasks:app" most likely means.
std::string meant_module(std::string text) {
    text = text.substr(0, text.find(':'));
    if (text.ends_with(".py")) {
        text.resize(text.size() - 3);
    }
    std::replace(text.begin(), text.end(), '/', '.');
    return is_module_name(text) ? text : "reports.tasks";
}

class Validation {
  public:
    Validation(const Settings& settings, const Host& host, const Positions& positions,
               Diagnostics& diagnostics)
        : settings_(settings), host_(host), positions_(positions), diagnostics_(diagnostics) {}

    void run() {
        supervisor();
        for (const PoolSettings& pool : settings_.pools) {
            path_ = "pool." + pool.name + '.';
            program(pool);
            rights(pool);
            limits(pool);
            memory(pool);
            times(pool);
        }
        nodes();
    }

  private:
    void error(const std::string& key, const std::string& message) {
        diagnostics_.error(positions_.at(path_ + key), key + ' ' + message);
    }
    void warning(const std::string& key, const std::string& message) {
        diagnostics_.warning(positions_.at(path_ + key), key + ' ' + message);
    }

    void supervisor() {
        const SupervisorSettings& supervisor = settings_.supervisor;
        path_ = "supervisor.";
        users("operators", supervisor.operators);
        const LogSettings& log = supervisor.log;
        if (log.file) {
            if (log.format == "journald") {
                error("log.file",
                      "cannot be used with format = \"journald\", which writes to the "
                      "journal: leave one of the two out");
            }
            if (const std::string problem = folder_problem(parent_of(*log.file));
                !problem.empty()) {
                error("log.file",
                      quoted_path(*log.file) + " cannot be opened, since its folder " + problem);
            }
            struct stat status {};
            if (::stat(log.file->c_str(), &status) == 0 && S_ISDIR(status.st_mode)) {
                error("log.file", quoted_path(*log.file) + " is a folder: name a file in it");
            }
        }
        socket_paths(supervisor.runtime_dir);
    }

    /// A socket's address holds a path of 107 bytes.
    void socket_paths(const std::string& runtime_dir) {
        std::string longest = "control";
        for (const PoolSettings& pool : settings_.pools) {
            longest = pool.name.size() > longest.size() ? pool.name : longest;
        }
        const std::string socket = runtime_dir + '/' + longest + ".sock";
        if (socket.size() >= sizeof(sockaddr_un::sun_path)) {
            error("runtime_dir", quoted_path(runtime_dir) + " is too long: the socket " + longest +
                                     ".sock in it has " + "a path of " +
                                     std::to_string(socket.size()) +
                                     " bytes, and the system takes " +
                                     std::to_string(sizeof(sockaddr_un::sun_path) - 1) +
                                     ": choose a shorter folder");
        }
    }

    void users(const std::string& key, const std::vector<std::string>& names) {
        for (std::size_t i = 0; i < names.size(); ++i) {
            if (!user_exists(names[i])) {
                diagnostics_.error(positions_.at(path_ + key + '.' + std::to_string(i)),
                                   key + " names " + in_quotes(names[i]) +
                                       ", but there is no such user here: create it or leave it "
                                       "out");
            }
        }
    }

    /// The PATH that the launcher looks in.
    const std::string& search_path(const PoolSettings& pool) const {
        const auto own = pool.environment.find("PATH");
        return own == pool.environment.end() ? host_.search_path : own->second;
    }

    void program(const PoolSettings& pool) {
        const bool celery = pool.kind == PoolKind::celery;
        const bool good = celery ? is_celery_app(pool.app) : is_module_name(pool.app);
        if (!pool.app.empty() && !good && celery) {
            error("app", in_quotes(pool.app) +
                             " is no Celery application: write it as for celery -A, \"proj\" or "
                             "\"proj.app:app\"");
        } else if (!pool.app.empty() && !good) {
            error("app", in_quotes(pool.app) +
                             " is not a module's name: write it as in an import, " +
                             in_quotes(meant_module(pool.app)));
        }
        const bool checked = pool.python.find('/') == std::string::npos || pool.python[0] == '/';
        if (const std::string problem = program_problem(pool.python, search_path(pool));
            checked && !problem.empty()) {
            error("python", quoted_path(pool.python) + ' ' + problem);
        }
        if (const std::string problem = folder_problem(pool.directory); !problem.empty()) {
            error("directory", quoted_path(pool.directory) + ' ' + problem);
        }
        for (std::size_t i = 0; i < pool.module_path.size(); ++i) {
            struct stat status {};  // a zip file will do as well
            if (pool.module_path[i][0] == '/' &&
                ::stat(pool.module_path[i].c_str(), &status) != 0) {
                diagnostics_.warning(positions_.at(path_ + "module_path." + std::to_string(i)),
                                     "module_path names " + quoted_path(pool.module_path[i]) +
                                         ", which is not there: " + std::strerror(errno));
            }
        }
        if (pool.on_unsafe_fork != OnUnsafeFork::spawn && !pool.preload) {
            warning("on_unsafe_fork",
                    "has no effect without preload = true: nothing is forked then");
        }
        if (pool.min_workers > pool.max_workers) {
            error("workers.min", '=' + (' ' + std::to_string(pool.min_workers)) +
                                     " is more than max = " + std::to_string(pool.max_workers) +
                                     ": write a min of at most max");
        }
    }

    void rights(const PoolSettings& pool) {
        users("clients", pool.clients);
        if (pool.user) {
            account("user", *pool.user, user_exists(*pool.user));
        }
        if (pool.group) {
            account("group", *pool.group, group_exists(*pool.group));
        }
        const int adjust = pool.memory.oom_score_adj;
        if (adjust < host_.oom_score_adj && !host_.has_sys_resource) {
            warning("memory.oom_score_adj",
                    "= " + std::to_string(adjust) + " is lower than our own " +
                        std::to_string(host_.oom_score_adj) +
                        ", which takes CAP_SYS_RESOURCE: workers will keep " +
                        std::to_string(host_.oom_score_adj));
        }
    }

    void account(const std::string& key, const std::string& name, bool exists) {
        if (!exists) {
            error(key, in_quotes(name) + " does not exist here: create it, or name another");
        } else if (host_.uid != 0) {
            error(key, "= " + in_quotes(name) + " needs root, and this is user " +
                           std::to_string(host_.uid) +
                           ": run supervise as root, or leave the key "
                           "out");
        }
    }

    void limits(const PoolSettings& pool) {
        for (const ResourceLimit& limit : pool.limits) {
            rlimit ours{};
            if (host_.has_sys_resource ||
                ::getrlimit(static_cast<__rlimit_resource_t>(limit.resource), &ours) != 0 ||
                ours.rlim_max == RLIM_INFINITY || limit.value <= ours.rlim_max) {
                continue;
            }
            error("limits." + limit.name,
                  "is more than our own hard limit of " + std::to_string(ours.rlim_max) +
                      ", and raising that takes CAP_SYS_RESOURCE: write at most as much, or raise "
                      "it for supervise");
        }
    }

    void memory(const PoolSettings& pool) {
        const RecycleSettings& recycle = pool.recycle;
        const std::optional<std::uint64_t>& hard = pool.memory.hard;
        const std::optional<std::uint64_t>& budget = pool.memory.budget;
        const auto below_hard = [&](const char* key, const std::optional<std::uint64_t>& line) {
            if (hard && line && *line >= *hard) {
                error("memory.hard", size_pair(*hard, key, *line) +
                                         "a worker would be stopped in its job before it could be "
                                         "recycled after it: write more than " +
                                         in_quotes(format_size(*line)));
            }
        };
        below_hard("recycle.max_rss", recycle.max_rss);
        below_hard("recycle.max_private", recycle.max_private);
        if (!budget) {
            return;
        }
        if (hard && *budget < *hard) {
            error("memory.budget", size_pair(*budget, "memory.hard", *hard) +
                                       "one worker alone may need that: write at least " +
                                       in_quotes(format_size(*hard)));
            return;
        }
        const std::optional<std::uint64_t>& line =
            recycle.max_private ? recycle.max_private : recycle.max_rss;
        const char* key = recycle.max_private ? "recycle.max_private" : "recycle.max_rss";
        if (line && *budget < *line) {
            error("memory.budget", size_pair(*budget, key, *line) +
                                       "one worker alone may grow to that: write at least " +
                                       in_quotes(format_size(*line)));
        } else if (line && *budget / pool.min_workers < *line) {
            warning("memory.budget", "= " + in_quotes(format_size(*budget)) + " is less than " +
                                         std::to_string(pool.min_workers) + " workers at " + key +
                                         " = " + in_quotes(format_size(*line)) + " take together");
        }
    }

    static std::string size_pair(std::uint64_t value, const std::string& key, std::uint64_t other) {
        return "= " + in_quotes(format_size(value)) +
               (value == other ? " is no more than " : " is less than ") + key + " = " +
               in_quotes(format_size(other)) + ", but ";
    }

    void times(const PoolSettings& pool) {
        const JobSettings& jobs = pool.jobs;
        if (jobs.soft_time_limit && jobs.time_limit && *jobs.soft_time_limit >= *jobs.time_limit) {
            error("jobs.soft_time_limit", "= " + in_quotes(format_time(*jobs.soft_time_limit)) +
                                              " must be less than jobs.time_limit = " +
                                              in_quotes(format_time(*jobs.time_limit)) +
                                              ", which ends the job");
        }
        if (jobs.window > 1 && pool.kind == PoolKind::celery) {
            error("jobs.window", "= " + std::to_string(jobs.window) +
                                     " is not for kind = \"celery\": its front hands out one task "
                                     "after the other, each with its payload. Leave it out");
        } else if (jobs.window > 1 && (jobs.soft_time_limit || jobs.time_limit)) {
            warning("jobs.window",
                    "= " + std::to_string(jobs.window) + " holds only for tasks without a " +
                        "time limit, and " +
                        (jobs.time_limit ? "jobs.time_limit" : "jobs.soft_time_limit") +
                        " gives one to each task that sets none: leave one of the two out");
        }
        const RestartSettings& restart = pool.restart;
        if (restart.backoff_first > restart.backoff_most) {
            error("restart.backoff.first", "= " + in_quotes(format_time(restart.backoff_first)) +
                                               " is more than restart.backoff.most = " +
                                               in_quotes(format_time(restart.backoff_most)) +
                                               ": write at most that");
        }
    }

    /// Two fronts of one node name would take each other's place.
    void nodes() {
        std::map<std::string, const PoolSettings*> taken;
        for (const PoolSettings& pool : settings_.pools) {
            if (!pool.front) {
                continue;
            }
            path_ = "pool." + pool.name + '.';
            std::string second = pool.front->hostname;
            second.insert(std::min(second.find('@'), second.size()), "-2");
            for (const std::string& node : {pool.front->hostname, second}) {
                const auto [place, is_new] = taken.emplace(node, &pool);
                if (!is_new) {
                    error("front.hostname", "makes the node name " + in_quotes(node) +
                                                ", which pool " + place->second->name +
                                                "'s fronts have, too (the second of two has -2 "
                                                "before the @): give one of them another hostname");
                    break;
                }
            }
        }
    }

    const Settings& settings_;
    const Host& host_;
    const Positions& positions_;
    Diagnostics& diagnostics_;
    std::string path_;  ///< of the table being checked, with a dot at its end
};

}  // namespace

void validate(const Settings& settings, const Host& host, const Positions& positions,
              Diagnostics& diagnostics) {
    Validation(settings, host, positions, diagnostics).run();
}

}  // namespace supervise::config
