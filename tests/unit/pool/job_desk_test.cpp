#include "pool/job_desk.hpp"

#include <fcntl.h>

#include <cstdlib>
#include <new>

#include "tests/support/catch.hpp"
#include "tests/unit/pool/desk_support.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {
std::size_t allocations = 0;
}

// The whole test program allocates through these, so that a test can see that it does not.
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
    ++allocations;
    return std::malloc(size);
}
void* operator new(std::size_t size) {
    if (void* const block = ::operator new(size, std::nothrow)) {
        return block;
    }
    throw std::bad_alloc();
}
void operator delete(void* block) noexcept { std::free(block); }
void operator delete(void* block, std::size_t) noexcept { std::free(block); }
void operator delete(void* block, const std::nothrow_t&) noexcept { std::free(block); }

namespace {

constexpr TimePoint start{1h};

/// A desk of a pool with one task `app.work` (no retries) and one `app.retry` (two).
struct Desk {
    explicit Desk(std::uint64_t queue_limit = 100)
        : desk(queue_limit, last_id, make_memory_ledger()) {
        TaskTable tasks;
        for (const auto& [name, retries] : std::map<std::string, unsigned>{
                 {"app.work", 0}, {"app.retry", 2}, {"app.reports.build", 0}}) {
            Task task;
            task.name = name;
            task.retries = retries;
            tasks[name] = std::make_shared<const Task>(task);
        }
        desk.set_tasks(tasks);
    }

    std::variant<JobId, Rejection> submit(const std::string& task, std::uint8_t priority = 0) {
        JobDesk::Request request;
        request.task = task;
        request.args = args;
        request.priority = priority;
        request.submitter = &listener;
        return desk.accept(std::move(request), start);
    }
    JobId accepted(const std::string& task = "app.work", std::uint8_t priority = 0) {
        return std::get<JobId>(submit(task, priority));
    }
    Rejection rejected(const std::string& task) { return std::get<Rejection>(submit(task)); }
    Job& begun() {
        Job* const job = desk.take();
        REQUIRE(job != nullptr);
        desk.begin(*job, start + 2s);
        return *job;
    }
    std::vector<Attempt> entries(JobId id) const { return desk.ledger().attempts(id); }
    const Listener::End& end_of(JobId id) {
        REQUIRE(listener.ends[id].size() == 1);
        return listener.ends[id][0];
    }

    std::string args = std::string("\x01\x01", 2) + std::string(8, '\0');
    JobId last_id = 0;
    Listener listener;
    JobDesk desk;
    AttemptPlace place{3, 7, 4711, 1000};
};

}  // namespace

TEST_CASE("a job is accepted, taken, begun and done, and ends once", "[pool][desk]") {
    Desk desk;
    const JobId id = desk.accepted();
    CHECK(id == 1);
    CHECK(desk.last_id == 1);
    CHECK(desk.desk.queue().size() == 1);
    CHECK(desk.desk.running() == 0);
    Job& job = desk.begun();
    CHECK(job.id == id);
    CHECK(job.args == desk.args);
    CHECK(job.state == JobState::running);
    CHECK(desk.desk.queue().empty());
    CHECK(desk.desk.running() == 1);

    desk.desk.attempt_ended(job, done_report(), desk.place, start + 5s);
    CHECK(desk.desk.running() == 0);
    CHECK(desk.desk.find(id) == nullptr);
    CHECK(desk.end_of(id).state == JobState::done);
    CHECK(desk.end_of(id).attempts == 1);
    CHECK(desk.end_of(id).report == done_report());
    CHECK(desk.desk.ledger().ended().done == 1);
    const std::vector<Attempt> entries = desk.entries(id);
    REQUIRE(entries.size() == 1);
    CHECK(entries[0].attempt == 1);
    CHECK(entries[0].task->name == "app.work");
    CHECK(entries[0].outcome == JobState::done);
    CHECK(entries[0].job_state == JobState::done);
    CHECK(entries[0].slot == 3);
    CHECK(entries[0].incarnation == 7);
    CHECK(entries[0].pid == 4711);
    CHECK(entries[0].rss_bytes == 1000);
    CHECK(entries[0].queued == 2s);
    CHECK(entries[0].ran == 3s);
    CHECK(entries[0].ended_at > 1.6e9);
}

TEST_CASE("a task that fails without retries is failed, with its error in the ledger",
          "[pool][desk]") {
    Desk desk;
    const JobId id = desk.accepted();
    desk.desk.attempt_ended(desk.begun(), failed_report(), desk.place, start);
    CHECK(desk.end_of(id).state == JobState::failed);
    CHECK(desk.entries(id)[0].detail == "ValueError: no such row");
    CHECK(desk.desk.ledger().ended().failed == 1);
}

