// The reading half of json.hpp.
#include <boost/json/parser.hpp>

#include "json.hpp"

namespace supervise::control {
namespace json = boost::json;

namespace {

/// Readers that keep the default when the value is missing or of another kind.
class Reader {
  public:
    explicit Reader(const json::value* value)
        : object_(value != nullptr ? value->if_object() : nullptr) {}

    const json::value* find(std::string_view key) const {
        return object_ != nullptr ? object_->if_contains(key) : nullptr;
    }
    Reader child(std::string_view key) const { return Reader(find(key)); }

    std::string text(std::string_view key) const {
        const json::value* value = find(key);
        return value != nullptr && value->is_string() ? std::string(value->get_string())
                                                      : std::string();
    }
    bool flag(std::string_view key) const {
        const json::value* value = find(key);
        return value != nullptr && value->is_bool() && value->get_bool();
    }
    template <class Number>
    Number number(std::string_view key, Number fallback = 0) const {
        const json::value* value = find(key);
        if (value == nullptr) {
            return fallback;
        }
        boost::system::error_code failure;
        const auto number = value->to_number<Number>(failure);
        return failure ? fallback : number;
    }
    std::map<std::string, std::uint64_t> counts(std::string_view key) const {
        std::map<std::string, std::uint64_t> numbers;
        const json::value* value = find(key);
        if (value != nullptr && value->is_object()) {
            for (const auto& member : value->get_object()) {
                numbers[std::string(member.key())] = child(key).number<std::uint64_t>(member.key());
            }
        }
        return numbers;
    }
    std::vector<std::string> texts(std::string_view key) const {
        std::vector<std::string> found;
        for (const json::value& value : array(key)) {
            if (value.is_string()) {
                found.emplace_back(value.get_string());
            }
        }
        return found;
    }
    /// Empty when the value is not an array.
    const json::array& array(std::string_view key) const {
        static const json::array none;
        const json::value* value = find(key);
        return value != nullptr && value->is_array() ? value->get_array() : none;
    }

