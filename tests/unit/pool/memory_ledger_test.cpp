#include "pool/ledger.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;

namespace {

Attempt entry(JobId job, unsigned attempt, JobState outcome, JobState job_state) {
    Attempt result;
    result.job = job;
    result.attempt = attempt;
    result.outcome = outcome;
    result.job_state = job_state;
    return result;
}

std::vector<unsigned> attempts_of(const Ledger& ledger, JobId job) {
    std::vector<unsigned> numbers;
    for (const Attempt& attempt : ledger.attempts(job)) {
        numbers.push_back(attempt.attempt);
    }
    return numbers;
}

using Numbers = std::vector<unsigned>;

}  // namespace

TEST_CASE("the ledger tells a job's attempts in their order, and no other's", "[pool][ledger]") {
    const auto ledger = make_memory_ledger(10);
    ledger->record(entry(1, 1, JobState::lost, JobState::queued));
    ledger->record(entry(2, 1, JobState::done, JobState::done));
    ledger->record(entry(1, 2, JobState::done, JobState::done));
    CHECK(attempts_of(*ledger, 1) == Numbers{1, 2});
    CHECK(attempts_of(*ledger, 2) == Numbers{1});
    CHECK(attempts_of(*ledger, 3).empty());
    CHECK(attempts_of(*make_memory_ledger(3), 1).empty());
}

TEST_CASE("jobs are counted by their end, attempts by how each went", "[pool][ledger]") {
    const auto ledger = make_memory_ledger(10);
    ledger->record(entry(1, 1, JobState::lost, JobState::queued));  // retried
    ledger->record(entry(1, 2, JobState::failed, JobState::queued));
    ledger->record(entry(1, 3, JobState::lost, JobState::dead));
    ledger->record(entry(2, 1, JobState::done, JobState::done));
    ledger->record(entry(3, 1, JobState::failed, JobState::failed));
    ledger->record(entry(4, 1, JobState::lost, JobState::lost));
    ledger->record(entry(5, 0, JobState::lost, JobState::lost));  // never begun: no attempt
    CHECK(ledger->ended().done == 1);
    CHECK(ledger->ended().failed == 1);
    CHECK(ledger->ended().lost == 2);
    CHECK(ledger->ended().dead == 1);
    CHECK(ledger->attempt_counts().done == 1);
    CHECK(ledger->attempt_counts().failed == 2);
    CHECK(ledger->attempt_counts().lost == 3);
}

TEST_CASE("a full ledger forgets the oldest entry, but never a count", "[pool][ledger]") {
    const auto ledger = make_memory_ledger(3);
    for (unsigned i = 1; i <= 3; ++i) {
        ledger->record(entry(7, i, JobState::lost, JobState::queued));
    }
    CHECK(attempts_of(*ledger, 7) == Numbers{1, 2, 3});
    ledger->record(entry(7, 4, JobState::lost, JobState::queued));
    CHECK(attempts_of(*ledger, 7) == Numbers{2, 3, 4});
    for (unsigned i = 5; i <= 1000; ++i) {
        ledger->record(entry(7, i, JobState::lost, JobState::queued));
        REQUIRE(attempts_of(*ledger, 7) == Numbers{i - 2, i - 1, i});
    }
    ledger->record(entry(8, 1, JobState::done, JobState::done));
    CHECK(attempts_of(*ledger, 7) == Numbers{999, 1000});
    CHECK(attempts_of(*ledger, 8) == Numbers{1});
    CHECK(ledger->attempt_counts().lost == 1000);
    CHECK(ledger->ended().done == 1);
}