TEST_CASE("a job whose worker dies is lost with the cause and its evidence", "[pool][desk]") {
    Desk desk;
    const JobId id = desk.accepted();
    desk.desk.attempt_lost(desk.begun(), Cause::oom_worker, "oom_kill 1", desk.place, start);
    CHECK(desk.end_of(id).state == JobState::lost);
    const auto report = ipc::decode_report(desk.end_of(id).report);
    REQUIRE(report);
    CHECK(std::get<ipc::Loss>(*report).cause == Cause::oom_worker);
    CHECK(std::get<ipc::Loss>(*report).detail == "oom_kill 1");
    CHECK(desk.entries(id)[0].cause == Cause::oom_worker);
    CHECK(desk.desk.ledger().ended().lost == 1);
}

TEST_CASE("a job is tried again until its retries are spent, and is dead then", "[pool][desk]") {
    Desk desk;
    const JobId id = desk.accepted("app.retry");
    desk.desk.attempt_ended(desk.begun(), failed_report(), desk.place, start + 3s);
    CHECK(desk.listener.ends.empty());
    CHECK(desk.desk.find(id)->state == JobState::queued);
    desk.desk.attempt_lost(desk.begun(), Cause::signal, "signal 9", desk.place, start + 4s);
    CHECK(desk.listener.ends.empty());
    desk.desk.attempt_lost(desk.begun(), Cause::signal, "signal 9", desk.place, start + 5s);
    CHECK(desk.end_of(id).state == JobState::dead);
    CHECK(desk.end_of(id).attempts == 3);
    const std::vector<Attempt> entries = desk.entries(id);
    REQUIRE(entries.size() == 3);
    for (unsigned i = 0; i < 3; ++i) {
        CHECK(entries[i].attempt == i + 1);
        CHECK(entries[i].job_state == (i < 2 ? JobState::queued : JobState::dead));
    }
    CHECK(desk.desk.ledger().ended().dead == 1);
    CHECK(desk.desk.ledger().ended().lost == 0);
    CHECK(desk.desk.ledger().attempt_counts().lost == 2);
    CHECK(desk.desk.ledger().attempt_counts().failed == 1);
}

TEST_CASE("a retried job that succeeds is done", "[pool][desk]") {
    Desk desk;
    const JobId id = desk.accepted("app.retry");
    desk.desk.attempt_lost(desk.begun(), Cause::exit, "exit code 1", desk.place, start);
    desk.desk.attempt_ended(desk.begun(), done_report(), desk.place, start);
    CHECK(desk.end_of(id).state == JobState::done);
    CHECK(desk.end_of(id).attempts == 2);
}

TEST_CASE("a retried job waits behind its equals, also when the queue is full", "[pool][desk]") {
    Desk desk(2);
    const JobId retried = desk.accepted("app.retry");
    Job& job = desk.begun();
    const JobId second = desk.accepted();
    const JobId third = desk.accepted();
    desk.desk.attempt_ended(job, failed_report(), desk.place, start);
    CHECK(desk.desk.queue().size() == 3);
    CHECK(desk.desk.take()->id == second);
    CHECK(desk.desk.take()->id == third);
    CHECK(desk.desk.take()->id == retried);
}

TEST_CASE("a revoked job is not tried again", "[pool][desk]") {
    Desk desk;
    const JobId id = desk.accepted("app.retry");
    desk.desk.attempt_lost(desk.begun(), Cause::revoked, "by its client", desk.place, start);
    CHECK(desk.end_of(id).state == JobState::lost);
    CHECK(desk.entries(id)[0].attempt == 1);
}

TEST_CASE("a job that its worker had not begun is the next again, and no attempt", "[pool][desk]") {
    Desk desk;
    const JobId first = desk.accepted();
    desk.accepted();
    Job& job = desk.begun();
    desk.desk.give_back(job, start);
    CHECK(job.state == JobState::queued);
    CHECK(desk.desk.running() == 0);
    CHECK(desk.entries(first).empty());
    Job& again = desk.begun();
    CHECK(again.id == first);
    desk.desk.attempt_ended(again, done_report(), desk.place, start);
    CHECK(desk.end_of(first).attempts == 1);
}