  private:
    const json::object* object_;
};

WorkerSnapshot worker_from(const Reader& json) {
    WorkerSnapshot worker;
    worker.slot = json.number<unsigned>("slot");
    worker.incarnation = json.number<std::uint32_t>("incarnation");
    worker.pid = json.number<int>("pid");
    worker.state = json.text("state");
    worker.task = json.text("task");
    if (const json::value* id = json.find("job_id"); id != nullptr && id->is_number()) {
        worker.job_id = json.number<std::uint64_t>("job_id");
    }
    worker.jobs_done = json.number<std::uint64_t>("jobs_done");
    worker.age_seconds = json.number<double>("age_seconds");
    worker.rss_bytes = json.number<std::uint64_t>("rss_bytes");
    worker.private_bytes = json.number<std::uint64_t>("private_bytes");
    worker.generation = json.number<unsigned>("generation", 1);
    worker.successor = json.flag("successor");
    return worker;
}

FrontSnapshot front_from(const Reader& json) {
    FrontSnapshot snapshot;
    snapshot.incarnation = json.number<unsigned>("incarnation");
    snapshot.node = json.text("node");
    snapshot.state = json.text("state");
    snapshot.pid = json.number<int>("pid");
    snapshot.age_seconds = json.number<double>("age_seconds");
    snapshot.rss_bytes = json.number<std::uint64_t>("rss_bytes");
    snapshot.private_bytes = json.number<std::uint64_t>("private_bytes");
    return snapshot;
}

TemplateSnapshot template_from(const Reader& json) {
    TemplateSnapshot snapshot;
    snapshot.state = json.text("state");
    snapshot.generation = json.number<unsigned>("generation", 1);
    snapshot.pid = json.number<int>("pid");
    snapshot.age_seconds = json.number<double>("age_seconds");
    snapshot.rss_bytes = json.number<std::uint64_t>("rss_bytes");
    snapshot.private_bytes = json.number<std::uint64_t>("private_bytes");
    snapshot.forks = json.number<std::uint64_t>("forks");
    snapshot.workers = json.number<unsigned>("workers");
    snapshot.error = json.text("error");
    snapshot.findings = json.texts("findings");
    return snapshot;
}

PoolSnapshot pool_from(std::string_view name, const Reader& json) {
    PoolSnapshot pool;
    pool.name = name;
    pool.state = json.text("state");
    pool.advice = json.text("advice");
    pool.workers_wanted = json.number<unsigned>("workers_wanted");
    for (const json::value& worker : json.array("workers")) {
        pool.workers.push_back(worker_from(Reader(&worker)));
    }
    pool.generation = json.number<unsigned>("generation", 1);
    for (const json::value& each : json.array("templates")) {
        pool.templates.push_back(template_from(Reader(&each)));
    }
    pool.template_forks = json.number<std::uint64_t>("template_forks");
    for (const json::value& each : json.array("fronts")) {
        pool.fronts.push_back(front_from(Reader(&each)));
    }
    pool.front_recycles = json.counts("front_recycles");
    pool.front_restarts = json.counts("front_restarts");
    const Reader jobs = json.child("jobs");
    pool.jobs = {jobs.number<std::uint64_t>("queued"), jobs.number<std::uint64_t>("running"),
                 jobs.number<std::uint64_t>("done"),   jobs.number<std::uint64_t>("failed"),
                 jobs.number<std::uint64_t>("lost"),   jobs.number<std::uint64_t>("dead")};
    const Reader attempts = json.child("attempts");
    pool.attempts = {attempts.number<std::uint64_t>("done"),
                     attempts.number<std::uint64_t>("failed"),
                     attempts.number<std::uint64_t>("lost")};
    pool.recycles = json.counts("recycles");
    pool.restarts = json.counts("restarts");
    const Reader gap = json.child("slot_gap_seconds");
    pool.slot_gap = {gap.number<double>("p50"), gap.number<double>("p99"),
                     gap.number<std::uint64_t>("count")};
    pool.clients = json.number<std::uint64_t>("clients");
    pool.refused = json.number<std::uint64_t>("refused");
    pool.trims = json.number<std::uint64_t>("trims");
    pool.trimmed_bytes = json.number<std::uint64_t>("trimmed_bytes");
    return pool;
}

int hex_digit(char letter) {
    if (letter >= '0' && letter <= '9') {
        return letter - '0';
    }
    const char lower = static_cast<char>(letter | 0x20);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

std::optional<ipc::Uuid> parse_uuid(std::string_view text) {
    if (text.size() != 36) {
        return std::nullopt;
    }
    ipc::Uuid uuid{};
    std::size_t digits = 0;
    for (std::size_t at = 0; at < text.size(); ++at) {
        if (at == 8 || at == 13 || at == 18 || at == 23) {
            if (text[at] != '-') {
                return std::nullopt;
            }
            continue;
        }
        const int digit = hex_digit(text[at]);
        if (digit < 0) {
            return std::nullopt;
        }
        auto& byte = uuid[digits++ / 2];
        byte = static_cast<std::uint8_t>(byte << 4 | digit);
    }
    return uuid;
}

ApiResult<ipc::Id> id_from_json(const json::value& value, const std::string& where) {
    if (const auto* number = value.if_int64()) {
        return ipc::Id(*number);
    }
    if (value.is_number()) {
        return ApiError{400, "bad_id",
                        where +
                            " is not a whole number from -9223372036854775808 to "
                            "9223372036854775807; pass other keys as text"};
    }
    if (const auto* text = value.if_string()) {
        if (text->size() > ipc::max_text) {
            return ApiError{400, "bad_id",
                            where + " is a text of " + std::to_string(text->size()) +
                                " bytes and may have " + std::to_string(ipc::max_text) +
                                "; keep the data in a store and pass its ID"};
        }
        if (text->find('\0') != json::string::npos) {
            return ApiError{400, "bad_id", where + " holds a NUL byte, which an ID may not"};
        }
        return ipc::Id(std::string(*text));
    }
    if (const auto* object = value.if_object(); object != nullptr && object->size() == 1) {
        const json::value* member = object->if_contains("uuid");
        const auto uuid = member != nullptr && member->is_string()
                              ? parse_uuid(member->get_string())
                              : std::nullopt;
        if (uuid) {
            return ipc::Id(*uuid);
        }
    }
    return ApiError{400, "bad_id",
                    where +
                        " is not an ID: write a whole number, a text, or "
                        "{\"uuid\": \"8-4-4-4-12 hexadecimal digits\"}"};
}

Snapshot snapshot_from_json(const json::value& value) {
    const Reader root(&value);
    const Reader supervisor = root.child("supervisor");
    Snapshot snapshot;
    snapshot.pid = supervisor.number<int>("pid");
    snapshot.version = supervisor.text("version");
    const std::string tier = supervisor.text("tier");
    snapshot.tier = tier.empty() ? '?' : tier.front();
    snapshot.tier_reason = supervisor.text("tier_reason");
    snapshot.features = supervisor.texts("features");
    snapshot.uptime_seconds = supervisor.number<double>("uptime_seconds");
    snapshot.rss_bytes = supervisor.number<std::uint64_t>("rss_bytes");
    snapshot.stopping = supervisor.flag("stopping");
    const json::value* pools = root.find("pools");
    if (pools != nullptr && pools->is_object()) {
        for (const auto& pool : pools->get_object()) {
            snapshot.pools.push_back(pool_from(pool.key(), Reader(&pool.value())));
        }
    }
    return snapshot;
}

Explanation explanation_from_json(const json::value& value) {
    const Reader root(&value);
    Explanation explanation;
    explanation.subject = root.text("subject");
    explanation.verdict = root.text("verdict");
    for (const json::value& fact : root.array("facts")) {
        const Reader pair(&fact);
        explanation.facts.emplace_back(pair.text("name"), pair.text("value"));
    }
    for (const json::value& earlier : root.array("history")) {
        explanation.history.push_back(explanation_from_json(earlier));
    }
    return explanation;
}

ApiResult<json::value> parse_json(std::string_view text) {
    json::parser parser;
    boost::system::error_code failure;
    const std::size_t used = parser.write_some(text.data(), text.size(), failure);
    if (!failure && used == text.size()) {
        return parser.release();
    }
    return ApiError{400, "bad_json",
                    "this is not JSON: " +
                        (failure ? failure.message() : std::string("something follows the value")) +
                        " (at byte " + std::to_string(used) + ")"};
}

}  // namespace supervise::control
