#include <random>

#include "tests/support/catch.hpp"
#include "tests/unit/pool/desk_support.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

/// What a job should be, kept in the simplest way; compared with the desk's after each step.
struct ModelJob {
    enum class At { queued, running, ended } at = At::queued;
    unsigned retries = 0;
    unsigned attempts = 0;         ///< that have ended
    Listener* listener = nullptr;  ///< null once forgotten
    JobState end = JobState::queued;
    Job* job = nullptr;  ///< while running
};

/// Random operations on a desk, and the same on the model.
class Walk {
  public:
    Walk() {
        auto ledger = std::make_unique<KeepingLedger>();
        ledger_ = ledger.get();
        desk_ = std::make_unique<JobDesk>(queue_limit, last_id_, std::move(ledger));
        TaskTable tasks;
        for (const unsigned retries : {0U, 1U, 3U}) {
            Task task;
            task.name = "app.retries_" + std::to_string(retries);
            task.retries = retries;
            tasks[task.name] = std::make_shared<const Task>(task);
        }
        desk_->set_tasks(tasks);
    }

    void step() {
        now_ += 1ms;
        switch (random_() % 16) {
            case 0:
            case 1:
            case 2:
            case 3:
            case 4:
                accept();
                break;
            case 5:
            case 6:
            case 7:
            case 8:
                take();
                break;
            case 9:
            case 10:
                end(JobState::done);
                break;
            case 11:
                end(JobState::failed);
                break;
            case 12:
            case 13:
                end(JobState::lost);
                break;
            case 14:
                random_() % 2 == 0 ? give_back() : cancel();
                break;
            default:
                if (random_() % 100 == 0) {
                    forget();
                }
        }
        REQUIRE(desk_->queue().size() == queued_);
        REQUIRE(desk_->running() == running_.size());
    }

    void close() {
        desk_->close(now_);
        closed_ = true;
        for (auto& [id, job] : jobs_) {
            if (job.at == ModelJob::At::queued) {
                ended(job, JobState::lost);
                --queued_;
            }
        }
    }

    /// Each attempt has one entry, each job one end, and the sums agree.
    void check() {
        JobCounts ends;
        for (const auto& [id, job] : jobs_) {
            INFO("job " << id);
            const std::vector<Attempt> entries = ledger_->attempts(id);
            unsigned next = 1;
            std::size_t final_entries = 0;
            for (const Attempt& entry : entries) {
                if (entry.attempt != 0) {
                    REQUIRE(entry.attempt == next++);
                }
                final_entries += entry.job_state != JobState::queued ? 1U : 0U;
            }
            const bool has_ended = job.at == ModelJob::At::ended;
            REQUIRE(next - 1 == job.attempts);
            REQUIRE(final_entries == (has_ended ? 1 : 0));
            if (has_ended) {
                REQUIRE(entries.back().job_state == job.end);
                (job.end == JobState::done     ? ends.done
                 : job.end == JobState::failed ? ends.failed
                 : job.end == JobState::dead   ? ends.dead
                                               : ends.lost)++;
            }
            std::size_t told = 0;
            for (const Listener& listener : listeners_) {
                const auto found = listener.ends.find(id);
                told += found == listener.ends.end() ? 0 : found->second.size();
            }
            REQUIRE(told == (has_ended && job.listener != nullptr ? 1 : 0));
            if (told == 1) {
                const Listener::End& end = job.listener->ends.at(id)[0];
                REQUIRE(end.state == job.end);
                REQUIRE(end.attempts == job.attempts);
            }
            REQUIRE((desk_->find(id) == nullptr) == has_ended);
        }
        CHECK(ledger_->entries.size() <= jobs_.size());
        CHECK(desk_->ledger().ended().done == ends.done);
        CHECK(desk_->ledger().ended().failed == ends.failed);
        CHECK(desk_->ledger().ended().lost == ends.lost);
        CHECK(desk_->ledger().ended().dead == ends.dead);
        CHECK(desk_->refused() == refused_);
    }

    std::size_t running() const { return running_.size(); }
    std::size_t jobs() const { return jobs_.size(); }
    void end_one() { end(random_() % 2 == 0 ? JobState::lost : JobState::done); }

  private:
    static constexpr std::uint64_t queue_limit = 50;

