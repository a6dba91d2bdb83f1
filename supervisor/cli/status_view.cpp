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
/// Of one template; the first ones say enough to begin with.
constexpr std::size_t most_findings = 5;

std::string number(std::uint64_t value) { return std::to_string(value); }

std::string plural(std::uint64_t count, const std::string& word) {
    return number(count) + ' ' + word + (count == 1 ? "" : "s");
}

bool is_healthy(const PoolSnapshot& pool) {
    const bool template_failed = !pool.templates.empty() && (pool.templates[0].state == "failed" ||
                                                             pool.templates[0].state == "refused");
    return pool.advice.empty() && pool.state != "degraded" && pool.state != "stopping" &&
           !template_failed;
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

/// The cells of one row, as they are shown.
struct Row {
    std::string slot, pid, generation, state, task, jobs, age, rss, private_memory;
};

/// How a pool's rows are laid out; the task has what the others leave.
struct Layout {
    std::size_t task_columns;
    std::size_t generation_columns;  ///< 0: that column is left out
};

Layout layout_of(const PoolSnapshot& pool, std::size_t columns) {
    constexpr std::size_t generation_columns = 5;
    const bool tell = !pool.templates.empty() && columns >= 70;
    const std::size_t used = fixed_columns + (tell ? generation_columns : 0);
    return {columns - used, tell ? generation_columns : 0};
}

std::string row(const Row& cells, const Layout& layout) {
    return ' ' + right(cells.slot, 5) + ' ' + right(cells.pid, 7) +
           right(cells.generation, layout.generation_columns) + ' ' + left(cells.state, 8) + ' ' +
           left(cells.task, layout.task_columns) + ' ' + right(cells.jobs, 8) + ' ' +
           right(cells.age, 6) + ' ' + right(cells.rss, 5) + ' ' + right(cells.private_memory, 7) +
           '\n';
}

Row cells_of(const WorkerSnapshot& worker) {
    Row cells;
    cells.slot = worker.slot == 0 ? "spare" : number(worker.slot);
    cells.pid = worker.pid > 0 ? std::to_string(worker.pid) : "-";
    cells.generation = number(worker.generation);
    cells.state = worker.state;
    cells.task = !worker.task.empty() ? worker.task : worker.successor ? "(successor)" : "-";
    cells.jobs = number(worker.jobs_done);
    cells.age = human_age(worker.age_seconds);
    cells.rss = human_bytes(worker.rss_bytes);
    cells.private_memory = human_bytes(worker.private_bytes);
    return cells;
}

std::string workers_table(const PoolSnapshot& pool, std::size_t columns) {
    const Layout layout = layout_of(pool, columns);
    std::string text =
        row({"SLOT", "PID", "GEN", "STATE", "TASK", "JOBS", "AGE", "RSS", "PRIVATE"}, layout);
    std::vector<WorkerSnapshot> workers = pool.workers;
    std::stable_partition(workers.begin(), workers.end(),
                          [](const WorkerSnapshot& worker) { return worker.slot > 0; });
    const std::size_t shown = std::min(workers.size(), most_rows);
    for (std::size_t i = 0; i < shown; ++i) {
        text += row(cells_of(workers[i]), layout);
    }
    if (workers.size() > shown) {
        text += "  and " + number(workers.size() - shown) + " more: supervise status --json\n";
    }
    return text;
}

/// `advice`: the pool's, which often tells of its template's error already.
std::string template_text(const TemplateSnapshot& shown, const std::string& advice,
                          std::size_t columns) {
    std::vector<std::string> items = {"gen " + number(shown.generation) + ' ' +
                                      printable(shown.state)};
    if (shown.pid > 0) {
        items.push_back("pid " + std::to_string(shown.pid));
        items.push_back("rss " + human_bytes(shown.rss_bytes));
        items.push_back("private " + human_bytes(shown.private_bytes));
    }
    if (shown.pid > 0 || shown.workers > 0) {
        items.push_back(plural(shown.forks, "fork"));
        items.push_back(plural(shown.workers, "worker"));
    }
    std::string text = listing("  template  ", items, columns);
    const std::string mark = "            ! ";
    if (!shown.error.empty() && advice.find(shown.error) == std::string::npos) {
        text += paragraph(mark, shown.error, columns);
    }
    const std::size_t told = std::min(shown.findings.size(), most_findings);
    for (std::size_t i = 0; i < told; ++i) {
        text += paragraph(mark, shown.findings[i], columns);
    }
    if (shown.findings.size() > told) {
        text += mark + "and " + number(shown.findings.size() - told) +
                " more: supervise status --json\n";
    }
    return text;
}

std::string front_text(const FrontSnapshot& shown, std::size_t columns) {
    std::vector<std::string> items = {printable(shown.node) + ' ' + printable(shown.state)};
    if (shown.pid > 0) {
        items.push_back("pid " + std::to_string(shown.pid));
        items.push_back("age " + human_age(shown.age_seconds));
        items.push_back("rss " + human_bytes(shown.rss_bytes));
        items.push_back("private " + human_bytes(shown.private_bytes));
    }
    return listing("  front     ", items, columns);
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
    for (const TemplateSnapshot& each : pool.templates) {
        text += template_text(each, pool.advice, columns);
    }
    for (const FrontSnapshot& each : pool.fronts) {
        text += front_text(each, columns);
    }
    if (!pool.front_recycles.empty() || !pool.front_restarts.empty()) {
        std::map<std::string, std::uint64_t> counts = pool.front_restarts;
        counts.insert(pool.front_recycles.begin(), pool.front_recycles.end());
        text += listing("  replaced  ", named(counts), columns);
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
