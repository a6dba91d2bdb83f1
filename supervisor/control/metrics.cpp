#include "metrics.hpp"

#include <charconv>
#include <initializer_list>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace supervise::control {

namespace {

using Label = std::pair<std::string_view, std::string_view>;

constexpr std::string_view recycle_reasons[] = {
    "max_tasks", "max_rss", "max_private", "max_age", "idle", "requested", "config", "pressure"};
constexpr std::string_view restart_causes[] = {
    "exit", "signal", "oom_worker", "oom_host", "time_limit", "memory_hard_limit", "unknown"};
constexpr std::string_view front_reasons[] = {"max_rss", "requested", "config"};
constexpr std::string_view front_causes[] = {
    "exit", "signal", "oom_worker", "oom_host", "memory_hard_limit", "unknown"};

std::map<std::string, std::uint64_t> with_zeros(std::map<std::string, std::uint64_t> counts,
                                                std::span<const std::string_view> names) {
    for (const std::string_view name : names) {
        counts.try_emplace(std::string(name), 0);
    }
    return counts;
}

std::string escaped(std::string_view text) {
    std::string result;
    for (const char letter : text) {
        if (letter == '\n') {
            result += "\\n";
        } else {
            if (letter == '\\' || letter == '"') {
                result += '\\';
            }
            result += letter;
        }
    }
    return result;
}

/// Collects families: one HELP and one TYPE, then the family's samples.
class Text {
  public:
    void family(std::string_view name, std::string_view type, std::string_view help) {
        name_ = "supervise_" + std::string(name);
        text_ += "# HELP " + name_ + ' ' + std::string(help) + '\n';
        text_ += "# TYPE " + name_ + ' ' + std::string(type) + '\n';
    }
    void sample(std::initializer_list<Label> labels, std::uint64_t value,
                std::string_view suffix = "") {
        start(labels, suffix);
        text_ += std::to_string(value) + '\n';
    }
    void fraction(std::initializer_list<Label> labels, double value) {
        start(labels, "");
        char digits[32];
        text_.append(digits, std::to_chars(digits, digits + sizeof digits, value).ptr);
        text_ += '\n';
    }
    std::string take() { return std::move(text_); }

  private:
    void start(std::initializer_list<Label> labels, std::string_view suffix) {
        text_ += name_;
        text_ += suffix;
        char before = '{';
        for (const auto& [name, value] : labels) {
            text_ += before;
            text_ += std::string(name) + "=\"" + escaped(value) + '"';
            before = ',';
        }
        text_ += labels.size() > 0 ? "} " : " ";
    }

    std::string name_;
    std::string text_;
};

void add_jobs(Text& text, const Snapshot& snapshot) {
    text.family("jobs_queued", "gauge", "Jobs that wait for a worker.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        text.sample({{"pool", pool.name}}, pool.jobs.queued);
    }
    text.family("jobs_running", "gauge", "Jobs that a worker has begun.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        text.sample({{"pool", pool.name}}, pool.jobs.running);
    }
    text.family("jobs_total", "counter", "Jobs that ended, by final state.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        text.sample({{"pool", pool.name}, {"state", "done"}}, pool.jobs.done);
        text.sample({{"pool", pool.name}, {"state", "failed"}}, pool.jobs.failed);
        text.sample({{"pool", pool.name}, {"state", "lost"}}, pool.jobs.lost);
        text.sample({{"pool", pool.name}, {"state", "dead"}}, pool.jobs.dead);
    }
    text.family("attempts_total", "counter", "Attempts that ended; a retried job has several.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        text.sample({{"pool", pool.name}, {"outcome", "done"}}, pool.attempts.done);
        text.sample({{"pool", pool.name}, {"outcome", "failed"}}, pool.attempts.failed);
        text.sample({{"pool", pool.name}, {"outcome", "lost"}}, pool.attempts.lost);
    }
    text.family("refused_total", "counter", "Submits that were refused.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        text.sample({{"pool", pool.name}}, pool.refused);
    }
    text.family("clients", "gauge", "Connections on the pool's jobs socket.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        text.sample({{"pool", pool.name}}, pool.clients);
    }
}

void add_workers(Text& text, const Snapshot& snapshot) {
    text.family("workers", "gauge", "Worker processes by state; a warm successor is one of them.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        for (const std::string_view state : {"spawning", "starting", "idle", "busy", "retiring"}) {
            std::uint64_t count = 0;
            for (const WorkerSnapshot& worker : pool.workers) {
                count += worker.state == state ? 1 : 0;
            }
            text.sample({{"pool", pool.name}, {"state", state}}, count);
        }
    }
    text.family("workers_spare", "gauge", "Workers that are ready to take a slot.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        std::uint64_t count = 0;
        for (const WorkerSnapshot& worker : pool.workers) {
            count += worker.slot == 0 && worker.state == "idle" ? 1 : 0;
        }
        text.sample({{"pool", pool.name}}, count);
    }
    text.family("workers_wanted", "gauge", "Slots that the pool should have filled.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        text.sample({{"pool", pool.name}}, pool.workers_wanted);
    }
    text.family("pool_degraded", "gauge", "1 while the pool's crash-loop breaker is tripped.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        text.sample({{"pool", pool.name}}, pool.state == "degraded" ? 1 : 0);
    }
}

