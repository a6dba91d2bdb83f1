#include "ipc/utf8.hpp"

#include <string>

#include "tests/support/catch.hpp"

using namespace supervise::ipc;

namespace {

/// UTF-8 as its definition says, without checking, for any number below 2^21.
std::string naive_utf8(unsigned point, int size) {
    if (size == 1) {
        return {static_cast<char>(point)};
    }
    std::string text;
    for (int i = 1; i < size; ++i) {
        text.insert(text.begin(), static_cast<char>(0x80 | (point & 0x3f)));
        point >>= 6;
    }
    const unsigned leads[] = {0, 0, 0xc0, 0xe0, 0xf0};
    text.insert(text.begin(), static_cast<char>(leads[size] | point));
    return text;
}

}  // namespace

TEST_CASE("every character is a text in its shortest form only", "[utf8]") {
    const unsigned ends[] = {0, 0x80, 0x800, 0x10000, 0x200000};  // of 1, 2, 3 and 4 bytes
    int wrong = 0;
    for (int size = 1; size <= 4; ++size) {
        for (unsigned point = 0; point < ends[size]; ++point) {
            const bool expected = point != 0 && point >= ends[size - 1] && point <= 0x10ffff &&
                                  (point < 0xd800 || point > 0xdfff);
            wrong += is_text(naive_utf8(point, size)) != expected ? 1 : 0;
        }
    }
    CHECK(wrong == 0);
}

TEST_CASE("a bad byte is found wherever it is", "[utf8]") {
    for (const char bad : {'\0', '\x80', '\xff'}) {
        for (std::size_t size = 1; size < 40; ++size) {
            for (std::size_t at = 0; at < size; ++at) {
                std::string text(size, 'a');
                REQUIRE(is_text(text));
                text[at] = bad;
                REQUIRE_FALSE(is_text(text));
            }
        }
    }
    CHECK(is_text(""));
}

TEST_CASE("whatever is no character becomes a question mark each byte", "[utf8]") {
    const auto made = [](std::string text) {
        make_text(text.data(), text.size());
        return text;
    };
    CHECK(made("plain") == "plain");
    CHECK(made("\xff") == "?");
    CHECK(made(std::string("a\0b", 3)) == "a?b");
    CHECK(made("é\xc3") == "é?");
    CHECK(made("\xe2\x82") == "??");
    CHECK(made("\xed\xa0\x80€") == "???€");
}

TEST_CASE("a text is cut between characters", "[utf8]") {
    const std::string text = "aé€🔑";  // 1, 2, 3 and 4 bytes
    CHECK(keep_beginning(text, 100) == text);
    CHECK(keep_beginning(text, 10) == text);
    CHECK(keep_beginning(text, 9) == "aé€");
    CHECK(keep_beginning(text, 6) == "aé€");
    CHECK(keep_beginning(text, 5) == "aé");
    CHECK(keep_beginning(text, 2) == "a");
    CHECK(keep_beginning(text, 0).empty());
    CHECK(keep_end(text, 100) == text);
    CHECK(keep_end(text, 9) == "é€🔑");
    CHECK(keep_end(text, 8) == "€🔑");
    CHECK(keep_end(text, 6) == "🔑");
    CHECK(keep_end(text, 3).empty());
    CHECK(keep_end(text, 0).empty());
}
