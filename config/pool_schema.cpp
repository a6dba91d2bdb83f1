#include "config/pool_schema.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>

#include "config/diagnostic.hpp"
#include "config/front_schema.hpp"
#include "config/paths.hpp"
#include "config/resource_limits.hpp"
#include "config/units.hpp"

namespace supervise::config {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kibibyte = 1ULL << 10;
constexpr std::uint64_t mebibyte = 1ULL << 20;
constexpr std::uint64_t tebibyte = 1ULL << 40;
constexpr Range<std::uint64_t> memory_range{mebibyte, 1024 * tebibyte};
constexpr std::size_t most_variables = 256;
constexpr std::size_t most_folders = 64;

/// A single execve string may not be longer (MAX_ARG_STRLEN).
constexpr std::size_t longest_variable = 128 * kibibyte;

constexpr Milliseconds day = 24h;

std::string example(const TableReader& table, std::string_view key) {
    return '[' + table.path(key) + ']';
}

void read_workers(TableReader& table, PoolSettings& pool) {
    constexpr Range<std::int64_t> range{1, 1'024};
    const toml::node* node = table.find("workers");
    if (node != nullptr && !node->is_integer() && !node->is_table()) {
        table.wrong_type("workers", "a whole number from 1 to 1024, or { min = 2, max = 8 }",
                         unquote_help(*node));
        return;
    }
    if (node != nullptr && node->is_integer()) {
        table.integer("workers", pool.min_workers, range);
        pool.max_workers = pool.min_workers;
        return;
    }
    table.table("workers", "workers = { min = 2, max = 8 }", [&](TableReader& workers) {
        workers.integer("min", pool.min_workers, range);
        workers.integer("max", pool.max_workers, range);
        for (const char* key : {"min", "max"}) {
            if (node != nullptr && !workers.has(key)) {
                table.error("workers", std::string("has no ") + key +
                                           ": write both, as in { min = 2, max = 8 }");
                pool.max_workers = pool.min_workers;  // so that nobody compares the two
            }
        }
    });
}

void read_preload(TableReader& table, PoolSettings& pool) {
    table.boolean("preload", pool.preload);
    pool.spare = pool.preload ? 1 : 0;
    table.integer("spare", pool.spare, {0, 64});
    std::string word = "spawn";
    table.choice("on_unsafe_fork", word, {"spawn", "refuse", "fork"});
    pool.on_unsafe_fork = word == "refuse" ? OnUnsafeFork::refuse
                          : word == "fork" ? OnUnsafeFork::fork
                                           : OnUnsafeFork::spawn;
}

PoolKind read_kind(TableReader& table) {
    std::string kind = "python";
    table.choice("kind", kind, {"python", "celery"});
    return kind == "celery" ? PoolKind::celery : PoolKind::python;
}

bool is_variable_name(std::string_view name) {
    return !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
        return static_cast<unsigned char>(c) > ' ' && c != '=' && c != 0x7f;
    });
}

void read_environment(TableReader& table, std::map<std::string, std::string>& out) {
    table.table("environment", "environment = { NAME = \"value\" }", [&](TableReader& variables) {
        const auto entries = variables.entries();
        if (entries.size() > most_variables) {
            table.error("environment", "has " + std::to_string(entries.size()) +
                                           " variables: write at most " +
                                           std::to_string(most_variables));
            return;
        }
        for (const auto& [name, node] : entries) {
            const std::string shown = printable(name, 60);
            const toml::value<std::string>* value = node->as_string();
            if (!is_variable_name(name)) {
                variables.error(name,
                                "cannot name an environment variable: write letters, digits "
                                "and _, without blanks and =");
            } else if (value == nullptr) {
                variables.error(
                    name, "must be a text: write its value in quotes, as in " + shown + " = \"1\"");
            } else if (value->get().find('\0') != std::string::npos) {
                variables.error(name, "has a NUL character in it: leave that out");
            } else if (name.size() + value->get().size() + 2 > longest_variable) {
                variables.error(name, "is longer than the system takes: write less than 128K");
            } else {
                out[name] = value->get();
            }
        }
    });
}