using WorkerBytes = std::uint64_t WorkerSnapshot::*;

/// By slot: for a moment a slot has two processes, and a label for the incarnation would leave a
/// dead series behind at every recycle. Spares, which have no slot yet, are one series.
void add_memory(Text& text, const Snapshot& snapshot, WorkerBytes bytes) {
    for (const PoolSnapshot& pool : snapshot.pools) {
        std::map<unsigned, std::uint64_t> by_slot;
        for (const WorkerSnapshot& worker : pool.workers) {
            by_slot[worker.slot] += worker.*bytes;
        }
        for (const auto& [slot, sum] : by_slot) {
            const std::string name = slot == 0 ? "spare" : std::to_string(slot);
            text.sample({{"pool", pool.name}, {"slot", name}}, sum);
        }
    }
}

void add_templates(Text& text, const Snapshot& snapshot) {
    text.family("pool_generation", "gauge", "Generation of the workers that start now.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        text.sample({{"pool", pool.name}}, pool.generation);
    }
    text.family("template_forks_total", "counter", "Workers that were forked from a template.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        text.sample({{"pool", pool.name}}, pool.template_forks);
    }
    const auto sum = [](const PoolSnapshot& pool, std::uint64_t TemplateSnapshot::*bytes) {
        std::uint64_t total = 0;
        for (const TemplateSnapshot& each : pool.templates) {
            total += each.*bytes;
        }
        return total;
    };
    text.family("template_rss_bytes", "gauge", "Resident memory of a pool's templates.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        text.sample({{"pool", pool.name}}, sum(pool, &TemplateSnapshot::rss_bytes));
    }
    text.family("template_private_bytes", "gauge", "Private memory of a pool's templates.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        text.sample({{"pool", pool.name}}, sum(pool, &TemplateSnapshot::private_bytes));
    }
}

