#include "config/front_schema.hpp"

#include <algorithm>
#include <string_view>

#include "config/diagnostic.hpp"
#include "config/units.hpp"

namespace supervise::config {
namespace {

using namespace std::chrono_literals;

constexpr Range<std::uint64_t> memory_range{1ULL << 20, 1ULL << 50};
constexpr std::size_t most_queues = 1'000;
constexpr std::size_t most_arguments = 256;

/// An option of `celery worker` that `arguments` may not have.
struct Conflict {
    std::string_view name;
    char letter;  ///< of its short form; 0: none
    std::string_view instead;
};

constexpr Conflict conflicts[] = {
    {"--pool", 'P', "supervise gives the front its own pool"},
    {"--concurrency", 'c', "that is the pool's key workers"},
    {"--autoscale", 0, "write workers = { min = 2, max = 8 } in the pool"},
    {"--hostname", 'n', "that is the key hostname"},
    {"--queues", 'Q', "that is the key queues"},
    {"--loglevel", 'l', "that is the key log_level"},
    {"--app", 'A', "that is the pool's key app"},
    {"--workdir", 0, "that is the pool's key directory"},
    {"--uid", 0, "that is the pool's key user"},
    {"--gid", 0, "that is the pool's key group"},
    {"--umask", 0, "that is the pool's key umask"},
    {"--max-tasks-per-child", 0, "that is the pool's key recycle.max_tasks"},
    {"--max-memory-per-child", 0, "that is the pool's key recycle.max_rss"},
    {"--pool-start-method", 0, "that is the pool's key preload"},
    {"--detach", 'D', "the front is supervise's child"},
    {"--executable", 0, "the front is supervise's child"},
    {"--pidfile", 0, "two fronts run while one takes over; supervise status has their pids"},
    {"--beat", 'B',
     "two fronts run while one takes over, and each would send every periodic task: "
     "run celery beat by itself"},
    {"--schedule", 's', "run celery beat by itself"},
    {"--schedule-filename", 0, "run celery beat by itself"},
    {"--scheduler", 0, "run celery beat by itself"},
    {"--purge", 0, "each new front would discard what waits: run celery purge once"},
    {"--discard", 0, "each new front would discard what waits: run celery purge once"},
};

/// Short options with a value, which may stand right behind the letter.
constexpr std::string_view letters_with_value = "AbcfIlnOPQSsX";

const Conflict* conflict_of(std::string_view argument) {
    if (argument.starts_with("--")) {
        const std::string_view name = argument.substr(0, argument.find('='));
        const auto* found = std::find_if(std::begin(conflicts), std::end(conflicts),
                                         [&](const Conflict& each) { return each.name == name; });
        return found == std::end(conflicts) ? nullptr : found;
    }
    if (!argument.starts_with('-')) {
        return nullptr;
    }
    for (const char letter : argument.substr(1)) {  // "-EB" is two of them
        for (const Conflict& each : conflicts) {
            if (each.letter == letter) {
                return &each;
            }
        }
        if (letters_with_value.find(letter) != std::string_view::npos) {
            break;
        }
    }
    return nullptr;
}

/// Two fronts with one file of state would spoil it; %n differs between them.
bool shares_state(const std::vector<std::string>& arguments, std::size_t at) {
    const std::string& argument = arguments[at];
    const bool alone = argument == "-S" || argument == "--statedb";
    const bool joined =
        argument.starts_with("--statedb=") || (argument.starts_with("-S") && argument.size() > 2);
    if (alone && at + 1 < arguments.size()) {
        return arguments[at + 1].find("%n") == std::string::npos;
    }
    return joined && argument.find("%n") == std::string::npos;
}

void check_arguments(TableReader& table, const std::vector<std::string>& arguments) {
    for (std::size_t at = 0; at < arguments.size(); ++at) {
        const std::string shown = in_quotes(arguments[at]);
        if (const Conflict* conflict = conflict_of(arguments[at])) {
            table.error("arguments",
                        "may not have " + shown + ": " + std::string(conflict->instead));
        } else if (shares_state(arguments, at)) {
            table.error("arguments", "may have " + shown +
                                         " only with %n in the file's name: two fronts run while "
                                         "one takes over");
        } else if (arguments[at] == "--without-mingle") {
            table.warning("arguments",
                          "has \"--without-mingle\": a front that takes over will not know which "
                          "tasks were revoked");
        }
    }
}

void check_names(TableReader& table, const FrontSettings& front) {
    const std::size_t at = front.hostname.find('@');
    if (at == 0 || at == std::string::npos || at + 1 == front.hostname.size()) {
        table.error("hostname", in_quotes(front.hostname) +
                                    " is no node name: write it as for celery worker -n, "
                                    "\"work@%h\"");
    }
    for (const std::string& queue : front.queues) {
        if (queue.find(',') != std::string::npos) {
            table.error("queues",
                        "names " + in_quotes(queue) +
                            ": write each queue by itself, as in [\"default\", \"mail\"]");
        }
    }
}

void read_memory(TableReader& table, FrontSettings& front) {
    table.table("memory", "memory = { max_rss = \"400M\", hard = \"1G\" }",
                [&](TableReader& memory) {
                    memory.size("max_rss", front.max_rss, memory_range);
                    memory.size("hard", front.hard, memory_range);
                });
    if (front.hard && front.max_rss && *front.max_rss >= *front.hard) {
        table.error(
            "memory",
            "has hard = " + in_quotes(format_size(*front.hard)) +
                ", which is no more than max_rss = " + in_quotes(format_size(*front.max_rss)) +
                ": the front would be killed before another could take its place");
    }
}

}  // namespace

void read_front(TableReader& pool_table, PoolSettings& pool) {
    FrontSettings front;
    front.hostname = pool.name + "@%h";
    pool_table.table("front", '[' + pool_table.path("front") + ']', [&](TableReader& table) {
        table.texts("queues", front.queues, most_queues);
        table.text("hostname", front.hostname);
        table.choice("log_level", front.log_level,
                     {"debug", "info", "warning", "error", "critical"});
        table.texts("arguments", front.arguments, most_arguments);
        read_memory(table, front);
        table.time("stop_timeout", front.stop_timeout, {0ms, 366 * 24h});
        check_arguments(table, front.arguments);
        check_names(table, front);
    });
    if (!pool_table.has("front")) {
        return;
    }
    if (pool.kind != PoolKind::celery) {
        pool_table.error("front", "belongs to a Celery pool: write kind = \"celery\" above it");
    } else if (pool.app.starts_with('@')) {
        pool_table.error("front", "needs an app by its name, as for celery -A");
    } else {
        pool.front = std::move(front);
    }
}

}  // namespace supervise::config
