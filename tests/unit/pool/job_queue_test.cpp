#include "pool/job_queue.hpp"

#include <algorithm>
#include <deque>
#include <random>
#include <vector>

#include "tests/support/catch.hpp"

using namespace supervise;

namespace {

/// Jobs that stay where they are, as the queue needs it.
class Jobs {
  public:
    Job& make(std::uint8_t priority = 0) {
        Job& job = jobs_.emplace_back();
        job.id = jobs_.size();
        job.priority = priority;
        return job;
    }

  private:
    std::deque<Job> jobs_;
};

std::vector<JobId> drained(JobQueue& queue) {
    std::vector<JobId> ids;
    while (const Job* job = queue.pop()) {
        ids.push_back(job->id);
    }
    return ids;
}

using Ids = std::vector<JobId>;

}  // namespace

TEST_CASE("an empty queue has nothing", "[pool][queue]") {
    JobQueue queue;
    CHECK(queue.empty());
    CHECK(queue.front() == nullptr);
    CHECK(queue.pop() == nullptr);
}

TEST_CASE("equals leave in the order in which they came, higher priorities before",
          "[pool][queue]") {
    JobQueue queue;
    Jobs jobs;
    for (const int priority : {0, 9, 5, 0, 9, 5}) {
        queue.push(jobs.make(static_cast<std::uint8_t>(priority)));
    }
    CHECK(queue.size() == 6);
    CHECK(queue.front()->id == 2);
    CHECK(drained(queue) == Ids{2, 5, 3, 6, 1, 4});
    CHECK(queue.empty());
}

TEST_CASE("a job that is given back is the next of its priority", "[pool][queue]") {
    JobQueue queue;
    Jobs jobs;
    queue.push(jobs.make(3));
    queue.push(jobs.make(3));
    queue.push(jobs.make(7));
    Job& given_back = jobs.make(3);
    queue.push_front(given_back);
    CHECK(drained(queue) == Ids{3, 4, 1, 2});
    queue.push_front(given_back);
    CHECK(drained(queue) == Ids{4});
}

TEST_CASE("a job can be taken out from the front, the middle and the end", "[pool][queue]") {
    JobQueue queue;
    Jobs jobs;
    std::vector<Job*> all;
    for (int i = 0; i < 5; ++i) {
        all.push_back(&jobs.make());
        queue.push(*all.back());
    }
    queue.remove(*all[0]);
    queue.remove(*all[2]);
    queue.remove(*all[4]);
    CHECK(queue.size() == 2);
    queue.push(*all[2]);
    CHECK(drained(queue) == Ids{2, 4, 3});
    queue.push(*all[0]);
    queue.remove(*all[0]);
    CHECK(queue.empty());
    CHECK(queue.front() == nullptr);
}

TEST_CASE("ten thousand random operations leave the queue as a plain list would be",
          "[pool][queue]") {
    JobQueue queue;
    Jobs jobs;
    std::array<std::deque<Job*>, 10> model;
    std::vector<Job*> outside;
    std::mt19937 random(11);
    for (int step = 0; step < 10'000; ++step) {
        const unsigned act = random() % 4;
        if (act < 2) {
            Job* job = outside.empty() ? &jobs.make(static_cast<std::uint8_t>(random() % 10))
                                       : outside.back();
            if (!outside.empty()) {
                outside.pop_back();
            }
            if (act == 0) {
                queue.push(*job);
                model[job->priority].push_back(job);
            } else {
                queue.push_front(*job);
                model[job->priority].push_front(job);
            }
            continue;
        }
        const auto lane = std::find_if(model.rbegin(), model.rend(),
                                       [](const auto& jobs_there) { return !jobs_there.empty(); });
        Job* const first = lane == model.rend() ? nullptr : lane->front();
        REQUIRE(queue.front() == first);
        if (act == 2 || first == nullptr) {
            REQUIRE(queue.pop() == first);
            if (first != nullptr) {
                lane->pop_front();
                outside.push_back(first);
            }
        } else {
            Job* const any = (*lane)[random() % lane->size()];
            queue.remove(*any);
            lane->erase(std::find(lane->begin(), lane->end(), any));
            outside.push_back(any);
        }
    }
    std::size_t left = 0;
    for (const auto& lane : model) {
        left += lane.size();
    }
    CHECK(queue.size() == left);
    CHECK(drained(queue).size() == left);
}
