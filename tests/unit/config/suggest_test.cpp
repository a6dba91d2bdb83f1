#include "config/suggest.hpp"

#include "tests/support/catch.hpp"

using namespace supervise::config;

TEST_CASE("the distance counts letters typed, left out, changed and swapped", "[config]") {
    CHECK(edit_distance("workers", "workers") == 0);
    CHECK(edit_distance("worker", "workers") == 1);
    CHECK(edit_distance("wrokers", "workers") == 1);
    CHECK(edit_distance("workars", "workers") == 1);
    CHECK(edit_distance("", "abc") == 3);
    CHECK(edit_distance("kitten", "sitting") == 3);
}

TEST_CASE("case and the kind of dash do not count", "[config]") {
    CHECK(edit_distance("Max-RSS", "max_rss") == 0);
}

TEST_CASE("the nearest candidate is found where one is near enough", "[config]") {
    const std::vector<std::string> keys{"max_tasks", "max_rss", "max_age", "idle", "min"};
    CHECK(nearest("max_task", keys) == "max_tasks");
    CHECK(nearest("max_rs", keys) == "max_rss");
    CHECK(nearest("idel", keys) == "idle");
    CHECK(nearest("MAX-AGE", keys) == "max_age");
    CHECK(nearest("max_tasks_jitter", {"max_tasks"}).empty());
    CHECK(nearest("lifetime", keys).empty());
    CHECK(nearest("xyz", keys).empty());
    CHECK(nearest("", keys).empty());
}

TEST_CASE("the beginning of a candidate is near it", "[config]") {
    CHECK(nearest("warn", {"error", "warning"}) == "warning");
    CHECK(nearest("wa", {"error", "warning"}).empty());
}

TEST_CASE("a word longer than any key is near none", "[config]") {
    CHECK(nearest(std::string(100'000, 'a'), {"a", "aaaa"}).empty());
}
