#include "supervisor/control/json.hpp"

#include <set>

#include "fake_control_api.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;
using namespace supervise::control;
using supervise::test::ContainsSubstring;
namespace json = boost::json;

namespace {

std::set<std::string> keys(const json::value& value) {
    std::set<std::string> names;
    for (const auto& member : value.as_object()) {
        names.insert(std::string(member.key()));
    }
    return names;
}

bool includes(const std::set<std::string>& all, const std::set<std::string>& some) {
    return std::includes(all.begin(), all.end(), some.begin(), some.end());
}

std::string id_error(const json::value& value) {
    const auto id = id_from_json(value, "ids[0]");
    return id ? "accepted" : id.error().message;
}

}  // namespace

TEST_CASE("status has every key that DESIGN promises", "[json]") {
    const json::object status = to_json(test::sample_snapshot());
    CHECK(keys(status) == std::set<std::string>{"supervisor", "pools"});
    CHECK(includes(keys(status.at("supervisor")),
                   {"pid", "version", "tier", "uptime_seconds", "rss_bytes"}));
    const json::value& pool = status.at("pools").at("reports");
    CHECK(includes(keys(pool),
                   {"state", "workers", "jobs", "recycles", "restarts", "slot_gap_seconds"}));
    CHECK(keys(pool.at("jobs")) ==
          std::set<std::string>{"queued", "running", "done", "failed", "lost", "dead"});
    CHECK(keys(pool.at("slot_gap_seconds")) == std::set<std::string>{"p50", "p99", "count"});
    for (const json::value& worker : pool.at("workers").as_array()) {
        CHECK(includes(keys(worker),
                       {"slot", "incarnation", "pid", "state", "task", "job_id", "jobs_done",
                        "age_seconds", "rss_bytes", "private_bytes", "generation"}));
    }
}

TEST_CASE("a worker without a job has null for its task and job", "[json]") {
    const json::object status = to_json(test::sample_snapshot());
    const json::array& workers = status.at("pools").at("reports").at("workers").as_array();
    CHECK(workers[0].at("task") == "reports.tasks.build");
    CHECK(workers[0].at("job_id") == 812);
    CHECK(workers[1].at("task").is_null());
    CHECK(workers[1].at("job_id").is_null());
}

TEST_CASE("a snapshot survives the way to a client and back", "[json]") {
    const std::string sent = to_text(to_json(test::sample_snapshot()));
    const auto parsed = parse_json(sent);
    REQUIRE(parsed.has_value());
    const Snapshot back = snapshot_from_json(*parsed);
    CHECK(to_text(to_json(back)) == sent);
    CHECK(back.pools.at(0).workers.at(1).successor);
}

TEST_CASE("templates, spares and the generation survive it too", "[json]") {
    Snapshot snapshot = test::forked_snapshot();
    TemplateSnapshot& oldest = snapshot.pools[0].templates[1];
    oldest.state = "failed";
    oldest.error = "ImportError: no module named \"x\"";
    oldest.findings = {"2 threads: reports.tasks started one", "a connection to 127.0.0.1:6379"};
    const std::string sent = to_text(to_json(snapshot));
    const Snapshot back = snapshot_from_json(*parse_json(sent));
    CHECK(to_text(to_json(back)) == sent);
    const PoolSnapshot& pool = back.pools.at(0);
    CHECK(pool.workers.at(0).slot == 0);
    CHECK(pool.generation == 3);
    CHECK(pool.template_forks == 300);
    REQUIRE(pool.templates.size() == 2);
    CHECK(pool.templates[0].state == "ready");
    CHECK(pool.templates[0].generation == 3);
    CHECK(pool.templates[0].pid == 4720);
    CHECK(pool.templates[0].age_seconds == 120.5);
    CHECK(pool.templates[0].rss_bytes == 96ULL << 20);
    CHECK(pool.templates[0].private_bytes == 81ULL << 20);
    CHECK(pool.templates[0].forks == 212);
    CHECK(pool.templates[0].workers == 2);
    CHECK(pool.templates[1].error == oldest.error);
    CHECK(pool.templates[1].findings == oldest.findings);
}

