#include "json.hpp"

#include <boost/json/serialize.hpp>
#include <charconv>
#include <cmath>

namespace supervise::control {
namespace json = boost::json;

namespace {

json::object counts(const std::map<std::string, std::uint64_t>& numbers) {
    json::object object;
    for (const auto& [name, number] : numbers) {
        object[name] = number;
    }
    return object;
}

json::object worker_json(const WorkerSnapshot& worker) {
    json::object object;
    object["slot"] = worker.slot;
    object["incarnation"] = worker.incarnation;
    object["pid"] = worker.pid;
    object["state"] = worker.state;
    object["task"] = worker.task.empty() ? json::value(nullptr) : json::value(worker.task);
    object["job_id"] = worker.job_id ? json::value(*worker.job_id) : json::value(nullptr);
    object["jobs_done"] = worker.jobs_done;
    object["age_seconds"] = worker.age_seconds;
    object["rss_bytes"] = worker.rss_bytes;
    object["private_bytes"] = worker.private_bytes;
    object["generation"] = worker.generation;
    object["successor"] = worker.successor;
    return object;
}

json::object template_json(const TemplateSnapshot& snapshot) {
    json::array findings;
    for (const std::string& finding : snapshot.findings) {
        findings.emplace_back(finding);
    }
    json::object object;
    object["state"] = snapshot.state;
    object["generation"] = snapshot.generation;
    object["pid"] = snapshot.pid;
    object["age_seconds"] = snapshot.age_seconds;
    object["rss_bytes"] = snapshot.rss_bytes;
    object["private_bytes"] = snapshot.private_bytes;
    object["forks"] = snapshot.forks;
    object["workers"] = snapshot.workers;
    object["error"] = snapshot.error;
    object["findings"] = std::move(findings);
    return object;
}

json::object front_json(const FrontSnapshot& front) {
    json::object object;
    object["incarnation"] = front.incarnation;
    object["node"] = front.node;
    object["state"] = front.state;
    object["pid"] = front.pid;
    object["age_seconds"] = front.age_seconds;
    object["rss_bytes"] = front.rss_bytes;
    object["private_bytes"] = front.private_bytes;
    return object;
}

json::object pool_json(const PoolSnapshot& pool) {
    json::array workers;
    for (const WorkerSnapshot& worker : pool.workers) {
        workers.push_back(worker_json(worker));
    }
    json::array templates;
    for (const TemplateSnapshot& each : pool.templates) {
        templates.push_back(template_json(each));
    }
    json::object object;
    object["state"] = pool.state;
    object["advice"] = pool.advice;
    object["workers_wanted"] = pool.workers_wanted;
    object["workers"] = std::move(workers);
    object["generation"] = pool.generation;
    object["templates"] = std::move(templates);
    object["template_forks"] = pool.template_forks;
    json::array fronts;
    for (const FrontSnapshot& each : pool.fronts) {
        fronts.push_back(front_json(each));
    }
    object["fronts"] = std::move(fronts);
    object["front_recycles"] = counts(pool.front_recycles);
    object["front_restarts"] = counts(pool.front_restarts);
    object["jobs"] = json::object{{"queued", pool.jobs.queued}, {"running", pool.jobs.running},
                                  {"done", pool.jobs.done},     {"failed", pool.jobs.failed},
                                  {"lost", pool.jobs.lost},     {"dead", pool.jobs.dead}};
    object["attempts"] = json::object{{"done", pool.attempts.done},
                                      {"failed", pool.attempts.failed},
                                      {"lost", pool.attempts.lost}};
    object["recycles"] = counts(pool.recycles);
    object["restarts"] = counts(pool.restarts);
    object["slot_gap_seconds"] = json::object{
        {"p50", pool.slot_gap.p50}, {"p99", pool.slot_gap.p99}, {"count", pool.slot_gap.count}};
    object["clients"] = pool.clients;
    object["refused"] = pool.refused;
    object["trims"] = pool.trims;
    object["trimmed_bytes"] = pool.trimmed_bytes;
    return object;
}

void add_report(json::object& object, const std::string& bytes) {
    const std::optional<ipc::Report> report = ipc::decode_report(bytes);
    if (!report) {
        object["cause"] = name_of(Cause::unknown);
        object["detail"] = "the job's report cannot be read";
    } else if (const auto* value = std::get_if<ipc::Value>(&*report)) {
        const std::optional<ipc::Id> id = ipc::decode_id(value->id);
        object["result"] = id ? to_json(*id) : json::value(nullptr);
    } else if (const auto* failure = std::get_if<ipc::Failure>(&*report)) {
        object["error"] = json::object{{"type", failure->type},
                                       {"message", failure->message},
                                       {"traceback", failure->traceback}};
    } else {
        const auto& loss = std::get<ipc::Loss>(*report);
        object["cause"] = name_of(loss.cause);
        object["detail"] = loss.detail;
    }
}

void append_number(std::string& text, double number) {
    if (!std::isfinite(number)) {
        text += "null";  // JSON has no word for it
        return;
    }
    char digits[32];
    const auto end = std::to_chars(digits, digits + sizeof digits, number).ptr;
    const std::string_view written(digits, static_cast<std::size_t>(end - digits));
    text += written;
    if (written.find_first_of(".e") == std::string_view::npos) {
        text += ".0";  // readers that tell kinds apart see a fraction every time
    }
}

void append(std::string& text, const json::value& value) {
    if (const auto* object = value.if_object()) {
        text += '{';
        for (const auto& [key, member] : *object) {
            text += text.back() == '{' ? "" : ", ";
            text += json::serialize(json::string_view(key)) + ": ";
            append(text, member);
        }
        text += '}';
    } else if (const auto* array = value.if_array()) {
        text += '[';
        for (const json::value& member : *array) {
            text += text.back() == '[' ? "" : ", ";
            append(text, member);
        }
        text += ']';
    } else if (const auto* number = value.if_double()) {
        append_number(text, *number);
    } else {
        text += json::serialize(value);
    }
}

}  // namespace

json::object to_json(const Snapshot& snapshot) {
    json::array features;
    for (const std::string& feature : snapshot.features) {
        features.emplace_back(feature);
    }
    json::object supervisor;
    supervisor["pid"] = snapshot.pid;
    supervisor["version"] = snapshot.version;
    supervisor["tier"] = std::string(1, snapshot.tier);
    supervisor["tier_reason"] = snapshot.tier_reason;
    supervisor["features"] = std::move(features);
    supervisor["uptime_seconds"] = snapshot.uptime_seconds;
    supervisor["rss_bytes"] = snapshot.rss_bytes;
    supervisor["stopping"] = snapshot.stopping;
    json::object pools;
    for (const PoolSnapshot& pool : snapshot.pools) {
        pools[pool.name] = pool_json(pool);
    }
    return {{"supervisor", std::move(supervisor)}, {"pools", std::move(pools)}};
}

json::object to_json(const Explanation& explanation) {
    json::array facts;
    for (const auto& [name, value] : explanation.facts) {
        facts.push_back(json::object{{"name", name}, {"value", value}});
    }
    json::array history;
    for (const Explanation& earlier : explanation.history) {
        history.push_back(to_json(earlier));
    }
    return {{"subject", explanation.subject},
            {"verdict", explanation.verdict},
            {"facts", std::move(facts)},
            {"history", std::move(history)}};
}

json::object to_json(const ReloadReport& report) {
    json::array changes;
    for (const std::string& change : report.changes) {
        changes.emplace_back(change);
    }
    return {{"changes", std::move(changes)}};
}

json::object to_json(const JobEnd& end) {
    json::object object;
    object["job_id"] = end.id;
    object["state"] = name_of(end.state);
    object["attempts"] = end.attempts;
    add_report(object, end.report);
    return object;
}

json::object to_json(const ApiError& error) {
    return {{"error", json::object{{"code", error.code}, {"message", error.message}}}};
}

json::value to_json(const ipc::Id& id) {
    if (const auto* number = std::get_if<std::int64_t>(&id)) {
        return *number;
    }
    if (const auto* text = std::get_if<std::string>(&id)) {
        return json::value(*text);
    }
    return json::object{{"uuid", ipc::to_string(id)}};
}

std::string to_text(const json::value& value) {
    std::string text;
    append(text, value);
    return text;
}

}  // namespace supervise::control
