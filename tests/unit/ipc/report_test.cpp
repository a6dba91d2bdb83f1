#include "ipc/report.hpp"

#include <stdexcept>

#include "ipc/ids.hpp"
#include "ipc/limits.hpp"
#include "ipc/utf8.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;
using namespace supervise::ipc;

namespace {

Failure decoded_failure(const std::string& bytes) {
    return std::get<Failure>(decode_report(bytes).value());
}

std::string repeated(const std::string& text, std::size_t times) {
    std::string all;
    while (times-- > 0) {
        all += text;
    }
    return all;
}

}  // namespace

TEST_CASE("a report comes back as it was", "[report]") {
    const std::string id = encode_id(std::string("key"));
    const std::string done = encode_report(Value{id});
    CHECK(std::get<Value>(decode_report(done).value()).id == id);
    const std::string none = encode_report(Value{});
    CHECK(std::get<Value>(decode_report(none).value()).id.empty());

    const std::string lost = encode_report(Loss{Cause::oom_host, "killed by the kernel"});
    const Loss loss = std::get<Loss>(decode_report(lost).value());
    CHECK(loss.cause == Cause::oom_host);
    CHECK(loss.detail == "killed by the kernel");

    const std::string failed = encode_report(Failure{"ValueError", "no", "line 1"});
    const Failure failure = decoded_failure(failed);
    CHECK(failure.type == "ValueError");
    CHECK(failure.message == "no");
    CHECK(failure.traceback == "line 1");
}

TEST_CASE("a traceback that does not fit loses its beginning", "[report]") {
    const std::string traceback = "first" + std::string(2000, '-') + "last";
    const std::string bytes = encode_report(Failure{"E", "message", traceback});
    CHECK(bytes.size() == max_report);
    const Failure failure = decoded_failure(bytes);
    CHECK(failure.message == "message");
    CHECK(failure.traceback.substr(failure.traceback.size() - 5) == "-last");
    CHECK(failure.traceback.substr(0, 1) == "-");
}

TEST_CASE("a message that does not fit loses its end, and the traceback all", "[report]") {
    const std::string bytes =
        encode_report(Failure{"E", "first" + std::string(2000, '-'), "trace"});
    CHECK(bytes.size() == max_report);
    const Failure failure = decoded_failure(bytes);
    CHECK(failure.message.substr(0, 6) == "first-");
    CHECK(failure.traceback.empty());
}

TEST_CASE("a report is cut between characters, whatever the sizes", "[report]") {
    for (std::size_t shift = 0; shift < 5; ++shift) {
        const std::string wide = std::string(shift, 'a') + repeated("🔑", 400);
        const std::string of_message = encode_report(Failure{"E", wide, wide});
        const std::string of_traceback = encode_report(Failure{"E", "m", wide + "é"});
        const std::string of_type = encode_report(Failure{wide, "m", "t"});
        const std::string of_detail = encode_report(Loss{Cause::exit, wide});
        for (const std::string& bytes : {of_message, of_traceback, of_type, of_detail}) {
            CHECK(bytes.size() <= max_report);
            CHECK(decode_report(bytes));
        }
        CHECK(of_message.size() + 4 > max_report);
        CHECK(of_traceback.size() + 4 > max_report);
        CHECK(of_detail.size() + 4 > max_report);
        CHECK(decoded_failure(of_type).type.size() + 4 > max_text);
    }
}

TEST_CASE("a report of bytes that are no text is still a report", "[report]") {
    const std::string bytes =
        encode_report(Failure{"\xff", std::string_view("a\0b", 3), "\xc3\xc3\xa9"});
    const Failure failure = decoded_failure(bytes);
    CHECK(failure.type == "?");
    CHECK(failure.message == "a?b");
    CHECK(failure.traceback == "?é");
}

TEST_CASE("a result that is not one ID is the caller's mistake", "[report]") {
    CHECK_THROWS_AS(encode_report(Value{"7"}), std::invalid_argument);
    CHECK_THROWS_AS(encode_report(Value{encode_id(std::int64_t{1}) + "x"}), std::invalid_argument);
}

TEST_CASE("bytes that are not exactly one report are refused", "[report]") {
    const std::string report = encode_report(Failure{"E", "m", "t"});
    CHECK_FALSE(decode_report(""));
    CHECK_FALSE(decode_report(report + "x"));
    for (std::size_t size = 0; size < report.size(); ++size) {
        CHECK_FALSE(decode_report(std::string_view(report).substr(0, size)));
    }
}
