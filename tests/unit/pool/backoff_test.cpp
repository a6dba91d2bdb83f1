#include "pool/backoff.hpp"

#include "tests/support/catch.hpp"

using namespace supervise;
using namespace std::chrono_literals;

namespace {

/// A jitter that changes nothing.
constexpr double middle = 0.5;

RestartSettings settings() {
    RestartSettings result;
    result.backoff_first = 100ms;
    result.backoff_most = 1s;
    result.burst = 3;
    result.period = 10s;
    return result;
}

constexpr TimePoint start{1h};

}  // namespace

TEST_CASE("each death doubles the wait, up to the most", "[pool][backoff]") {
    Backoff backoff;
    for (const Duration wait : {100ms, 200ms, 400ms, 800ms, 1000ms, 1000ms}) {
        CHECK(backoff.after_death(settings(), false, middle) == wait);
    }
}

TEST_CASE("a thousand deaths do not make the wait wrap around", "[pool][backoff]") {
    Backoff backoff;
    for (int i = 0; i < 1000; ++i) {
        backoff.after_death(settings(), false, middle);
    }
    CHECK(backoff.after_death(settings(), false, middle) == 1s);
}

TEST_CASE("the jitter spreads a wait over 75 to 125 percent, never over the most",
          "[pool][backoff]") {
    CHECK(Backoff().after_death(settings(), false, 0) == 75ms);
    CHECK(Backoff().after_death(settings(), false, 1) == 125ms);
    Backoff backoff;
    for (int i = 0; i < 4; ++i) {
        backoff.after_death(settings(), false, 1);
    }
    CHECK(backoff.after_death(settings(), false, 1) == 1s);
    CHECK(backoff.after_death(settings(), false, 0) == 750ms);
}

TEST_CASE("the death of a worker that had done a job waits the first time again",
          "[pool][backoff]") {
    Backoff backoff;
    backoff.after_death(settings(), false, middle);
    backoff.after_death(settings(), false, middle);
    CHECK(backoff.after_death(settings(), true, middle) == 100ms);
    CHECK(backoff.after_death(settings(), false, middle) == 200ms);
    backoff.reset();
    CHECK(backoff.after_death(settings(), false, middle) == 100ms);
}

TEST_CASE("the breaker trips at the burst's last death within the period, once",
          "[pool][breaker]") {
    Breaker breaker;
    CHECK_FALSE(breaker.death(settings(), start));
    CHECK_FALSE(breaker.death(settings(), start + 5s));
    CHECK_FALSE(breaker.tripped());
    CHECK(breaker.death(settings(), start + 10s));
    CHECK(breaker.tripped());
    CHECK_FALSE(breaker.death(settings(), start + 10s));
    CHECK(breaker.tripped());
}

TEST_CASE("deaths that lie further apart than the period do not add up", "[pool][breaker]") {
    Breaker breaker;
    for (int i = 0; i < 100; ++i) {
        REQUIRE_FALSE(breaker.death(settings(), start + i * 10'001ms));
    }
}

TEST_CASE("a job done between two deaths is no crash loop", "[pool][breaker]") {
    Breaker breaker;
    breaker.death(settings(), start);
    breaker.death(settings(), start);
    breaker.progress();
    CHECK_FALSE(breaker.death(settings(), start));
    CHECK_FALSE(breaker.death(settings(), start));
    CHECK(breaker.death(settings(), start));
    SECTION("but progress does not close a breaker that has tripped; reset does") {
        breaker.progress();
        CHECK(breaker.tripped());
        breaker.reset();
        CHECK_FALSE(breaker.tripped());
        CHECK_FALSE(breaker.death(settings(), start));
        CHECK_FALSE(breaker.death(settings(), start));
        CHECK(breaker.death(settings(), start));
    }
}

TEST_CASE("a burst of 0 never trips", "[pool][breaker]") {
    RestartSettings never = settings();
    never.burst = 0;
    Breaker breaker;
    for (int i = 0; i < 100; ++i) {
        REQUIRE_FALSE(breaker.death(never, start));
    }
    CHECK_FALSE(breaker.tripped());
}

TEST_CASE("a burst of 1 trips at the first death", "[pool][breaker]") {
    RestartSettings once = settings();
    once.burst = 1;
    Breaker breaker;
    CHECK(breaker.death(once, start));
}
