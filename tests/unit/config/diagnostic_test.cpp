#include "config/diagnostic.hpp"

#include "tests/support/catch.hpp"

using namespace supervise::config;
using Severity = Diagnostic::Severity;

TEST_CASE("a diagnostic reads as compilers write it", "[config]") {
    CHECK(Diagnostic{Severity::error, "w.toml", 4, 1, "unknown key"}.text() ==
          "w.toml:4:1: error: unknown key");
    CHECK(Diagnostic{Severity::warning, "w.toml", 1, 12, "doubtful"}.text() ==
          "w.toml:1:12: warning: doubtful");
}

TEST_CASE("diagnostics come in the file's order, whichever was found first", "[config]") {
    Diagnostics diagnostics("w.toml");
    diagnostics.error({7, 2}, "c");
    diagnostics.warning({1, 9}, "a");
    diagnostics.error({7, 1}, "b");
    const auto taken = diagnostics.take();
    REQUIRE(taken.size() == 3);
    CHECK(taken[0].message == "a");
    CHECK(taken[1].message == "b");
    CHECK(taken[2].message == "c");
    CHECK(diagnostics.left_out() == 0);
}

TEST_CASE("only the first hundred are kept, and errors before warnings", "[config]") {
    Diagnostics diagnostics("w.toml");
    for (unsigned line = 1; line <= 5'000; ++line) {
        diagnostics.warning({line, 1}, "warning");
    }
    for (unsigned line = 5'099; line >= 5'001; --line) {
        diagnostics.error({line, 1}, "error");
    }
    const auto taken = diagnostics.take();
    REQUIRE(taken.size() == 100);
    CHECK(taken[0].severity == Severity::warning);
    CHECK(taken[0].line == 1);
    CHECK(taken[1].line == 5'001);
    CHECK(taken[99].line == 5'099);
    CHECK(diagnostics.left_out() == 4'999);
}

TEST_CASE("a key that is not in the file has the place of the table around it", "[config]") {
    Positions positions;
    positions.set("pool.mail", {3, 1});
    positions.set("pool.mail.recycle.max_rss", {5, 11});
    CHECK(positions.at("pool.mail.recycle.max_rss") == Position{5, 11});
    CHECK(positions.at("pool.mail.recycle.idle") == Position{3, 1});
    CHECK(positions.at("supervisor.listen") == Position{1, 1});
}

TEST_CASE("the user's words are cut and escaped within a message", "[config]") {
    CHECK(in_quotes("512M") == "\"512M\"");
    CHECK(in_quotes("a\nb\x7f\xff") == "\"a\\x0ab\\x7f\\xff\"");
    CHECK(in_quotes("Größe") == "\"Größe\"");
    CHECK(in_quotes(std::string(59, 'a') + "ö") == '"' + std::string(59, 'a') + "...\"");
    CHECK(in_quotes(std::string(1'000'000, 'a')).size() == 65);
}
