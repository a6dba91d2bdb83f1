#include "pool/gap_stats.hpp"

#include "tests/support/catch.hpp"

using namespace supervise;
using namespace std::chrono_literals;

namespace {

GapSnapshot of(int first, int last) {
    GapStats stats;
    for (int i = first; i <= last; ++i) {
        stats.add(i * 1s);
    }
    return stats.snapshot();
}

}  // namespace

TEST_CASE("without a gap there is nothing to tell", "[pool][gap]") {
    const GapSnapshot none = GapStats().snapshot();
    CHECK(none.count == 0);
    CHECK(none.p50 == 0);
    CHECK(none.p99 == 0);
}

TEST_CASE("quantiles are by nearest rank", "[pool][gap]") {
    CHECK(of(1, 1).p50 == 1);
    CHECK(of(1, 1).p99 == 1);
    CHECK(of(1, 2).p50 == 1);
    CHECK(of(1, 2).p99 == 2);
    CHECK(of(1, 100).p50 == 50);
    CHECK(of(1, 100).p99 == 99);
    CHECK(of(1, 1000).p99 == 990);
}

TEST_CASE("only the last 1,024 gaps count, whatever their number", "[pool][gap]") {
    const GapSnapshot snapshot = of(1, 3072);
    CHECK(snapshot.count == 3072);
    CHECK(snapshot.p50 == 2048 + 512);
    CHECK(snapshot.p99 == 2048 + 1014);
}

TEST_CASE("a successor that began before the old worker's end leaves no gap", "[pool][gap]") {
    GapStats stats;
    stats.add(-5s);
    CHECK(stats.snapshot().count == 1);
    CHECK(stats.snapshot().p99 == 0);
}
