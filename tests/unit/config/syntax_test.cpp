#include "config/syntax.hpp"

#include "tests/support/catch.hpp"

using namespace supervise::config;
using supervise::test::ContainsSubstring;

namespace {

std::string error_of(std::string_view text) {
    Diagnostics diagnostics("w.toml");
    const bool parsed = parse_toml(text, diagnostics).has_value();
    const auto taken = diagnostics.take();
    REQUIRE(parsed == false);
    REQUIRE(taken.size() == 1);  // a file that is no TOML is one error
    return taken[0].text();
}

bool parses(std::string_view text) {
    Diagnostics diagnostics("w.toml");
    return parse_toml(text, diagnostics).has_value();
}

}  // namespace

TEST_CASE("a syntax error says what to write at its place", "[config][syntax]") {
    struct Case {
        const char* text;
        const char* start;  ///< of the diagnostic
    };
    const Case cases[] = {
        {"a = 512M", "1:8: error: sizes need quotes: write \"512M\" (not valid TOML: "},
        {"a = 1.5G", "1:8: error: sizes need quotes: write \"1.5G\""},
        {"a = 512MB", "1:8: error: sizes need quotes: write \"512M\""},
        {"a = 30s", "1:7: error: times need quotes: write \"30s\""},
        {"a = 1h30m # half", "1:6: error: times need quotes: write \"1h30m\""},
        {"a = {first = 100ms}", "1:17: error: times need quotes: write \"100ms\""},
        {"x = [\n 512M,\n]", "2:5: error: sizes need quotes: write \"512M\""},
        {"\n\na = foo", "3:6: error: texts, sizes and times need quotes: write \"foo\""},
        {"a = /usr/bin", "1:5: error: texts, sizes and times need quotes: write \"/usr/bin\""},
        {"a = 127.0.0.1:80", "1:7: error: texts, sizes and times need quotes"},
        {"a = True", "1:5: error: write true, in small letters and without quotes"},
        {"a = off", "1:5: error: write false, in small letters and without quotes"},
        {"a = null", "1:6: error: there is no such value: leave the whole line out"},
        {"a = .5", "1:5: error: write 0.5, with a digit before the point"},
        {"a = 0027", "1:9: error: a number does not begin with 0: write \"0027\" in quotes"},
        {"a = 99999999999999999999", "1:25: error: this number is too large for any key"},
        {"a = 4;", "1:6: error: a line needs no ; at its end"},
        {"a = \xe2\x80\x9cx\xe2\x80\x9d", "1:5: error: these quotes are not TOML's"},
        {"a = \"foo\nb = 1", "1:9: error: the closing quote is missing on this line"},
        {"a = 'foo", "1:9: error: the closing quote is missing on this line"},
        {"a = \"C:\\x\"", "1:9: error: a backslash begins an escape"},
        {"[a]\nx=1\n[a]", "3:1: error: this table is in the file already"},
        {"a=1\na=2", "2:3: error: this key is in the file already: keep one of the two"},
        {"a =\nb = 1", "1:4: error: write a value after the ="},
        {"a", "1:2: error: a line reads key = value or [table]"},
        {"[pool.a", "1:8: error: the closing ] is missing"},
        {"a = [\"x\" \"y\"]", "1:10: error: the list is not closed"},
        {"a = {x=1,}", "1:10: error: remove the comma before }"},
        {"a = {x=1\ny=2}", "1:9: error: { ... } must stay on one line"},
        {"a: 3", "1:2: error: write = between key and value"},
        {"max tasks = 3", "1:5: error: a line reads key = value, and a key has no blanks"},
        {"a = 1 b = 2", "1:7: error: only one thing a line"},
        {"a = 1 // one", "1:7: error: a comment begins with #"},
        {"<<<<<<< HEAD", "1:1: error: this is left over from a merge"},
    };
    for (const Case& one : cases) {
        INFO(one.text);
        const std::string error = error_of(one.text);
        INFO(error);
        CHECK(error.starts_with(std::string("w.toml:") + one.start));
    }
}

TEST_CASE("bytes that are no text are refused at their place", "[config][syntax]") {
    using namespace std::string_view_literals;
    CHECK(error_of("a = 1\nb = \"\xff\"") ==
          "w.toml:2:6: error: this byte is not UTF-8: save the file as UTF-8");
    CHECK(error_of("a = 1\nö\0 = 1"sv) ==
          "w.toml:2:2: error: there is a NUL byte here: remove it (is this a text file?)");
    CHECK_THAT(error_of("\xfe\xff\0["sv), ContainsSubstring("UTF-16"));
    CHECK(
        parses("\xef\xbb\xbf"
               "a = 1"));  // a UTF-8 byte order mark does no harm
}

TEST_CASE("a file over the limit is refused unread, one at the limit is read", "[config][syntax]") {
    const std::string full = "a = 1\n#" + std::string(largest_file - 7, 'x');
    REQUIRE(full.size() == largest_file);
    CHECK(parses(full));
    CHECK_THAT(error_of(full + "x"),
               ContainsSubstring("1:1: error: the file is larger than 1 MiB"));
}

TEST_CASE("nesting without end is refused and does not overflow the stack", "[config][syntax]") {
    const auto repeat = [](std::string_view part, int times) {
        std::string text;
        for (int i = 0; i < times; ++i) {
            text += part;
        }
        return text;
    };
    CHECK_THAT(error_of(repeat("a.", 500'000) + "a = 1"), ContainsSubstring("joined by dots"));
    CHECK_THAT(error_of("x = 1\n[" + repeat("\"a\" . ", 100'000) + "a]"),
               ContainsSubstring("w.toml:2:1: error: more than 9 keys"));
    CHECK_THAT(error_of("a = " + repeat("{a.'b'.c.d.e.f.g.h.i.", 40'000)),
               ContainsSubstring("joined by dots"));
    CHECK_THAT(error_of("a = " + repeat("[", 500'000)), ContainsSubstring("this deep"));
    CHECK_THAT(error_of("a = " + repeat("{a=", 300'000)), ContainsSubstring("this deep"));
    // The deepest that is parsed, and freed.
    CHECK(parses("a = " + repeat("{a.b.c.d.e.f.g.h.i=", 250) + "1" + repeat("}", 250)));
}

TEST_CASE("dots in texts, numbers and comments are no nesting", "[config][syntax]") {
    CHECK(
        parses("a = \"1.2.3.4.5.6.7.8.9.10.11.12.13\"\n"
               "b = [1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5, 10.5]\n"
               "# a.b.c.d.e.f.g.h.i.j.k.l.m.n.o.p\n"
               "c = \"\"\"\n...............\n\"\"\"\n"
               "\"a.b.c.d.e.f.g.h.i.j.k.l.m\" = 1\n"));
}
