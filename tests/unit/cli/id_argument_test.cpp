#include "supervisor/cli/id_argument.hpp"

#include "tests/support/catch.hpp"

using namespace supervise;
using supervise::cli::parse_id_argument;
using supervise::test::ContainsSubstring;

namespace {

ipc::Id id(const std::string& argument) { return std::get<ipc::Id>(parse_id_argument(argument)); }

std::string error(const std::string& argument) {
    const auto parsed = parse_id_argument(argument);
    const auto* bad = std::get_if<cli::BadId>(&parsed);
    return bad != nullptr ? bad->message : "accepted";
}

}  // namespace

TEST_CASE("decimal digits are a number", "[id]") {
    CHECK(id("42") == ipc::Id(std::int64_t{42}));
    CHECK(id("-42") == ipc::Id(std::int64_t{-42}));
    CHECK(id("007") == ipc::Id(std::int64_t{7}));
    CHECK(id("-9223372036854775808") == ipc::Id(std::numeric_limits<std::int64_t>::min()));
}

TEST_CASE("a number that no ID can hold is an error and not a text", "[id]") {
    CHECK_THAT(error("9223372036854775808"), ContainsSubstring("text:9223372036854775808"));
}

TEST_CASE("a UUID is one in either case", "[id]") {
    const ipc::Id lower = id("7f0c52e6-0000-4000-8000-0123456789ab");
    CHECK(std::holds_alternative<ipc::Uuid>(lower));
    CHECK(id("7F0C52E6-0000-4000-8000-0123456789AB") == lower);
}

TEST_CASE("all else is a text, and text: makes one of anything", "[id]") {
    CHECK(id("report-7") == ipc::Id(std::string("report-7")));
    CHECK(id("4 2") == ipc::Id(std::string("4 2")));
    CHECK(id("-") == ipc::Id(std::string("-")));
    CHECK(id("") == ipc::Id(std::string()));
    CHECK(id("text:42") == ipc::Id(std::string("42")));
    CHECK(id("text:") == ipc::Id(std::string()));
    CHECK(id("text:text:42") == ipc::Id(std::string("text:42")));
    CHECK(id("[1,2]") == ipc::Id(std::string("[1,2]")));
}

TEST_CASE("a text that does not fit or is no UTF-8 is refused", "[id]") {
    CHECK(error(std::string(255, 'x')) == "accepted");
    CHECK_THAT(error(std::string(256, 'x')), ContainsSubstring("256 bytes"));
    CHECK_THAT(error("\xff"), ContainsSubstring("UTF-8"));
}