TEST_CASE("fronts survive it, too", "[json]") {
    const std::string sent = to_text(to_json(test::fronted_snapshot()));
    const Snapshot back = snapshot_from_json(*parse_json(sent));
    CHECK(to_text(to_json(back)) == sent);
    const PoolSnapshot& pool = back.pools.at(0);
    REQUIRE(pool.fronts.size() == 2);
    CHECK(pool.fronts[0].incarnation == 2);
    CHECK(pool.fronts[0].node == "reports-2@host");
    CHECK(pool.fronts[0].state == "ready");
    CHECK(pool.fronts[0].pid == 4741);
    CHECK(pool.fronts[0].age_seconds == 61);
    CHECK(pool.fronts[0].rss_bytes == 54ULL << 20);
    CHECK(pool.fronts[0].private_bytes == 43ULL << 20);
    CHECK(pool.front_recycles.at("max_rss") == 1);
    CHECK(pool.front_restarts.at("signal") == 3);
}

TEST_CASE("a pool without preload has no templates, but a generation", "[json]") {
    const json::object status = to_json(test::sample_snapshot());
    const json::value& pool = status.at("pools").at("reports");
    CHECK(pool.at("templates").as_array().empty());
    CHECK(pool.at("generation") == 1);
    CHECK(snapshot_from_json(*parse_json(R"({"pools": {"p": {}}})")).pools.at(0).generation == 1);
}

TEST_CASE("a snapshot of a stranger keeps defaults for what is missing or odd", "[json]") {
    const auto parsed = parse_json(R"({"supervisor": {"pid": "x", "uptime_seconds": 1e400},
        "pools": {"p": {"workers": [1, {"pid": -1.5}], "jobs": []}}})");
    REQUIRE(parsed.has_value());
    const Snapshot snapshot = snapshot_from_json(*parsed);
    CHECK(snapshot.pid == 0);
    CHECK(snapshot.tier == '?');
    REQUIRE(snapshot.pools.size() == 1);
    CHECK(snapshot.pools[0].workers.size() == 2);
    CHECK(snapshot.pools[0].jobs.done == 0);
    CHECK(snapshot_from_json(json::value(5)).pools.empty());
}

TEST_CASE("an explanation survives the way to a client and back", "[json]") {
    test::FakeControlApi api;
    const Explanation sent = *api.why_job(812);
    const Explanation back = explanation_from_json(to_json(sent));
    CHECK(back.subject == sent.subject);
    CHECK(back.verdict == sent.verdict);
    CHECK(back.facts == sent.facts);
    REQUIRE(back.history.size() == 1);
    CHECK(back.history[0].facts == sent.history[0].facts);
}

TEST_CASE("fractions are written as people write them and stay fractions", "[json]") {
    CHECK(to_text(json::value{{"a", 0.25}, {"b", 8040.0}, {"c", 7}}) ==
          R"({"a": 0.25, "b": 8040.0, "c": 7})");
    CHECK(to_text(json::value(std::numeric_limits<double>::infinity())) == "null");
    CHECK(to_text(json::array{"a\"b\n", nullptr, true}) == R"(["a\"b\n", null, true])");
    CHECK(to_text(json::object{}) == "{}");
}

TEST_CASE("each kind of ID goes to JSON and back", "[json][id]") {
    const auto uuid = parse_uuid("00112233-4455-6677-8899-aAbBcCdDeEfF");
    REQUIRE(uuid);
    const std::vector<ipc::Id> ids = {std::int64_t{42}, std::numeric_limits<std::int64_t>::min(),
                                      std::numeric_limits<std::int64_t>::max(),
                                      std::string("report-7"), *uuid};
    for (const ipc::Id& id : ids) {
        const auto text = parse_json(to_text(to_json(id)));
        REQUIRE(text.has_value());
        const auto back = id_from_json(*text, "id");
        REQUIRE(back.has_value());
        CHECK(*back == id);
    }
    CHECK(to_text(to_json(ids[4])) == R"({"uuid": "00112233-4455-6677-8899-aabbccddeeff"})");
}

