#include <cstdio>

#include "config/load.hpp"
#include "config/resource_limits.hpp"
#include "config/units.hpp"

namespace supervise::config {
namespace {

std::string toml_text(std::string_view text) {
    std::string out = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (byte < 0x20 || byte == 0x7f) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04X", byte);
            out += escape;
        } else {
            out += c;
        }
    }
    return out + '"';
}

std::string toml_texts(const std::vector<std::string>& texts) {
    std::string out;
    for (const std::string& text : texts) {
        out += (out.empty() ? "" : ", ") + toml_text(text);
    }
    return '[' + out + ']';
}

/// A fraction that reads back to the same value; TOML wants a point in it.
std::string toml_number(double number) {
    char text[40];
    for (const int digits : {6, 17}) {
        std::snprintf(text, sizeof text, "%.*g", digits, number);
        if (std::stod(text) == number) {
            break;
        }
    }
    std::string out = text;
    return out.find_first_of(".e") == std::string::npos ? out + ".0" : out;
}

std::string toml_size(std::uint64_t bytes) { return toml_text(format_size(bytes)); }
std::string toml_time(Milliseconds time) { return toml_text(format_time(time)); }

class Writer {
  public:
    void table(const std::string& name) { out_ += (out_.empty() ? "[" : "\n[") + name + "]\n"; }
    void line(std::string_view key, const std::string& value) {
        out_ += std::string(key) + " = " + value + '\n';
    }
    /// Writes nothing for an absent value: TOML has no word for it.
    template <class T, class Format>
    void line(std::string_view key, const std::optional<T>& value, Format format) {
        if (value) {
            line(key, format(*value));
        }
    }
    std::string take() { return std::move(out_); }

  private:
    std::string out_;
};

void write_supervisor(Writer& out, const SupervisorSettings& supervisor) {
    out.table("supervisor");
    out.line("runtime_dir", toml_text(supervisor.runtime_dir));
    out.line("listen", supervisor.listen, toml_text);
    out.line("cgroup_root", supervisor.cgroup_root, toml_text);
    out.line("operators", toml_texts(supervisor.operators));
    out.table("supervisor.log");
    out.line("level", toml_text(supervisor.log.level));
    out.line("format", toml_text(supervisor.log.format));
    out.line("file", supervisor.log.file, toml_text);
}

std::string toml_limit(const ResourceLimit& limit) {
    if (limit.value == UINT64_MAX) {
        return "\"unlimited\"";
    }
    for (const LimitKind& kind : limit_kinds) {
        if (kind.name == limit.name && kind.unit == LimitUnit::bytes) {
            return toml_size(limit.value);
        }
        if (kind.name == limit.name && kind.unit == LimitUnit::seconds) {
            return toml_time(std::chrono::seconds(limit.value));
        }
    }
    return std::to_string(limit.value);
}

std::string toml_umask(unsigned umask) {
    char text[16];
    std::snprintf(text, sizeof text, "\"%04o\"", umask);
    return text;
}

std::string toml_choice(OnUnsafeFork choice) {
    switch (choice) {
        case OnUnsafeFork::refuse:
            return toml_text("refuse");
        case OnUnsafeFork::fork:
            return toml_text("fork");
        case OnUnsafeFork::spawn:
            break;
    }
    return toml_text("spawn");
}

void write_worker_keys(Writer& out, const PoolSettings& pool) {
    out.line("kind", toml_text(pool.kind == PoolKind::celery ? "celery" : "python"));
    out.line("app", toml_text(pool.app));
    out.line("python", toml_text(pool.python));
    out.line("workers", pool.min_workers == pool.max_workers
                            ? std::to_string(pool.min_workers)
                            : "{ min = " + std::to_string(pool.min_workers) +
                                  ", max = " + std::to_string(pool.max_workers) + " }");
    out.line("preload", pool.preload ? "true" : "false");
    out.line("spare", std::to_string(pool.spare));
    out.line("on_unsafe_fork", toml_choice(pool.on_unsafe_fork));
    out.line("directory", toml_text(pool.directory));
    out.line("module_path", toml_texts(pool.module_path));
    out.line("user", pool.user, toml_text);
    out.line("group", pool.group, toml_text);
    out.line("umask", pool.umask, toml_umask);
    out.line("clients", toml_texts(pool.clients));
    out.line("start_timeout", toml_time(pool.start_timeout));
    out.line("grace", toml_time(pool.grace));
}

void write_lines(Writer& out, const std::string& table, const PoolSettings& pool) {
    out.table(table + ".recycle");
    out.line("max_tasks", pool.recycle.max_tasks, [](auto n) { return std::to_string(n); });
    out.line("max_tasks_jitter", toml_number(pool.recycle.max_tasks_jitter));
    out.line("max_rss", pool.recycle.max_rss, toml_size);
    out.line("max_private", pool.recycle.max_private, toml_size);
    out.line("max_age", pool.recycle.max_age, toml_time);
    out.line("idle", pool.recycle.idle, toml_time);
    out.table(table + ".memory");
    out.line("hard", pool.memory.hard, toml_size);
    out.line("budget", pool.memory.budget, toml_size);
    out.line("oom_score_adj", std::to_string(pool.memory.oom_score_adj));
    out.table(table + ".restart");
    out.line("backoff", "{ first = " + toml_time(pool.restart.backoff_first) +
                            ", most = " + toml_time(pool.restart.backoff_most) + " }");
    out.line("burst", std::to_string(pool.restart.burst));
    out.line("period", toml_time(pool.restart.period));
    out.table(table + ".jobs");
    out.line("queue_limit", std::to_string(pool.jobs.queue_limit));
    out.line("soft_time_limit", pool.jobs.soft_time_limit, toml_time);
    out.line("time_limit", pool.jobs.time_limit, toml_time);
    out.line("retries", std::to_string(pool.jobs.retries));
    out.line("max_clients", std::to_string(pool.jobs.max_clients));
    out.line("window", std::to_string(pool.jobs.window));
    out.table(table + ".output");
    out.line("max_line", toml_size(pool.output.max_line));
    out.line("lines_per_second", std::to_string(pool.output.lines_per_second));
}

void write_front(Writer& out, const std::string& table, const FrontSettings& front) {
    out.table(table + ".front");
    out.line("queues", toml_texts(front.queues));
    out.line("hostname", toml_text(front.hostname));
    out.line("log_level", toml_text(front.log_level));
    out.line("arguments", toml_texts(front.arguments));
    out.line("stop_timeout", toml_time(front.stop_timeout));
    if (front.max_rss || front.hard) {
        out.table(table + ".front.memory");
        out.line("max_rss", front.max_rss, toml_size);
        out.line("hard", front.hard, toml_size);
    }
}

void write_pool(Writer& out, const PoolSettings& pool) {
    const std::string table = "pool." + pool.name;
    out.table(table);
    write_worker_keys(out, pool);
    if (!pool.environment.empty()) {
        out.table(table + ".environment");
        for (const auto& [name, value] : pool.environment) {
            out.line(toml_text(name), toml_text(value));
        }
    }
    if (!pool.limits.empty()) {
        out.table(table + ".limits");
        for (const ResourceLimit& limit : pool.limits) {
            out.line(limit.name, toml_limit(limit));
        }
    }
    write_lines(out, table, pool);
    if (pool.front) {
        write_front(out, table, *pool.front);
    }
}

}  // namespace

std::string effective_toml(const Settings& settings) {
    Writer out;
    write_supervisor(out, settings.supervisor);
    for (const PoolSettings& pool : settings.pools) {
        write_pool(out, pool);
    }
    return out.take();
}

}  // namespace supervise::config