void read_umask(TableReader& table, std::optional<unsigned>& umask) {
    const toml::node* node = table.find("umask");
    if (node == nullptr) {
        return;
    }
    const toml::value<std::string>* text = node->as_string();
    if (text == nullptr) {
        table.wrong_type("umask", "octal digits in quotes", "write umask = \"0027\"");
        return;
    }
    unsigned value = 0;
    const char* end = text->get().data() + text->get().size();
    const auto read = std::from_chars(text->get().data(), end, value, 8);
    if (read.ec != std::errc{} || read.ptr != end || value > 0777) {
        table.error("umask", in_quotes(text->get()) +
                                 " is not an octal number of \"0000\" to \"0777\": write one such "
                                 "as \"0027\"");
        return;
    }
    umask = value;
}

std::optional<std::uint64_t> read_limit(TableReader& limits, const LimitKind& kind) {
    const toml::node* node = limits.find(kind.name);
    if (node == nullptr) {
        return std::nullopt;
    }
    if (node->value<std::string_view>() == "unlimited") {
        return UINT64_MAX;
    }
    std::optional<std::uint64_t> value;
    switch (kind.unit) {
        case LimitUnit::count:
            if (!node->is_integer()) {
                limits.wrong_type(kind.name, "a whole number or \"unlimited\"",
                                  unquote_help(*node));
                break;
            }
            limits.integer(kind.name, value, {0, INT32_MAX});
            break;
        case LimitUnit::bytes:
            limits.size(kind.name, value, {0, 1024 * tebibyte});
            break;
        case LimitUnit::seconds: {
            std::optional<Milliseconds> time;
            limits.time(kind.name, time, {1s, 366 * day});
            if (time && *time % 1s != 0s) {
                limits.error(kind.name, "is counted in whole seconds: write \"" +
                                            format_time(*time - *time % 1s) + "\"");
            } else if (time) {
                value = static_cast<std::uint64_t>(*time / 1s);
            }
            break;
        }
    }
    return value;
}

void read_limits(TableReader& table, std::vector<ResourceLimit>& out) {
    table.table("limits", example(table, "limits"), [&](TableReader& limits) {
        for (const LimitKind& kind : limit_kinds) {
            if (const std::optional<std::uint64_t> value = read_limit(limits, kind)) {
                out.push_back({kind.resource, std::string(kind.name), *value});
            }
        }
    });
}

/// A user or group is a name or a number; both may stand without quotes' fuss.
void read_account(TableReader& table, std::string_view key, std::optional<std::string>& out) {
    const toml::node* node = table.find(key);
    if (node != nullptr && node->is_integer()) {
        std::optional<std::uint64_t> number;
        table.integer(key, number, {0, UINT32_MAX - 1});
        if (number) {
            out = std::to_string(*number);
        }
        return;
    }
    table.text(key, out);
}