TEST_CASE("what is not an ID is refused with what to write", "[json][id]") {
    const auto number = [](const char* text) { return id_error(*parse_json(text)); };
    CHECK_THAT(number("9223372036854775808"), ContainsSubstring("ids[0] is not a whole number"));
    CHECK_THAT(number("-9223372036854775809"), ContainsSubstring("not a whole number"));
    CHECK_THAT(number("99999999999999999999999"), ContainsSubstring("not a whole number"));
    CHECK_THAT(number("1.5"), ContainsSubstring("not a whole number"));
    CHECK_THAT(number("1e3"), ContainsSubstring("not a whole number"));
    CHECK_THAT(number("true"), ContainsSubstring("not an ID"));
    CHECK_THAT(number("null"), ContainsSubstring("not an ID"));
    CHECK_THAT(number("[1]"), ContainsSubstring("not an ID"));
    CHECK_THAT(number(R"({"uuid": "nonsense"})"), ContainsSubstring("not an ID"));
    CHECK_THAT(number(R"({"uuid": 1, "more": 2})"), ContainsSubstring("not an ID"));
    CHECK_THAT(number(R"("a\u0000b")"), ContainsSubstring("NUL"));
    CHECK_THAT(id_error(json::string(256, 'x')), ContainsSubstring("256 bytes"));
    CHECK(id_error(json::string(255, 'x')) == "accepted");
}

TEST_CASE("only 8-4-4-4-12 hexadecimal digits are a UUID", "[json][id]") {
    CHECK_FALSE(parse_uuid(""));
    CHECK_FALSE(parse_uuid("00112233445566778899aabbccddeeff"));
    CHECK_FALSE(parse_uuid("00112233-4455-6677-8899-aabbccddeefg"));
    CHECK_FALSE(parse_uuid("00112233-4455-6677-8899aaabbccddeeff"));
    CHECK_FALSE(parse_uuid("0011223--4455-6677-8899-aabbccddeeff"));
}

TEST_CASE("a job's end says its result, its error or its cause", "[json]") {
    const std::string id = ipc::encode_id(std::int64_t{7});
    const auto ended = [](JobState state, const ipc::Report& report) {
        return to_text(to_json(JobEnd{812, state, 2, ipc::encode_report(report)}));
    };
    CHECK(ended(JobState::done, ipc::Value{id}) ==
          R"({"job_id": 812, "state": "done", "attempts": 2, "result": 7})");
    CHECK(ended(JobState::done, ipc::Value{}) ==
          R"({"job_id": 812, "state": "done", "attempts": 2, "result": null})");
    CHECK(ended(JobState::dead, ipc::Failure{"ValueError", "no", "Traceback"}) ==
          R"({"job_id": 812, "state": "dead", "attempts": 2, "error": )"
          R"({"type": "ValueError", "message": "no", "traceback": "Traceback"}})");
    CHECK(ended(JobState::lost, ipc::Loss{Cause::signal, "killed by 9"}) ==
          R"({"job_id": 812, "state": "lost", "attempts": 2, "cause": "signal", )"
          R"("detail": "killed by 9"})");
    CHECK_THAT(to_text(to_json(JobEnd{1, JobState::lost, 1, "\xff"})),
               ContainsSubstring("cannot be read"));
}

TEST_CASE("broken JSON is told its place", "[json]") {
    CHECK_THAT(parse_json("{\"a\": }").error().message, ContainsSubstring("at byte 6"));
    CHECK_THAT(parse_json("{} {}").error().message, ContainsSubstring("something follows"));
    CHECK(parse_json("{\"a\": 1").has_error());
    CHECK(parse_json("").has_error());
    CHECK(parse_json("\"\xff\"").has_error());
    CHECK(parse_json(std::string(100, '[')).has_error());
    CHECK(parse_json(" {} \n").has_value());
}
