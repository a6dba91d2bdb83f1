#include "vectors.hpp"

#include <boost/json.hpp>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace supervise::test {
namespace json = boost::json;
using namespace supervise::ipc;

namespace {

template <class Enum>
Enum named(const json::value& name, unsigned first, unsigned last) {
    for (unsigned i = first; i <= last; ++i) {
        if (name_of(static_cast<Enum>(i)) == std::string_view(name.as_string())) {
            return static_cast<Enum>(i);
        }
    }
    throw std::runtime_error("unknown name " + json::serialize(name));
}

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
    }
    throw std::runtime_error("a role without a name");
}

Role role_of(const json::value& name) {
    for (const Role role : {Role::client, Role::worker, Role::template_process}) {
        if (role_json(role) == name) {
            return role;
        }
    }
    throw std::runtime_error("unknown name " + json::serialize(name));
}

/// Reads an object's members into a message's fields; keeps the texts.
class FieldReader {
  public:
    FieldReader(const json::object& fields, std::deque<std::string>& texts)
        : fields_(fields), texts_(texts) {}

    const json::value& at(const char* key) const { return fields_.at(key); }
    template <class Number>
    Number number(const char* key) const {
        return at(key).to_number<Number>();
    }
    template <class Number>
    std::optional<Number> optional(const char* key) const {
        return at(key).is_null() ? std::nullopt : std::optional(number<Number>(key));
    }
    bool flag(const char* key) const { return at(key).as_bool(); }
    std::string_view text(const char* key) const { return keep(std::string(at(key).as_string())); }
    std::vector<std::string_view> texts(const char* key) const {
        std::vector<std::string_view> list;
        for (const json::value& text : at(key).as_array()) {
            list.push_back(keep(std::string(text.as_string())));
        }
        return list;
    }
    std::string_view args(const json::value& list) const {
        std::vector<Id> ids;
        for (const json::value& id : list.as_array()) {
            ids.push_back(id_of(id));
        }
        return keep(encode_args(ids).value());
    }
    std::string_view report() const {
        const FieldReader in(at("report").as_object(), texts_);
        const std::string outcome(in.text("outcome"));
        if (outcome == "failed") {
            return keep(encode_report(
                Failure{in.text("error_type"), in.text("message"), in.text("traceback")}));
        }
        if (outcome == "lost") {
            return keep(encode_report(Loss{named<Cause>(in.at("cause"), 0, 8), in.text("detail")}));
        }
        const json::value& id = in.at("id");
        return keep(encode_report(Value{id.is_null() ? "" : keep(encode_id(id_of(id)))}));
    }
    FieldReader member(const json::value& object) const {
        return FieldReader(object.as_object(), texts_);
    }

  private:
    std::string_view keep(std::string text) const { return texts_.emplace_back(std::move(text)); }
    static Id id_of(const json::value& id) {
        const auto& [kind, content] = *id.as_object().begin();
        if (kind == "int") {
            return content.to_number<std::int64_t>();
        }
        const std::string text(content.as_string());
        if (kind == "text") {
            return text;
        }
        Uuid uuid{};
        std::size_t digit = 0;
        for (const char c : text) {
            if (c != '-') {
                const int value = c <= '9' ? c - '0' : c - 'a' + 10;
                uuid.at(digit / 2) = static_cast<std::uint8_t>(uuid.at(digit / 2) * 16 + value);
                ++digit;
            }
        }
        return uuid;
    }

    const json::object& fields_;
    std::deque<std::string>& texts_;
};