void read_recycle(TableReader& table, RecycleSettings& out) {
    table.table("recycle", example(table, "recycle"), [&](TableReader& recycle) {
        recycle.integer("max_tasks", out.max_tasks, {1, 1'000'000'000});
        recycle.number("max_tasks_jitter", out.max_tasks_jitter, {0.0, 0.9});
        recycle.size("max_rss", out.max_rss, memory_range);
        recycle.size("max_private", out.max_private, memory_range);
        recycle.time("max_age", out.max_age, {100ms, 366 * day});
        recycle.time("idle", out.idle, {100ms, 366 * day});
    });
}

void read_memory(TableReader& table, MemorySettings& out) {
    table.table("memory", example(table, "memory"), [&](TableReader& memory) {
        memory.size("hard", out.hard, memory_range);
        memory.size("budget", out.budget, memory_range);
        memory.integer("oom_score_adj", out.oom_score_adj, {-1'000, 1'000});
    });
}

void read_restart(TableReader& table, RestartSettings& out) {
    table.table("restart", example(table, "restart"), [&](TableReader& restart) {
        restart.table("backoff", "backoff = { first = \"100ms\", most = \"30s\" }",
                      [&](TableReader& backoff) {
                          backoff.time("first", out.backoff_first, {1ms, 1h});
                          backoff.time("most", out.backoff_most, {1ms, day});
                      });
        restart.integer("burst", out.burst, {0, 1'000'000'000});
        restart.time("period", out.period, {100ms, day});
    });
}

void read_jobs(TableReader& table, JobSettings& out) {
    table.table("jobs", example(table, "jobs"), [&](TableReader& jobs) {
        jobs.integer("queue_limit", out.queue_limit, {1, 10'000'000});
        jobs.time("soft_time_limit", out.soft_time_limit, {10ms, 30 * day});
        jobs.time("time_limit", out.time_limit, {10ms, 30 * day});
        jobs.integer("retries", out.retries, {0, 100});
        jobs.integer("max_clients", out.max_clients, {1, 100'000});
        jobs.integer("window", out.window, {1, 64});
    });
}

void read_output(TableReader& table, OutputSettings& out) {
    table.table("output", example(table, "output"), [&](TableReader& output) {
        output.size("max_line", out.max_line, {64, 64 * kibibyte});
        output.integer("lines_per_second", out.lines_per_second, {1, 1'000'000});
    });
}

/// Makes a user's path absolute, or says why it is none.
std::optional<std::string> checked_path(TableReader& table, std::string_view key,
                                        const std::string& base, const std::string& text) {
    if (text.front() == '~') {
        table.error(key, in_quotes(text) +
                             " begins with ~, which is not expanded: write the whole "
                             "path");
        return std::nullopt;
    }
    return absolute_path(base, text);
}

}  // namespace

void read_path(TableReader& table, std::string_view key, const std::string& base,
               std::optional<std::string>& target) {
    std::optional<std::string> text;
    table.text(key, text);
    if (text) {
        if (const std::optional<std::string> path = checked_path(table, key, base, *text)) {
            target = path;
        }
    }
}

void read_path(TableReader& table, std::string_view key, const std::string& base,
               std::string& target) {
    std::optional<std::string> path;
    read_path(table, key, base, path);
    if (path) {
        target = *path;
    }
}

void read_pool(TableReader& table, PoolSettings& pool, const std::string& base) {
    pool.kind = read_kind(table);
    table.text("app", pool.app);
    if (!table.has("app")) {
        table.error("app",
                    "is missing: name the module that the workers import, as in app = "
                    "\"reports.tasks\"");
    }
    pool.python = "python3";
    table.text("python", pool.python);
    if (pool.python.find('/') != std::string::npos) {
        read_path(table, "python", base, pool.python);
    }
    read_workers(table, pool);
    read_preload(table, pool);
    pool.directory = base;
    read_path(table, "directory", base, pool.directory);
    table.texts("module_path", pool.module_path, most_folders);
    for (std::string& folder : pool.module_path) {
        folder = checked_path(table, "module_path", base, folder).value_or(folder);
    }
    read_environment(table, pool.environment);
    read_account(table, "user", pool.user);
    read_account(table, "group", pool.group);
    read_umask(table, pool.umask);
    read_limits(table, pool.limits);
    table.texts("clients", pool.clients, most_users);
    table.time("start_timeout", pool.start_timeout, {100ms, day});
    table.time("grace", pool.grace, {0ms, day});
    read_recycle(table, pool.recycle);
    read_memory(table, pool.memory);
    read_restart(table, pool.restart);
    read_jobs(table, pool.jobs);
    read_output(table, pool.output);
    read_front(table, pool);
}

}  // namespace supervise::config
