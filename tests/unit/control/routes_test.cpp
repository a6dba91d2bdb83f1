#include "supervisor/control/routes.hpp"

#include "tests/support/catch.hpp"

using namespace supervise::control;

TEST_CASE("a pattern takes the values out of a path", "[routes]") {
    CHECK(match("/status", "/status") == PathValues{});
    CHECK(match("/", "/") == PathValues{});
    CHECK(match("/why/{pool}/{slot}", "/why/reports/2") == PathValues{"reports", "2"});
    CHECK(match("/pools/{pool}/jobs", "/pools/a%2Fb%20c/jobs") == PathValues{"a/b c"});
}

TEST_CASE("a path of another form does not match", "[routes]") {
    for (const char* path :
         {"", "x", "/", "/why", "/why/", "/why//", "/why/a", "/why//2", "/why/a/2/", "/why/a/2/3",
          "/Why/a/2", "/why/%/2", "/why/%4/2", "/why/%zz/2"}) {
        CAPTURE(path);
        CHECK_FALSE(match("/why/{pool}/{slot}", path));
    }
}

TEST_CASE("a segment survives encoding", "[routes]") {
    const std::string odd = "a/b?c%d e\xc3\xa4-._~9";
    CHECK(percent_encode(odd) == "a%2Fb%3Fc%25d%20e%C3%A4-._~9");
    CHECK(match("/x/{pool}", "/x/" + percent_encode(odd)) == PathValues{odd});
}
