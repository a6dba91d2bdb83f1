#include "supervisor/control/requests.hpp"

#include "tests/support/catch.hpp"

using namespace supervise;
using namespace supervise::control;
using supervise::test::ContainsSubstring;

namespace {

template <class T>
std::string error_of(const ApiResult<T>& result) {
    return result ? "accepted" : result.error().message;
}

std::string submit_error(const std::string& rest) {
    return error_of(read_submit(R"({"task": "a.b", )" + rest + "}"));
}

}  // namespace

TEST_CASE("a submit has a task and may leave the rest away", "[requests]") {
    const auto request = read_submit(R"({"task": "reports.tasks.build"})");
    REQUIRE(request.has_value());
    CHECK(request->task == "reports.tasks.build");
    CHECK(request->ids.empty());
    CHECK(request->priority == 0);
    CHECK_FALSE(request->wait);
}

TEST_CASE("a submit carries its IDs in order", "[requests]") {
    const auto request =
        read_submit(R"({"task": "a.b", "ids": [1, "x"], "priority": 9, "wait": true})");
    REQUIRE(request.has_value());
    CHECK(request->ids == std::vector<ipc::Id>{std::int64_t{1}, std::string("x")});
    CHECK(request->priority == 9);
    CHECK(request->wait);
}

TEST_CASE("a submit with anything odd is refused and told why", "[requests]") {
    CHECK_THAT(error_of(read_submit("")), ContainsSubstring("task must be a text"));
    CHECK_THAT(error_of(read_submit("[]")), ContainsSubstring("must be a JSON object"));
    CHECK_THAT(error_of(read_submit("nonsense")), ContainsSubstring("not JSON"));
    CHECK_THAT(error_of(read_submit(R"({"task": 5})")), ContainsSubstring("task must be a text"));
    CHECK_THAT(error_of(read_submit(R"({"task": ")" + std::string(256, 'x') + "\"}")),
               ContainsSubstring("255 bytes"));
    CHECK_THAT(submit_error(R"("prio": 1)"), ContainsSubstring("unknown key \"prio\""));
    CHECK_THAT(submit_error(R"("prio": 1)"), ContainsSubstring("task ids priority wait"));
    CHECK_THAT(submit_error(R"("priority": 10)"), ContainsSubstring("from 0 to 9"));
    CHECK_THAT(submit_error(R"("priority": -1)"), ContainsSubstring("from 0 to 9"));
    CHECK_THAT(submit_error(R"("priority": 1.0)"), ContainsSubstring("from 0 to 9"));
    CHECK_THAT(submit_error(R"("wait": 1)"), ContainsSubstring("true or false"));
    CHECK_THAT(submit_error(R"("ids": 42)"), ContainsSubstring("must be an array"));
    CHECK_THAT(submit_error(R"("ids": [1, 2.5])"), ContainsSubstring("ids[1]"));
}

TEST_CASE("IDs that do not fit one job are refused with the way out", "[requests]") {
    std::string ids = "1";
    for (int count = 1; count < 101; ++count) {
        ids += ", 1";
    }
    CHECK_THAT(submit_error("\"ids\": [" + ids + "]"), ContainsSubstring("pass its ID"));
    ids.resize(ids.size() - 3);
    CHECK(submit_error("\"ids\": [" + ids + "]") == "accepted");
    const std::string text = '"' + std::string(255, 'x') + '"';
    CHECK_THAT(submit_error("\"ids\": [" + text + ',' + text + ',' + text + ',' + text + "]"),
               ContainsSubstring("960 bytes"));
}

TEST_CASE("recycle takes a slot, the template, the front, or nothing for all workers",
          "[requests]") {
    for (const char* all : {"", "{}", R"({"template": false})"}) {
        CHECK(read_recycle(all)->slot == std::nullopt);
        CHECK_FALSE(read_recycle(all)->renew_template);
    }
    CHECK(read_recycle(R"({"slot": 2})")->slot == 2U);
    CHECK(read_recycle(R"({"slot": 2, "template": false})")->slot == 2U);
    CHECK(read_recycle(R"({"template": true})")->renew_template);
    CHECK_FALSE(read_recycle(R"({"template": true})")->slot);
    CHECK_THAT(error_of(read_recycle(R"({"template": 1})")),
               ContainsSubstring("template must be true or false"));
    CHECK_THAT(error_of(read_recycle(R"({"slot": 2, "template": true})")),
               ContainsSubstring("exclude each other"));
    CHECK_THAT(error_of(read_recycle(R"({"slot": 0})")), ContainsSubstring("from 1 to 1024"));
    CHECK_THAT(error_of(read_recycle(R"({"slot": "2"})")), ContainsSubstring("whole number"));
    CHECK_THAT(error_of(read_recycle(R"({"slots": 2})")),
               ContainsSubstring("there are slot template front"));
    CHECK(read_recycle(R"({"front": true})")->front);
    CHECK_FALSE(read_recycle("")->front);
    for (const char* both :
         {R"({"slot": 2, "front": true})", R"({"template": true, "front": true})"}) {
        CHECK_THAT(error_of(read_recycle(both)), ContainsSubstring("exclude each other"));
    }
}

TEST_CASE("scale needs a number of workers", "[requests]") {
    CHECK(read_scale(R"({"workers": 0})")->workers == 0);
    CHECK(read_scale(R"({"workers": 1024})")->workers == 1024);
    CHECK_FALSE(read_scale(R"({"workers": 4})")->most);
    CHECK(read_scale(R"({"max": 4})")->workers == 4);
    CHECK(read_scale(R"({"max": 4})")->most);
    CHECK_THAT(error_of(read_scale(R"({"workers": 4, "max": 4})")),
               ContainsSubstring("say how many"));
    CHECK_THAT(error_of(read_scale(R"({"max": 1025})")), ContainsSubstring("0 to 1024"));
    CHECK_THAT(error_of(read_scale("")), ContainsSubstring("say how many"));
    CHECK_THAT(error_of(read_scale(R"({"workers": 1025})")), ContainsSubstring("0 to 1024"));
    CHECK_THAT(error_of(read_scale(R"({"workers": 18446744073709551615})")),
               ContainsSubstring("0 to 1024"));
}

TEST_CASE("a request that takes nothing refuses what it would ignore", "[requests]") {
    CHECK(read_nothing("").has_value());
    CHECK(read_nothing("{}").has_value());
    CHECK_THAT(error_of(read_nothing(R"({"force": true})")), ContainsSubstring("takes none"));
}