Message read_message(const std::string& type, const FieldReader& in) {
    using u8 = std::uint8_t;
    using u16 = std::uint16_t;
    using u32 = std::uint32_t;
    using u64 = std::uint64_t;
    if (type == "hello") {
        return Hello{in.number<u16>("version_min"), in.number<u16>("version_max"),
                     role_of(in.at("role")), in.number<u32>("pid"), in.text("software")};
    }
    if (type == "welcome") {
        return Welcome{in.number<u16>("version"), in.number<u32>("limit"),
                       in.number<u16>("slot"),    in.number<u32>("incarnation"),
                       in.text("pool"),           in.text("software"),
                       in.flag("descriptor")};
    }
    if (type == "register") {
        Register message;
        for (const json::value& entry : in.at("tasks").as_array()) {
            const FieldReader task = in.member(entry);
            message.tasks.push_back({task.text("name"), task.optional<u32>("soft_time_limit_ms"),
                                     task.optional<u32>("time_limit_ms"),
                                     task.optional<u8>("retries")});
        }
        return message;
    }
    if (type == "start_failed") {
        return StartFailed{in.text("error_type"), in.text("message")};
    }
    if (type == "job") {
        return Job{in.number<u64>("id"),
                   in.number<u16>("attempt"),
                   in.number<u64>("soft_deadline_ns"),
                   in.number<u64>("deadline_ns"),
                   in.text("task"),
                   in.args(in.at("args")),
                   in.flag("descriptor")};
    }
    if (type == "done") {
        return Done{in.number<u64>("id"), in.report(), in.flag("descriptor")};
    }
    if (type == "submit") {
        Submit submit{in.number<u32>("first_tag"),
                      in.number<u8>("priority"),
                      in.text("task"),
                      {},
                      in.flag("descriptor")};
        for (const json::value& args : in.at("jobs").as_array()) {
            submit.jobs.push_back(in.args(args));
        }
        return submit;
    }
    if (type == "accepted") {
        return Accepted{in.number<u32>("first_tag"), in.number<u16>("count"),
                        in.number<u64>("first_id")};
    }
    if (type == "refused") {
        return Refused{in.number<u32>("first_tag"), in.number<u16>("count"),
                       named<Refusal>(in.at("reason"), 1, 10), in.text("message")};
    }
    if (type == "result") {
        ResultBatch results;
        for (const json::value& item : in.at("entries").as_array()) {
            const FieldReader entry = in.member(item);
            results.entries.push_back({entry.number<u64>("id"),
                                       named<JobState>(entry.at("state"), 0, 5),
                                       entry.number<u16>("attempts"), entry.report()});
        }
        return results;
    }
    if (type == "cancel") {
        Cancel cancel{in.flag("terminate"), {}};
        for (const json::value& id : in.at("ids").as_array()) {
            cancel.ids.push_back(id.to_number<u64>());
        }
        return cancel;
    }
    if (type == "trimmed") {
        return Trimmed{in.number<u32>("collected")};
    }
    if (type == "ping") {
        return Ping{in.number<u64>("token")};
    }
    if (type == "pong") {
        return Pong{in.number<u64>("token")};
    }
    if (type == "close") {
        return Close{named<Refusal>(in.at("reason"), 1, 10), in.text("message")};
    }
    if (type == "fork") {
        return Fork{in.number<u32>("number"), in.flag("born"), in.number<u8>("joins")};
    }
    if (type == "forked") {
        return Forked{in.number<u32>("number"), in.number<u32>("pid"), in.text("message")};
    }
    if (type == "unsafe") {
        return Unsafe{in.texts("findings")};
    }
    if (type == "ready") {
        return Ready{};
    }
    if (type == "trim") {
        return Trim{};
    }
    if (type == "retire") {
        return Retire{};
    }
    throw std::runtime_error("unknown type " + type);
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
    return {{"type", "submit"},       {"first_tag", m.first_tag},
            {"priority", m.priority}, {"task", text_json(m.task)},
            {"jobs", jobs},           {"descriptor", m.descriptor}};
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
    return {{"type", "result"}, {"entries", entries}};
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

std::string from_hex(std::string_view hex) {
    std::string bytes;
    for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
        bytes += static_cast<char>(std::stoi(std::string(hex.substr(i, 2)), nullptr, 16));
    }
    return bytes;
}

std::vector<FrameVector> load() {
    std::ifstream file(FRAME_VECTORS);
    const std::string text((std::istreambuf_iterator<char>(file)),
                           std::istreambuf_iterator<char>());
    std::vector<FrameVector> vectors;
    const json::value parsed = json::parse(text);
    for (const json::value& entry : parsed.as_array()) {
        const json::object& fields = entry.as_object();
        FrameVector vector{std::string(fields.at("name").as_string()),
                           from_hex(fields.at("hex").as_string()), std::nullopt};
        if (const json::value* message = fields.if_contains("message")) {
            vector.message = json::serialize(*message);
        } else if (!fields.at("error").as_bool()) {
            throw std::runtime_error(vector.name + " is neither a message nor an error");
        }
        vectors.push_back(std::move(vector));
    }
    return vectors;
}

}  // namespace

const std::vector<FrameVector>& frame_vectors() {
    static const std::vector<FrameVector> vectors = load();
    return vectors;
}

OwnedMessage message_from_json(const std::string& text) {
    const json::value value = json::parse(text);
    OwnedMessage owned;
    const FieldReader in(value.as_object(), owned.texts);
    owned.message = read_message(std::string(in.text("type")), in);
    return owned;
}

std::string message_to_json(const Message& message) {
    return std::visit([](const auto& m) { return json::serialize(to_object(m)); }, message);
}

bool same_json(const std::string& left, const std::string& right) {
    return json::parse(left) == json::parse(right);
}

std::string to_hex(std::string_view bytes) {
    std::string hex;
    for (const char byte : bytes) {
        char digits[3];
        std::snprintf(digits, sizeof digits, "%02x", static_cast<unsigned char>(byte));
        hex += digits;
    }
    return hex;
}

}  // namespace supervise::test
