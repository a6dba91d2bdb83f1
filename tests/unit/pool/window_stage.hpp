#pragma once

#include <deque>
#include <map>
#include <string>
#include <vector>

#include "tests/unit/pool/stage.hpp"

namespace supervise::test {

/// A stage whose workers hold up to four jobs; the test takes each through its window.
class WindowStage : public Stage {
  public:
    explicit WindowStage(unsigned workers = 1) : Stage(workers) { settings.jobs.window = 4; }

    /// So many jobs, which the pool sees at once; their ids.
    std::vector<JobId> submit_at_once(unsigned count, const std::string& task = "app.work") {
        std::vector<JobId> ids;
        pool().pause();
        for (unsigned i = 0; i < count; ++i) {
            ids.push_back(submit(task));
            tasks_of_[ids.back()] = task;
        }
        pool().resume();
        return ids;
    }

    /// Takes in what has been sent to a worker, which must be jobs; the new ones' ids.
    std::vector<JobId> gets(FakeWorker& worker) {
        std::vector<JobId> ids;
        turn();
        const auto take = [&](JobId id, std::uint16_t attempt, std::string_view task) {
            REQUIRE((tasks_of_.count(id) == 0 || tasks_of_[id] == task));
            ipc::Job kept;
            kept.id = id;
            kept.attempt = attempt;
            held(worker).push_back(kept);
            ids.push_back(id);
        };
        while (const auto message = worker.receive()) {
            if (const auto* const several = std::get_if<ipc::JobBatch>(&*message)) {
                for (const ipc::JobBatch::Entry& entry : several->jobs) {
                    take(entry.id, entry.attempt, several->task);
                }
            } else {
                const auto& job = std::get<ipc::Job>(*message);
                take(job.id, job.attempt, job.task);
            }
        }
        REQUIRE(held(worker).size() <= settings.jobs.window);
        return ids;
    }
    /// What it has taken in and not ended.
    std::deque<ipc::Job>& held(FakeWorker& worker) { return held_[worker.leaf]; }
    /// It begins the first of them.
    JobId begins(FakeWorker& worker) {
        worker.begin(held(worker).at(0));
        return held(worker)[0].id;
    }
    /// It begins the first of them, and has done it.
    JobId does(FakeWorker& worker) {
        const JobId id = begins(worker);
        held(worker).pop_front();
        done(worker, id);
        return id;
    }

  private:
    std::map<std::string, std::deque<ipc::Job>> held_;  ///< by leaf
    std::map<JobId, std::string> tasks_of_;
};

}  // namespace supervise::test