/// Of Celery pools whose front supervise runs; others have no series here.
void add_fronts(Text& text, const Snapshot& snapshot) {
    std::vector<const PoolSnapshot*> pools;
    for (const PoolSnapshot& pool : snapshot.pools) {
        if (!pool.fronts.empty() || !pool.front_restarts.empty()) {
            pools.push_back(&pool);
        }
    }
    if (pools.empty()) {
        return;
    }
    text.family("fronts", "gauge", "Front processes by state; two while one takes over.");
    for (const PoolSnapshot* pool : pools) {
        for (const std::string_view state : {"starting", "connecting", "ready", "stopping"}) {
            std::uint64_t count = 0;
            for (const FrontSnapshot& front : pool->fronts) {
                count += front.state == state ? 1 : 0;
            }
            text.sample({{"pool", pool->name}, {"state", state}}, count);
        }
    }
    const auto memory = [&](std::string_view name, std::string_view help,
                            std::uint64_t FrontSnapshot::*bytes) {
        text.family(name, "gauge", help);
        for (const PoolSnapshot* pool : pools) {
            std::uint64_t total = 0;
            for (const FrontSnapshot& front : pool->fronts) {
                total += front.*bytes;
            }
            text.sample({{"pool", pool->name}}, total);
        }
    };
    memory("front_rss_bytes", "Resident memory of a pool's fronts.", &FrontSnapshot::rss_bytes);
    memory("front_private_bytes", "Private memory of a pool's fronts.",
           &FrontSnapshot::private_bytes);
    text.family("front_recycles_total", "counter", "Healthy fronts replaced, by reason.");
    for (const PoolSnapshot* pool : pools) {
        for (const auto& [reason, count] : with_zeros(pool->front_recycles, front_reasons)) {
            text.sample({{"pool", pool->name}, {"reason", reason}}, count);
        }
    }
    text.family("front_restarts_total", "counter", "Dead fronts replaced, by cause.");
    for (const PoolSnapshot* pool : pools) {
        for (const auto& [cause, count] : with_zeros(pool->front_restarts, front_causes)) {
            text.sample({{"pool", pool->name}, {"cause", cause}}, count);
        }
    }
}

void add_recycling(Text& text, const Snapshot& snapshot) {
    text.family("recycles_total", "counter", "Healthy workers replaced on purpose, by reason.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        for (const auto& [reason, count] : with_zeros(pool.recycles, recycle_reasons)) {
            text.sample({{"pool", pool.name}, {"reason", reason}}, count);
        }
    }
    text.family("restarts_total", "counter", "Dead workers replaced, by cause.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        for (const auto& [cause, count] : with_zeros(pool.restarts, restart_causes)) {
            text.sample({{"pool", pool.name}, {"cause", cause}}, count);
        }
    }
    text.family("slot_gap_seconds", "summary",
                "From the old worker's last job end to its successor's first job start.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        text.fraction({{"pool", pool.name}, {"quantile", "0.5"}}, pool.slot_gap.p50);
        text.fraction({{"pool", pool.name}, {"quantile", "0.99"}}, pool.slot_gap.p99);
        text.sample({{"pool", pool.name}}, pool.slot_gap.count, "_count");
    }
    text.family("trims_total", "counter", "Times that a worker was asked to give memory back.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        text.sample({{"pool", pool.name}}, pool.trims);
    }
    text.family("trimmed_bytes_total", "counter", "Memory that came back by trimming.");
    for (const PoolSnapshot& pool : snapshot.pools) {
        text.sample({{"pool", pool.name}}, pool.trimmed_bytes);
    }
}

}  // namespace

std::string metrics_text(const Snapshot& snapshot) {
    Text text;
    text.family("info", "gauge", "Always 1; the labels say what runs.");
    const std::string tier(1, snapshot.tier);
    text.sample({{"version", snapshot.version}, {"tier", tier}}, 1);
    text.family("uptime_seconds", "gauge", "Since the supervisor started.");
    text.fraction({}, snapshot.uptime_seconds);
    text.family("supervisor_rss_bytes", "gauge", "The supervisor's own resident memory.");
    text.sample({}, snapshot.rss_bytes);
    add_jobs(text, snapshot);
    add_workers(text, snapshot);
    text.family("worker_rss_bytes", "gauge",
                "Resident memory of a slot's processes, or of all spares.");
    add_memory(text, snapshot, &WorkerSnapshot::rss_bytes);
    text.family("worker_private_bytes", "gauge",
                "Private memory of a slot's processes, or of all spares.");
    add_memory(text, snapshot, &WorkerSnapshot::private_bytes);
    add_templates(text, snapshot);
    add_fronts(text, snapshot);
    add_recycling(text, snapshot);
    return text.take();
}

}  // namespace supervise::control
