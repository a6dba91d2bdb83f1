#include "config/units.hpp"

#include <cmath>
#include <limits>

#include "tests/support/catch.hpp"

using namespace supervise;
using namespace supervise::config;
using namespace std::chrono_literals;
using supervise::test::ContainsSubstring;

namespace {

std::string size_error(const std::string& text) {
    const auto parsed = parse_size(text);
    REQUIRE_FALSE(parsed.has_value());
    return parsed.error().message;
}

std::string time_error(const std::string& text) {
    const auto parsed = parse_time(text);
    REQUIRE_FALSE(parsed.has_value());
    return parsed.error().message;
}

}  // namespace

TEST_CASE("sizes are powers of 1024, with or without iB", "[config][units]") {
    CHECK(parse_size("0").value() == 0);
    CHECK(parse_size("4096").value() == 4'096);
    CHECK(parse_size("1K").value() == 1'024);
    CHECK(parse_size("64KiB").value() == 65'536);
    CHECK(parse_size("512M").value() == 536'870'912);
    CHECK(parse_size("512MiB").value() == 536'870'912);
    CHECK(parse_size("512 MiB").value() == 536'870'912);
    CHECK(parse_size("2G").value() == 2'147'483'648);
    CHECK(parse_size("1T").value() == 1ULL << 40);
    CHECK(parse_size("1.5G").value() == 1'610'612'736);
    CHECK(parse_size("0.25K").value() == 256);
    CHECK(parse_size("18446744073709551615").value() == UINT64_MAX);
}

TEST_CASE("what is no size says what to write", "[config][units]") {
    CHECK(size_error("") == "is not a size: write \"512M\" or \"2G\"");
    CHECK(size_error("-5M") == "is not a size: write \"512M\" or \"2G\"");
    CHECK(size_error("M") == "is not a size: write \"512M\" or \"2G\"");
    CHECK(size_error("1M2") == "is not a size: write \"512M\" or \"2G\"");
    CHECK(size_error("1.M") == "is not a size: write \"512M\" or \"2G\"");
    CHECK_THAT(size_error("512MB"), ContainsSubstring("write \"512M\""));
    CHECK_THAT(size_error("1.5g"), ContainsSubstring("write \"1.5G\""));
    CHECK_THAT(size_error("5 parsecs"), ContainsSubstring("unknown unit \"parsecs\""));
    CHECK_THAT(size_error("1.3K"), ContainsSubstring("whole number of bytes"));
    CHECK_THAT(size_error("0.0000001T"), ContainsSubstring("whole number of bytes"));
    CHECK_THAT(size_error("18446744073709551616"), ContainsSubstring("too large"));
    CHECK_THAT(size_error("16777216T"), ContainsSubstring("too large"));
    CHECK_THAT(size_error(std::string(100'000, '9')), ContainsSubstring("too large"));
}

TEST_CASE("times are sums of units, the largest first", "[config][units]") {
    CHECK(parse_time("250ms").value() == 250ms);
    CHECK(parse_time("30s").value() == 30s);
    CHECK(parse_time("0s").value() == 0ms);
    CHECK(parse_time("5m").value() == 5min);
    CHECK(parse_time("6h").value() == 6h);
    CHECK(parse_time("1d").value() == 24h);
    CHECK(parse_time("1h30m").value() == 90min);
    CHECK(parse_time("1d 2h 3m 4s 5ms").value() == 26h + 3min + 4s + 5ms);
    CHECK(parse_time("1.5s").value() == 1'500ms);
    CHECK(parse_time("0.25h").value() == 15min);
}

TEST_CASE("what is no time says what to write", "[config][units]") {
    CHECK(time_error("") == "is not a time: write \"30s\", \"5m\" or \"1h30m\"");
    CHECK(time_error("soon") == "is not a time: write \"30s\", \"5m\" or \"1h30m\"");
    CHECK(time_error("-3s") == "is not a time: write \"30s\", \"5m\" or \"1h30m\"");
    CHECK(time_error("30") == "has no unit: write \"30s\"");
    CHECK_THAT(time_error("1h30"), ContainsSubstring("has no unit"));
    CHECK_THAT(time_error("5min"), ContainsSubstring("write \"5m\""));
    CHECK_THAT(time_error("5M"), ContainsSubstring("write \"5m\""));
    CHECK_THAT(time_error("3 weeks"), ContainsSubstring("unknown unit \"weeks\""));
    CHECK_THAT(time_error("30m1h"), ContainsSubstring("largest first"));
    CHECK_THAT(time_error("1m1m"), ContainsSubstring("each unit once"));
    CHECK_THAT(time_error("0.5ms"), ContainsSubstring("finer than a millisecond"));
    CHECK_THAT(time_error("99999999999999999999d"), ContainsSubstring("too long"));
    CHECK_THAT(time_error("213503982335d"), ContainsSubstring("too long"));
}

TEST_CASE("plain numbers are seconds, to the millisecond", "[config][units]") {
    CHECK(time_from_seconds(30).value() == 30s);
    CHECK(time_from_seconds(0.0015).value() == 2ms);
    CHECK_FALSE(time_from_seconds(-0.1).has_value());
    CHECK_FALSE(time_from_seconds(std::nan("")).has_value());
    CHECK_FALSE(time_from_seconds(std::numeric_limits<double>::infinity()).has_value());
}

TEST_CASE("what is formatted reads as people write it", "[config][units]") {
    CHECK(format_size(0) == "0");
    CHECK(format_size(1'000) == "1000");
    CHECK(format_size(1'536) == "1536");
    CHECK(format_size(1'572'864) == "1536K");
    CHECK(format_size(536'870'912) == "512M");
    CHECK(format_size(1ULL << 40) == "1T");
    CHECK(format_time(0ms) == "0s");
    CHECK(format_time(250ms) == "250ms");
    CHECK(format_time(90min) == "1h30m");
    CHECK(format_time(24h) == "1d");
    CHECK(format_time(1'500ms) == "1s500ms");
}

TEST_CASE("what is formatted is read back to the same value", "[config][units]") {
    for (std::uint64_t step = 1; step < (1ULL << 62); step = step * 3 + 7) {
        CHECK(parse_size(format_size(step)).value() == step);
        const Milliseconds time{static_cast<Milliseconds::rep>(step)};
        CHECK(parse_time(format_time(time)).value() == time);
    }
    CHECK(parse_size(format_size(UINT64_MAX)).value() == UINT64_MAX);
}
