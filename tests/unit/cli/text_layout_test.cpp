#include "supervisor/cli/text_layout.hpp"

#include "tests/support/catch.hpp"

using namespace supervise::cli;

TEST_CASE("control characters of a name do not reach the terminal", "[text]") {
    CHECK(printable("a\x1b[2J\n\t\x7f\xc2\x9b"
                    "b\xff\xc3\xa4") == "a?[2J????b?\xc3\xa4");
}

TEST_CASE("text is filled up or cut at its beginning", "[text]") {
    CHECK(left("ab", 4) == "ab  ");
    CHECK(right("ab", 4) == "  ab");
    CHECK(left("reports.tasks.build", 10) == "..ks.build");
    CHECK(right("abcdef", 2) == "ef");
    CHECK(left("\xc3\xa4\xc3\xa4", 3) == "\xc3\xa4\xc3\xa4 ");
    CHECK(left("\xc3\xa4\xc3\xb6\xc3\xbc"
               "abc",
               5) == "..abc");
    CHECK(width("\xc3\xa4"
                "b") == 2);
}

TEST_CASE("a list breaks between items", "[text]") {
    CHECK(listing("a: ", {"one", "two", "three"}, 12) == "a: one, two,\n   three\n");
    CHECK(listing("a: ", {"one", "two", "three"}, 79) == "a: one, two, three\n");
    CHECK(listing("a: ", {"much-too-long", "b"}, 5) == "a: much-too-long,\n   b\n");
    CHECK(paragraph("! ", "some  words\nhere", 9) == "! some\n  words?here\n");
}

TEST_CASE("bytes are for people", "[text]") {
    CHECK(human_bytes(0) == "0");
    CHECK(human_bytes(999) == "999");
    CHECK(human_bytes(1000) == "1.0K");
    CHECK(human_bytes(9'961'472) == "9.5M");
    CHECK(human_bytes(312ULL << 20) == "312M");
    CHECK(human_bytes(1023ULL << 20) == "1.0G");
    CHECK(human_bytes(20ULL << 40) == "20T");
}

TEST_CASE("times are for people", "[text]") {
    CHECK(human_age(0) == "0s");
    CHECK(human_age(-1) == "0s");
    CHECK(human_age(59.9) == "59s");
    CHECK(human_age(61) == "1m01s");
    CHECK(human_age(3'725) == "1h02m");
    CHECK(human_age(86'400 * 3 + 4 * 3'600) == "3d04h");
    CHECK(human_seconds(0.0012) == "1.2 ms");
    CHECK(human_seconds(2.5) == "2.50 s");
}