TEST_CASE("a job for a task that is not registered is refused with the near misses",
          "[pool][desk]") {
    Desk desk;
    CHECK(desk.rejected("app.wrok").reason == ipc::Refusal::unknown_task);
    CHECK(desk.rejected("app.wrok").message ==
          "no task app.wrok is registered; did you mean app.work?");
    CHECK(desk.rejected("build").message ==
          "no task build is registered; did you mean app.reports.build?");
    CHECK(desk.rejected("shop.send_invoice").message ==
          "no task shop.send_invoice is registered; the pool has 3 tasks, mark the function with "
          "@supervise.task");
    CHECK(desk.desk.refused() == 4);
    CHECK(desk.desk.queue().empty());
}

TEST_CASE("a desk that knows no task yet says so", "[pool][desk]") {
    JobId last = 0;
    JobDesk desk(10, last, make_memory_ledger());
    CHECK_FALSE(desk.knows_tasks());
}

TEST_CASE("a full queue refuses with the number and the setting", "[pool][desk]") {
    Desk desk(2);
    desk.accepted();
    desk.accepted();
    const Rejection rejection = desk.rejected("app.work");
    CHECK(rejection.reason == ipc::Refusal::queue_full);
    CHECK(rejection.message ==
          "the queue holds 2 jobs, its limit (jobs.queue_limit); submit again when some are done");
    CHECK(desk.last_id == 2);  // a refused job costs no id: those of a batch are in a row
    SECTION("until one is taken") {
        desk.begun();
        CHECK(desk.accepted() == 3);
    }
    SECTION("or the limit is raised") {
        desk.desk.set_queue_limit(3);
        CHECK(desk.accepted() == 3);
    }
}

TEST_CASE("cancelling takes a queued job out, and leaves a running one to its worker",
          "[pool][desk]") {
    Desk desk;
    const JobId id = desk.accepted("app.retry");
    const JobId other = desk.accepted();
    CHECK(desk.desk.cancel(id, start + 4s) == JobDesk::Cancelled::queued);
    CHECK(desk.end_of(id).state == JobState::lost);
    CHECK(desk.end_of(id).attempts == 0);
    const std::vector<Attempt> entries = desk.entries(id);
    REQUIRE(entries.size() == 1);
    CHECK(entries[0].attempt == 0);
    CHECK(entries[0].cause == Cause::revoked);
    CHECK(entries[0].queued == 4s);
    CHECK(entries[0].ran == 0s);
    CHECK(desk.desk.cancel(id, start) == JobDesk::Cancelled::unknown);

    desk.begun();
    CHECK(desk.desk.cancel(other, start) == JobDesk::Cancelled::running);
    CHECK(desk.listener.ends.count(other) == 0);
    CHECK(desk.desk.running() == 1);
}

TEST_CASE("a retried job that is cancelled while it waits keeps its attempts apart",
          "[pool][desk]") {
    Desk desk;
    const JobId id = desk.accepted("app.retry");
    desk.desk.attempt_ended(desk.begun(), failed_report(), desk.place, start);
    desk.desk.cancel(id, start);
    CHECK(desk.end_of(id).attempts == 1);
    const std::vector<Attempt> entries = desk.entries(id);
    REQUIRE(entries.size() == 2);
    CHECK(entries[0].attempt == 1);
    CHECK(entries[1].attempt == 0);
    CHECK(desk.desk.ledger().attempt_counts().failed == 1);
    CHECK(desk.desk.ledger().attempt_counts().lost == 0);
    CHECK(desk.desk.ledger().ended().lost == 1);
}

TEST_CASE("a forgotten submitter hears nothing, its jobs go on", "[pool][desk]") {
    Desk desk;
    const JobId id = desk.accepted();
    desk.desk.forget(id);
    desk.desk.attempt_ended(desk.begun(), done_report(), desk.place, start);
    CHECK(desk.listener.ends.empty());
    CHECK(desk.entries(id).size() == 1);
}

TEST_CASE("closing ends each queued job once, refuses new ones, and retries nothing more",
          "[pool][desk]") {
    Desk desk;
    desk.accepted("app.retry", 9);
    Job& running = desk.begun();
    desk.accepted("app.retry", 9);
    Job& to_give_back = desk.begun();
    const JobId queued = desk.accepted("app.retry");
    desk.desk.close(start + 1s);
    CHECK(desk.end_of(queued).state == JobState::lost);
    CHECK(desk.entries(queued)[0].cause == Cause::shutdown);
    CHECK(desk.entries(queued)[0].attempt == 0);
    CHECK(desk.desk.queue().empty());
    CHECK(desk.desk.running() == 2);

    desk.desk.close(start + 1s);
    CHECK(desk.listener.ends[queued].size() == 1);
    CHECK(desk.rejected("app.work").reason == ipc::Refusal::stopping);

    const JobId ran = running.id;
    desk.desk.attempt_lost(running, Cause::signal, "signal 9", desk.place, start + 3s);
    CHECK(desk.end_of(ran).state == JobState::lost);
    const JobId unread = to_give_back.id;
    desk.desk.give_back(to_give_back, start + 3s);
    CHECK(desk.end_of(unread).state == JobState::lost);
    CHECK(desk.entries(unread)[0].cause == Cause::shutdown);
    CHECK(desk.desk.running() == 0);
}