    void accept() {
        const unsigned kinds[] = {0, 1, 3};
        const unsigned retries = kinds[random_() % 3];
        const bool known = random_() % 20 != 0;
        const std::string task = known ? "app.retries_" + std::to_string(retries) : "app.none";
        Listener& listener = listeners_[random_() % 4];
        JobDesk::Request request;
        request.task = task;
        request.args = std::string_view("\0", 1);
        request.priority = static_cast<std::uint8_t>(random_() % 10);
        request.submitter = &listener;
        const auto answer = desk_->accept(std::move(request), now_);
        const bool room = known && queued_ < queue_limit && !closed_;
        REQUIRE(std::holds_alternative<JobId>(answer) == room);
        if (!room) {
            ++refused_;
            return;
        }
        ModelJob job;
        job.retries = retries;
        job.listener = &listener;
        REQUIRE(jobs_.emplace(std::get<JobId>(answer), job).second);
        ++queued_;
    }

    void take() {
        Job* const job = desk_->take();
        REQUIRE((job == nullptr) == (queued_ == 0));
        if (job == nullptr) {
            return;
        }
        desk_->begin(*job, now_);
        ModelJob& model = jobs_.at(job->id);
        REQUIRE(model.at == ModelJob::At::queued);
        model.at = ModelJob::At::running;
        model.job = job;
        running_.push_back(job->id);
        --queued_;
    }

    std::optional<JobId> take_running() {
        if (running_.empty()) {
            return std::nullopt;
        }
        std::swap(running_[random_() % running_.size()], running_.back());
        const JobId id = running_.back();
        running_.pop_back();
        return id;
    }

    void end(JobState outcome) {
        const std::optional<JobId> id = take_running();
        if (!id) {
            return;
        }
        ModelJob& model = jobs_.at(*id);
        const Cause cause = static_cast<Cause>(random_() % 9);
        if (outcome == JobState::lost) {
            desk_->attempt_lost(*model.job, cause, "evidence", place, now_);
        } else {
            const std::string report = outcome == JobState::done ? done_report() : failed_report();
            desk_->attempt_ended(*model.job, report, place, now_);
        }
        ++model.attempts;
        const bool final_cause =
            outcome == JobState::lost && (cause == Cause::revoked || cause == Cause::shutdown);
        if (outcome == JobState::done || final_cause || closed_) {
            ended(model, outcome);
        } else if (model.attempts <= model.retries) {
            model.at = ModelJob::At::queued;
            ++queued_;
        } else {
            ended(model, model.retries > 0 ? JobState::dead : outcome);
        }
    }

    void give_back() {
        if (const std::optional<JobId> id = take_running()) {
            ModelJob& model = jobs_.at(*id);
            desk_->give_back(*model.job, now_);
            model.at = ModelJob::At::queued;
            ++queued_;
        }
    }

    void cancel() {
        if (jobs_.empty()) {
            return;
        }
        // Any job of all times: most have ended.
        const JobId id = random_() % 2 == 0 ? 1 + random_() % last_id_
                                            : last_id_ - random_() % std::min<JobId>(last_id_, 50);
        ModelJob& model = jobs_.at(id);
        const JobDesk::Cancelled answer = desk_->cancel(id, now_);
        REQUIRE(answer == (model.at == ModelJob::At::queued    ? JobDesk::Cancelled::queued
                           : model.at == ModelJob::At::running ? JobDesk::Cancelled::running
                                                               : JobDesk::Cancelled::unknown));
        if (model.at == ModelJob::At::queued) {
            ended(model, JobState::lost);
            --queued_;
        }
    }

    void forget() {
        const Listener& listener = listeners_[random_() % 4];
        for (auto& [id, job] : jobs_) {
            if (job.at != ModelJob::At::ended && job.listener == &listener) {
                desk_->forget(id);
                job.listener = nullptr;
            }
        }
    }

    static void ended(ModelJob& job, JobState state) {
        job.at = ModelJob::At::ended;
        job.end = state;
        job.job = nullptr;
    }

    const AttemptPlace place{1, 1, 1, 0};
    std::mt19937_64 random_{20};
    TimePoint now_{1h};
    JobId last_id_ = 0;
    Listener listeners_[4];
    KeepingLedger* ledger_ = nullptr;
    std::unique_ptr<JobDesk> desk_;
    std::map<JobId, ModelJob> jobs_;
    std::vector<JobId> running_;
    std::size_t queued_ = 0;
    std::uint64_t refused_ = 0;
    bool closed_ = false;
};

}  // namespace

TEST_CASE("after 100,000 random operations every attempt has one entry and every job one end",
          "[pool][desk]") {
    Walk walk;
    for (int i = 0; i < 100'000; ++i) {
        walk.step();
    }
    walk.check();
    REQUIRE(walk.jobs() > 10'000);
    REQUIRE(walk.running() > 0);
    walk.close();
    walk.check();
    while (walk.running() > 0) {
        walk.end_one();
    }
    walk.check();
}
