#include "pool/worker_state.hpp"

#include "tests/support/catch.hpp"

using namespace supervise;

namespace {

using S = WorkerState;
using E = WorkerEvent;
constexpr std::optional<WorkerState> none;

struct Row {
    WorkerState from;
    // In the order of WorkerEvent: launched, ready, job_sent, job_ended, retire_asked, exited.
    std::optional<WorkerState> to[6];
};

// Every pair of state and event; what is not `none` is a step of DESIGN section 5.
const Row table[] = {
    {S::spawning, {S::starting, none, none, none, S::retiring, S::gone}},
    {S::starting, {none, S::idle, none, none, S::retiring, S::gone}},
    {S::idle, {none, none, S::busy, none, S::retiring, S::gone}},
    {S::busy, {none, none, none, S::idle, S::retiring, S::gone}},
    {S::retiring, {none, none, none, S::retiring, S::retiring, S::gone}},
    {S::gone, {none, none, none, none, none, none}},
};

}  // namespace

TEST_CASE("a worker's state follows the table, and a step that it does not have is no step",
          "[pool][state]") {
    for (const Row& row : table) {
        for (int event = 0; event < 6; ++event) {
            INFO("from " << name_of(row.from) << " by event " << event);
            CHECK(next_state(row.from, static_cast<E>(event)) == row.to[event]);
        }
    }
}

TEST_CASE("states are called in status as in the design", "[pool][state]") {
    CHECK(name_of(S::spawning) == "spawning");
    CHECK(name_of(S::starting) == "starting");
    CHECK(name_of(S::idle) == "idle");
    CHECK(name_of(S::busy) == "busy");
    CHECK(name_of(S::retiring) == "retiring");
    CHECK(name_of(S::gone) == "gone");
}
