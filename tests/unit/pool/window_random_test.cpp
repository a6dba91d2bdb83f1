#include <algorithm>
#include <csignal>
#include <set>

#include "tests/unit/pool/window_stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

/// Random jobs and deaths in a pool of two workers, and the queue as it should be.
class Walk {
  public:
    Walk() : stage_(2) {
        stage_.settings.restart.burst = 0;
        stage_.settings.restart.backoff_first = 1ms;
        stage_.settings.restart.backoff_most = 1ms;
        stage_.tasks.emplace_back().name = "app.other";
        stage_.start_ready();
    }

    void step() {
        const unsigned slot = 1 + static_cast<unsigned>(random_() % 2);
        const auto what = random_() % 10;
        if (what < 3) {
            submit(1 + static_cast<unsigned>(random_() % 4));
        } else if (what < 9) {
            work(slot);
        } else {
            die(slot);
        }
        take_in();
    }

    /// Does what is left.
    void finish() {
        for (take_in(); !waiting_.empty() || !held(1).empty() || !held(2).empty(); take_in()) {
            work(held(1).empty() ? 2 : 1);
        }
    }

    void check() {
        for (JobId id = 1; id <= submitted_; ++id) {
            INFO("job " << id);
            REQUIRE(stage_.end_of(id).attempts == 1);
            REQUIRE(stage_.end_of(id).state == (lost_.count(id) ? JobState::lost : JobState::done));
        }
        CHECK(stage_.status().jobs.done == submitted_ - lost_.size());
        CHECK(stage_.status().jobs.lost == lost_.size());
        CHECK(stage_.status().attempts.lost == lost_.size());
    }

    std::size_t lost() const { return lost_.size(); }
    std::size_t given_back() const { return given_back_; }

  private:
    FakeWorker& worker(unsigned slot) { return stage_.worker(slot, incarnation_[slot]); }
    std::deque<ipc::Job>& held(unsigned slot) { return stage_.held(worker(slot)); }

    void submit(unsigned count) {
        const char* const task = random_() % 2 == 0 ? "app.work" : "app.other";
        for (const JobId id : stage_.submit_at_once(count, task)) {
            waiting_.push_back(id);
            submitted_ = id;
        }
    }

    void work(unsigned slot) {
        if (!held(slot).empty()) {
            const JobId first = held(slot)[0].id;
            REQUIRE(stage_.does(worker(slot)) == first);
        }
    }

    void die(unsigned slot) {
        FakeWorker& old = worker(slot);
        std::deque<ipc::Job>& jobs = held(slot);
        if (!jobs.empty() && random_() % 2 == 0) {
            lost_.insert(stage_.begins(old));
            jobs.pop_front();
        }
        given_back_ += jobs.size();
        for (; !jobs.empty(); jobs.pop_back()) {
            waiting_.push_front(jobs.back().id);
        }
        stage_.dies(old, SIGKILL);
        take_in(3 - slot);
        const unsigned next = ++incarnation_[slot];
        REQUIRE(stage_.pass_until(1s, [&] { return stage_.has(slot, next); }));
        stage_.ready(slot, next);
    }

    void take_in() {
        const std::vector<JobId> first = stage_.gets(worker(1));
        const std::vector<JobId> second = stage_.gets(worker(2));
        took(first, second);
    }
    void take_in(unsigned slot) { took(stage_.gets(worker(slot)), {}); }

    /// What has come is the head of the queue, and each got its part of it in that order.
    void took(const std::vector<JobId>& first, const std::vector<JobId>& second) {
        auto a = first.begin();
        auto b = second.begin();
        while (a != first.end() || b != second.end()) {
            REQUIRE_FALSE(waiting_.empty());
            const JobId head = waiting_.front();
            waiting_.pop_front();
            const bool to_first = a != first.end() && *a == head;
            REQUIRE((to_first || (b != second.end() && *b == head)));
            ++(to_first ? a : b);
        }
    }

    WindowStage stage_;
    std::mt19937_64 random_{20};
    unsigned incarnation_[3] = {0, 1, 1};
    std::deque<JobId> waiting_;
    std::set<JobId> lost_;
    JobId submitted_ = 0;
    std::size_t given_back_ = 0;
};

}  // namespace

TEST_CASE("after 1,000 random steps no job of a window was lost, done twice or out of its turn",
          "[pool][window]") {
    Walk walk;
    for (int i = 0; i < 1'000; ++i) {
        walk.step();
    }
    CHECK(walk.lost() > 20);
    CHECK(walk.given_back() > 50);
    walk.finish();
    walk.check();
}