TEST_CASE("a job keeps its descriptor for a retry and closes it at its end", "[pool][desk]") {
    Desk desk;
    JobDesk::Request request;
    request.task = "app.retry";
    request.payload.reset(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    const int fd = request.payload.get();
    REQUIRE(fd >= 0);
    desk.desk.accept(std::move(request), start);
    desk.desk.attempt_ended(desk.begun(), failed_report(), desk.place, start);
    Job& job = desk.begun();
    CHECK(job.payload.get() == fd);
    CHECK(::fcntl(fd, F_GETFD) >= 0);
    desk.desk.attempt_ended(job, done_report(), desk.place, start);
    CHECK(::fcntl(fd, F_GETFD) == -1);
}

TEST_CASE("a submitter that leaves hears no more, and its jobs go on", "[pool][desk]") {
    Desk desk;
    const JobId first = desk.accepted("app.retry");
    const JobId second = desk.accepted();
    Listener other;
    JobDesk::Request request;
    request.task = "app.work";
    request.args = desk.args;
    request.submitter = &other;
    const JobId others = std::get<JobId>(desk.desk.accept(std::move(request), start));
    CHECK(desk.listener.open_jobs.size() == 2);
    Job& begun = desk.begun();
    CHECK(begun.id == first);

    desk.desk.forget(desk.listener, start + 2s);
    CHECK(desk.listener.open_jobs.size() == 0);
    desk.desk.attempt_ended(begun, failed_report(), desk.place, start + 3s);  // and is tried again
    for (const JobId next : {second, others, first}) {
        Job& job = desk.begun();
        CHECK(job.id == next);
        desk.desk.attempt_ended(job, done_report(), desk.place, start + 4s);
    }
    CHECK(desk.listener.ends.empty());
    CHECK(other.ends.size() == 1);
    CHECK(other.open_jobs.size() == 0);
    CHECK(desk.desk.ledger().ended().done == 3);
}

TEST_CASE("of a submitter that leaves, calls that have not begun are dropped", "[pool][desk]") {
    Desk desk;
    const auto call = [&desk] {
        JobDesk::Request request;
        request.task = "app.work";
        request.args = desk.args;
        request.submitter = &desk.listener;
        request.call = true;
        return std::get<JobId>(desk.desk.accept(std::move(request), start));
    };
    const JobId runs = call();
    const JobId unread = call();
    const JobId waits = call();
    Job& running = desk.begun();
    Job& sent = desk.begun();
    CHECK((running.id == runs && sent.id == unread));

    desk.desk.forget(desk.listener, start + 2s);
    CHECK(desk.desk.queue().empty());
    CHECK(desk.entries(waits)[0].cause == Cause::revoked);
    desk.desk.give_back(sent, start + 3s);  // its worker died before it had begun
    CHECK(desk.desk.queue().empty());
    CHECK(desk.entries(unread)[0].cause == Cause::revoked);
    desk.desk.attempt_ended(running, done_report(), desk.place, start + 4s);
    CHECK(desk.desk.ledger().ended().done == 1);
    CHECK(desk.listener.ends.empty());
}

TEST_CASE("jobs cost no allocation where as many have been before", "[pool][desk]") {
    class Deaf final : public Submitter {
        void job_ended(JobId, JobState, unsigned, std::string_view) override {}
    } submitter;
    Desk desk;
    const std::string report = done_report();
    std::size_t cost = 0;
    for (int round = 0; round < 30; ++round) {  // the ledger's capacity is filled in 21
        const std::size_t before = allocations;
        for (int i = 0; i < 100; ++i) {
            JobDesk::Request request;
            request.task = "app.reports.build";
            request.args = desk.args;
            request.submitter = &submitter;
            desk.desk.accept(std::move(request), start);
        }
        while (Job* const job = desk.desk.take()) {
            desk.desk.begin(*job, start);
            desk.desk.attempt_ended(*job, report, desk.place, start);
        }
        cost = allocations - before;
    }
    CHECK(desk.desk.ledger().ended().done == 3000);
    CHECK(cost == 0);
}
