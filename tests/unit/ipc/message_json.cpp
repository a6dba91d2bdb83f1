#include <boost/json.hpp>
#include <stdexcept>

#include "vectors.hpp"

namespace supervise::test {
namespace json = boost::json;
using namespace supervise::ipc;

namespace {

template <class Enum>
json::value name_json(Enum value) {
    return json::value(std::string(name_of(value)));
}

json::value text_json(std::string_view text) { return json::value(std::string(text)); }

json::value id_json(const Id& id) {
    if (const auto* number = std::get_if<std::int64_t>(&id)) {
        return {{"int", *number}};
    }
    const char* const kind = std::holds_alternative<Uuid>(id) ? "uuid" : "text";
    return {{kind, to_string(id)}};
}

json::value args_json(std::string_view args) {
    json::array list;
    const auto ids = decode_args(args);
    for (const Id& id : ids.value()) {
        list.push_back(id_json(id));
    }
    return list;
}

json::value report_json(std::string_view bytes) {
    const Report report = decode_report(bytes).value();
    if (const auto* value = std::get_if<Value>(&report)) {
        return {{"outcome", "done"},
                {"id", value->id.empty() ? json::value() : id_json(decode_id(value->id).value())}};
    }
    if (const auto* failure = std::get_if<Failure>(&report)) {
        return {{"outcome", "failed"},
                {"error_type", text_json(failure->type)},
                {"message", text_json(failure->message)},
                {"traceback", text_json(failure->traceback)}};
    }
    const Loss& loss = std::get<Loss>(report);
    return {
        {"outcome", "lost"}, {"cause", name_json(loss.cause)}, {"detail", text_json(loss.detail)}};
}

template <class Number>
json::value optional_json(const std::optional<Number>& number) {
    return number ? json::value(*number) : json::value();
}

json::value role_json(Role role) {
    switch (role) {
        case Role::client:
            return "client";
        case Role::worker:
            return "worker";
        case Role::template_process:
            return "template";
        case Role::front:
            return "front";
    }
    throw std::runtime_error("a role without a name");
}

json::object to_object(const Hello& m) {
    return {{"type", "hello"},
            {"version_min", m.version_min},
            {"version_max", m.version_max},
            {"role", role_json(m.role)},
            {"pid", m.pid},
            {"software", text_json(m.software)}};
}
json::object to_object(const Welcome& m) {
    return {{"type", "welcome"},
            {"version", m.version},
            {"limit", m.limit},
            {"slot", m.slot},
            {"incarnation", m.incarnation},
            {"pool", text_json(m.pool)},
            {"software", text_json(m.software)},
            {"descriptor", m.descriptor}};
}
json::object to_object(const Register& m) {
    json::array tasks;
    for (const TaskInfo& task : m.tasks) {
        tasks.push_back({{"name", text_json(task.name)},
                         {"soft_time_limit_ms", optional_json(task.soft_time_limit_ms)},
                         {"time_limit_ms", optional_json(task.time_limit_ms)},
                         {"retries", optional_json(task.retries)}});
    }
    return {{"type", "register"}, {"tasks", tasks}};
}
json::object to_object(const Ready&) { return {{"type", "ready"}}; }
json::object to_object(const Trim&) { return {{"type", "trim"}}; }
json::object to_object(const Retire&) { return {{"type", "retire"}}; }
json::object to_object(const StartFailed& m) {
    return {{"type", "start_failed"},
            {"error_type", text_json(m.type)},
            {"message", text_json(m.message)}};
}
json::object to_object(const Job& m) {
    return {{"type", "job"},
            {"id", m.id},
            {"attempt", m.attempt},
            {"soft_deadline_ns", m.soft_deadline_ns},
            {"deadline_ns", m.deadline_ns},
            {"task", text_json(m.task)},
            {"args", args_json(m.args)},
            {"descriptor", m.descriptor}};
}
json::object to_object(const Done& m) {
    return {{"type", "done"},
            {"id", m.id},
            {"report", report_json(m.report)},
            {"descriptor", m.descriptor}};
}
json::object to_object(const Submit& m) {
    json::array jobs;
    for (const std::string_view args : m.jobs) {
        jobs.push_back(args_json(args));
    }
    return {{"type", "submit"},
            {"first_tag", m.first_tag},
            {"priority", m.priority},
            {"task", text_json(m.task)},
            {"jobs", jobs}};
}
json::object to_object(const Accepted& m) {
    return {{"type", "accepted"},
            {"first_tag", m.first_tag},
            {"count", m.count},
            {"first_id", m.first_id}};
}
json::object to_object(const Refused& m) {
    return {{"type", "refused"},
            {"first_tag", m.first_tag},
            {"count", m.count},
            {"reason", name_json(m.reason)},
            {"message", text_json(m.message)}};
}
json::object to_object(const ResultBatch& m) {
    json::array entries;
    for (const ResultEntry& entry : m.entries) {
        entries.push_back({{"id", entry.id},
                           {"state", name_json(entry.state)},
                           {"attempts", entry.attempts},
                           {"report", report_json(entry.report)}});
    }
    return {{"type", "result"}, {"entries", entries}, {"descriptor", m.descriptor}};
}
json::object to_object(const Cancel& m) {
    return {{"type", "cancel"},
            {"terminate", m.terminate},
            {"ids", json::array(m.ids.begin(), m.ids.end())}};
}
json::object to_object(const Trimmed& m) {
    return {{"type", "trimmed"}, {"collected", m.collected}};
}
json::object to_object(const Ping& m) { return {{"type", "ping"}, {"token", m.token}}; }
json::object to_object(const Pong& m) { return {{"type", "pong"}, {"token", m.token}}; }
json::object to_object(const Close& m) {
    return {{"type", "close"}, {"reason", name_json(m.reason)}, {"message", text_json(m.message)}};
}
json::object to_object(const Fork& m) {
    return {{"type", "fork"}, {"number", m.number}, {"born", m.born}, {"joins", m.joins}};
}
json::object to_object(const Forked& m) {
    return {{"type", "forked"},
            {"number", m.number},
            {"pid", m.pid},
            {"message", text_json(m.message)}};
}
json::object to_object(const Unsafe& m) {
    json::array findings;
    for (const std::string_view finding : m.findings) {
        findings.push_back(text_json(finding));
    }
    return {{"type", "unsafe"}, {"findings", findings}};
}
json::object to_object(const Call& m) {
    return {{"type", "call"},
            {"tag", m.tag},
            {"priority", m.priority},
            {"soft_time_limit_ms", optional_json(m.soft_time_limit_ms)},
            {"time_limit_ms", optional_json(m.time_limit_ms)},
            {"task", text_json(m.task)},
            {"key", text_json(m.key)}};
}
json::object to_object(const Begun& m) {
    return {{"type", "begun"}, {"id", m.id}, {"pid", m.pid}, {"time_ns", m.time_ns}};
}
json::object to_object(const Soft& m) { return {{"type", "soft"}, {"id", m.id}}; }
json::object to_object(const Signal& m) {
    return {{"type", "signal"}, {"id", m.id}, {"number", m.number}};
}
json::object to_object(const Size& m) { return {{"type", "size"}, {"workers", m.workers}}; }
json::object to_object(const JobBatch& m) {
    json::array jobs;
    for (const JobBatch::Entry& job : m.jobs) {
        jobs.push_back({{"id", job.id}, {"attempt", job.attempt}, {"args", args_json(job.args)}});
    }
    return {{"type", "jobs"}, {"task", text_json(m.task)}, {"jobs", jobs}};
}

}  // namespace

std::string message_to_json(const Message& message) {
    return std::visit([](const auto& m) { return json::serialize(to_object(m)); }, message);
}

}  // namespace supervise::test
