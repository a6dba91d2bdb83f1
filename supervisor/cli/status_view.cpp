#include "status_view.hpp"

#include <algorithm>

#include "text_layout.hpp"

namespace supervise::cli {

namespace {

constexpr unsigned least_columns = 60;
/// Rows of one pool; more would not fit one screen.
constexpr std::size_t most_rows = 16;
/// All of a row but the task.
constexpr std::size_t fixed_columns = 54;

std::string number(std::uint64_t value) { return std::to_string(value); }

std::string plural(std::uint64_t count, const std::string& word) {
    return number(count) + ' ' + word + (count == 1 ? "" : "s");
}

bool is_healthy(const PoolSnapshot& pool) {
    return pool.advice.empty() && pool.state != "degraded" && pool.state != "stopping";
}

std::string headline(const Snapshot& snapshot) {
    std::uint64_t workers = 0;
    std::uint64_t queued = 0;
    std::string troubled;
    for (const PoolSnapshot& pool : snapshot.pools) {
        workers += pool.workers.size();
        queued += pool.jobs.queued;
        if (!is_healthy(pool)) {
            troubled += (troubled.empty() ? "" : ", ") + printable(pool.name);
        }
    }
    std::string text = snapshot.stopping  ? "stopping"
                       : troubled.empty() ? "healthy"
                                          : "NOT HEALTHY (" + troubled + ")";
    return text + ": " + plural(snapshot.pools.size(), "pool") + ", " + plural(workers, "worker") +
           ", " + plural(queued, "job") + " queued";
}

std::string row(std::string_view slot, std::string_view pid, std::string_view state,
                std::string_view task, std::string_view jobs, std::string_view age,
                std::string_view rss, std::string_view private_memory, std::size_t task_columns) {
    return "  " + right(slot, 4) + ' ' + right(pid, 7) + ' ' + left(state, 8) + ' ' +
           left(task, task_columns) + ' ' + right(jobs, 8) + ' ' + right(age, 6) + ' ' +
           right(rss, 5) + ' ' + right(private_memory, 7) + '\n';
}

std::string workers_table(const PoolSnapshot& pool, std::size_t columns) {
    const std::size_t task_columns = columns - fixed_columns;
    std::string text =
        row("SLOT", "PID", "STATE", "TASK", "JOBS", "AGE", "RSS", "PRIVATE", task_columns);
    const std::size_t shown = std::min(pool.workers.size(), most_rows);
    for (std::size_t i = 0; i < shown; ++i) {
        const WorkerSnapshot& worker = pool.workers[i];
        const std::string task = !worker.task.empty() ? worker.task
                                 : worker.successor   ? "(successor)"
                                                      : "-";
        text += row(number(worker.slot), worker.pid > 0 ? std::to_string(worker.pid) : "-",
                    worker.state, task, number(worker.jobs_done), human_age(worker.age_seconds),
                    human_bytes(worker.rss_bytes), human_bytes(worker.private_bytes), task_columns);
    }
    if (pool.workers.size() > shown) {
        text += "  and " + number(pool.workers.size() - shown) + " more: supervise status --json\n";
    }
    return text;
}

std::vector<std::string> named(const std::map<std::string, std::uint64_t>& counts) {
    std::vector<std::string> items;
    for (const auto& [name, count] : counts) {
        if (count > 0) {
            items.push_back(printable(name) + ' ' + number(count));
        }
    }
    if (items.empty()) {
        items.emplace_back("none");
    }
    return items;
}

std::string pool_text(const PoolSnapshot& pool, std::size_t columns) {
    std::string text = listing(printable(pool.name) + ": ",
                               {printable(pool.state), plural(pool.workers_wanted, "slot"),
                                plural(pool.clients, "client")},
                               columns);
    if (!pool.advice.empty()) {
        text += paragraph("  ! ", pool.advice, columns);
    }
    if (!pool.workers.empty()) {
        text += workers_table(pool, columns);
    }
    std::vector<std::string> jobs = {
        number(pool.jobs.queued) + " queued", number(pool.jobs.running) + " running",
        number(pool.jobs.done) + " done",     number(pool.jobs.failed) + " failed",
        number(pool.jobs.lost) + " lost",     number(pool.jobs.dead) + " dead"};
    if (pool.refused > 0) {
        jobs.push_back(number(pool.refused) + " refused");
    }
    text += listing("  jobs      ", jobs, columns);
    text += listing("  recycles  ", named(pool.recycles), columns);
    text += listing("  restarts  ", named(pool.restarts), columns);
    if (pool.slot_gap.count > 0) {
        text += "  slot gap  p50 " + human_seconds(pool.slot_gap.p50) + ", p99 " +
                human_seconds(pool.slot_gap.p99) + " (" + number(pool.slot_gap.count) + ")\n";
    }
    if (pool.trims > 0) {
        text += "  trims     " + number(pool.trims) + ", gave back " +
                human_bytes(pool.trimmed_bytes) + '\n';
    }
    return text;
}

std::string explained(const Explanation& explanation, std::size_t columns, std::string indent) {
    std::string text = paragraph(indent, explanation.subject + ": " + explanation.verdict, columns);
    indent += "  ";
    std::size_t widest = 0;
    for (const auto& fact : explanation.facts) {
        widest = std::max(widest, width(printable(fact.first)));
    }
    widest = std::min<std::size_t>(widest, 24);
    for (const auto& [name, value] : explanation.facts) {
        const std::string label = printable(name);
        text += paragraph(indent + (width(label) < widest ? left(label, widest) : label) + "  ",
                          value, columns);
    }
    for (const Explanation& earlier : explanation.history) {
        text += explained(earlier, columns, indent);
    }
    return text;
}

/// Some terminals wrap a line that is as long as they are wide.
std::size_t usable(unsigned columns) { return std::max(columns, least_columns) - 1; }

}  // namespace

std::string status_text(const Snapshot& snapshot, unsigned columns) {
    const std::size_t line = usable(columns);
    std::string text = "supervise " + printable(snapshot.version) + ", pid " +
                       std::to_string(snapshot.pid) + ", up " + human_age(snapshot.uptime_seconds) +
                       ", rss " + human_bytes(snapshot.rss_bytes) + ", tier " + snapshot.tier +
                       '\n';
    text += paragraph("", headline(snapshot), line);
    for (const PoolSnapshot& pool : snapshot.pools) {
        text += '\n' + pool_text(pool, line);
    }
    return text;
}

std::string doctor_text(const Snapshot& snapshot) {
    std::string text = std::string("tier ") + snapshot.tier;
    text += snapshot.tier_reason.empty() ? "" : ": " + printable(snapshot.tier_reason);
    text += '\n';
    for (const std::string& feature : snapshot.features) {
        text += "  " + printable(feature) + '\n';
    }
    return text;
}

std::string explanation_text(const Explanation& explanation, unsigned columns) {
    return explained(explanation, usable(columns), "");
}

}  // namespace supervise::cli
