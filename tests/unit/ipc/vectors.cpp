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

Role role_of(const json::value& name) {
    if (name == "client") {
        return Role::client;
    }
    if (name == "worker") {
        return Role::worker;
    }
    if (name == "template") {
        return Role::template_process;
    }
    if (name == "front") {
        return Role::front;
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
        Submit submit{in.number<u32>("first_tag"), in.number<u8>("priority"), in.text("task"), {}};
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
        ResultBatch results{{}, in.flag("descriptor")};
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
    if (type == "call") {
        return Call{in.number<u32>("tag"),
                    in.number<u8>("priority"),
                    in.optional<u32>("soft_time_limit_ms"),
                    in.optional<u32>("time_limit_ms"),
                    in.text("task"),
                    in.text("key")};
    }
    if (type == "begun") {
        return Begun{in.number<u64>("id"), in.number<u32>("pid"), in.number<u64>("time_ns")};
    }
    if (type == "soft") {
        return Soft{in.number<u64>("id")};
    }
    if (type == "signal") {
        return Signal{in.number<u64>("id"), in.number<u8>("number")};
    }
    if (type == "size") {
        return Size{in.number<u32>("workers")};
    }
    if (type == "jobs") {
        JobBatch batch{in.text("task"), {}};
        for (const json::value& item : in.at("jobs").as_array()) {
            const FieldReader job = in.member(item);
            batch.jobs.push_back(
                {job.number<u64>("id"), job.number<u16>("attempt"), job.args(job.at("args"))});
        }
        return batch;
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
