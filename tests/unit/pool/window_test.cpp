#include <sys/mman.h>

#include <csignal>

#include "ipc/channel.hpp"
#include "tests/unit/pool/window_stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t mebi = 1 << 20;
using Ids = std::vector<JobId>;

Cause cause_of(const Listener::End& end) {
    return std::get<ipc::Loss>(*ipc::decode_report(end.report)).cause;
}

}  // namespace

TEST_CASE("a worker holds as many jobs as its window has, and does them in their order",
          "[pool][window]") {
    WindowStage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    stage.submit_at_once(10);
    CHECK(stage.gets(worker) == Ids{1, 2, 3, 4});
    CHECK(stage.status().jobs.queued == 6);
    CHECK(stage.status().jobs.running == 4);
    for (JobId id = 1; id <= 10; ++id) {
        CHECK(stage.status().workers.at(0).job_id == id);
        CHECK(stage.does(worker) == id);
        CHECK((stage.gets(worker).empty() || id <= 6));
        REQUIRE((id == 10 || !stage.held(worker).empty()));  // it never runs dry
        CHECK(stage.state(worker) == (id == 10 ? "idle" : "busy"));
    }
    CHECK(stage.status().workers.at(0).jobs_done == 10);
    CHECK(stage.status().jobs.done == 10);
}

TEST_CASE("no worker waits for jobs that stand in another one's window", "[pool][window]") {
    WindowStage stage(2);
    stage.start_ready();
    SECTION("they come one by one") {
        stage.submit();
        stage.submit();
    }
    SECTION("they come at once") { stage.submit_at_once(3); }
    CHECK_FALSE(stage.gets(stage.worker(1, 1)).empty());
    CHECK_FALSE(stage.gets(stage.worker(2, 1)).empty());
}

TEST_CASE("a job with a time limit is neither put behind another one nor before one",
          "[pool][window]") {
    WindowStage stage;
    ipc::TaskInfo limited;
    limited.name = "app.limited";
    if (GENERATE(true, false)) {
        limited.time_limit_ms = 1000;
    } else {
        limited.soft_time_limit_ms = 1000;
    }
    stage.tasks.push_back(limited);
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    stage.pool().pause();
    stage.submit();
    stage.submit("app.limited");
    stage.submit("app.limited");
    stage.submit();
    stage.submit();
    stage.pool().resume();
    for (const Ids& expected : {Ids{1}, Ids{2}, Ids{3}, Ids{4, 5}}) {
        CHECK(stage.gets(worker) == expected);
        for (const JobId id : expected) {
            CHECK(stage.does(worker) == id);
        }
    }
}

TEST_CASE("the time of a job with a limit begins when it does", "[pool][window]") {
    WindowStage stage;
    ipc::TaskInfo limited;
    limited.name = "app.limited";
    limited.time_limit_ms = 1000;
    stage.tasks.push_back(limited);
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    stage.submit();
    const JobId id = stage.submit("app.limited");
    stage.gets(worker);
    stage.pass(10s);
    CHECK_FALSE(worker.killed);
    stage.does(worker);
    CHECK(stage.gets(worker) == Ids{id});
    stage.begins(worker);
    stage.pass(900ms);
    CHECK_FALSE(worker.killed);
    stage.pass(200ms);
    CHECK(worker.killed);
    CHECK(cause_of(stage.end_of(id)) == Cause::time_limit);
}

TEST_CASE("a death gives back all that had not begun, in order, and loses the one that had",
          "[pool][window]") {
    WindowStage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    stage.submit_at_once(6, "app.retry");
    REQUIRE(stage.gets(worker) == Ids{1, 2, 3, 4});
    Ids given_back{2, 3, 4, 5, 6};
    JobId lost = 0;
    SECTION("the first") {
        lost = stage.begins(worker);
        given_back.push_back(1);  // its second attempt, when those before it have had their first
    }
    SECTION("the second") {
        stage.does(worker);
        lost = stage.begins(worker);
        given_back = {3, 4, 5, 6, 2};
    }
    SECTION("the second, and the first one's end is still to be read") {
        stage.begins(worker);
        ipc::Done message;
        message.id = 1;
        const std::string report = done_report();
        message.report = report;
        worker.send(message);
        stage.held(worker).pop_front();
        lost = stage.begins(worker);
        given_back = {3, 4, 5, 6, 2};
    }
    SECTION("none") { given_back.insert(given_back.begin(), 1); }
    SECTION("none, after one") { stage.does(worker); }
    stage.dies(worker, SIGKILL);
    CHECK(stage.status().attempts.lost == (lost != 0 ? 1 : 0));
    CHECK(stage.status().jobs.queued == given_back.size());
    CHECK(stage.status().jobs.running == 0);
    CHECK(stage.logged("worker.died").at(0).fields.at("job") ==
          (lost != 0 ? std::to_string(lost) : "-"));

    REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 2); }));
    FakeWorker& next = stage.ready(1, 2);
    Ids got;
    while (got.size() < given_back.size()) {
        stage.gets(next);
        CHECK(stage.held(next).at(0).attempt == (stage.held(next)[0].id == lost ? 2 : 1));
        got.push_back(stage.does(next));
    }
    CHECK(got == given_back);
    for (JobId id = 1; id <= 6; ++id) {
        CHECK(stage.end_of(id).state == JobState::done);
        CHECK(stage.end_of(id).attempts == (id == lost ? 2 : 1));
    }
}

TEST_CASE("a job that its worker could not be sent any more goes to another in its place",
          "[pool][window]") {
    WindowStage stage(2);
    stage.start_ready();
    stage.worker(1, 1).hang_up();
    stage.submit_at_once(4);  // before the pool has heard of it
    FakeWorker& other = stage.worker(2, 1);
    for (JobId id = 1; id <= 4; ++id) {
        stage.gets(other);
        REQUIRE(stage.does(other) == id);
    }
}

TEST_CASE("max_tasks is never exceeded, whatever the window", "[pool][window]") {
    WindowStage stage;
    const unsigned most = GENERATE(1U, 2U, 3U, 5U);
    stage.settings.recycle.max_tasks = most;
    stage.start_ready();
    stage.submit_at_once(3 * most);
    JobId next = 1;
    for (unsigned incarnation = 1; incarnation <= 3; ++incarnation) {
        INFO("incarnation " << incarnation);
        FakeWorker& worker = stage.worker(1, incarnation);
        stage.gets(worker);
        CHECK(stage.held(worker).size() == std::min(most - 1, 4U));
        unsigned done = 0;
        while (done + 1 < most) {
            REQUIRE(stage.does(worker) == next++);
            ++done;
            stage.gets(worker);
        }
        stage.pass(1s);
        CHECK(stage.gets(worker).empty());  // its last job waits for its successor, as ever
        stage.ready(1, incarnation + 1);
        CHECK(stage.gets(worker) == Ids{next});
        CHECK(stage.does(worker) == next++);
        stage.retires(worker);
    }
    CHECK(stage.status().recycles["max_tasks"] == 3);
    CHECK(stage.status().jobs.done == 3 * most);
}

TEST_CASE("a worker that is to be replaced empties its window and goes, however many jobs wait",
          "[pool][window]") {
    WindowStage stage;
    stage.start_ready();
    FakeWorker& old = stage.worker(1, 1);
    stage.submit_at_once(20);
    stage.gets(old);
    stage.pool().recycle(1).value();
    stage.does(old);
    stage.does(old);
    CHECK_FALSE(stage.gets(old).empty());  // it serves until its successor is ready
    FakeWorker& fresh = stage.ready(1, 2);
    JobId last = 0;
    while (!stage.held(old).empty()) {
        last = stage.does(old);
        if (stage.state(old) == "retiring") {
            break;
        }
        REQUIRE(stage.gets(old).empty());
    }
    stage.retires(old);
    CHECK(stage.gets(fresh).at(0) == last + 1);
    CHECK(stage.status().recycles["requested"] == 1);
}

TEST_CASE("a worker that crosses its line within a window gets no more, and goes after it",
          "[pool][window]") {
    WindowStage stage;
    stage.settings.recycle.max_rss = 100 * mebi;
    stage.host().fresh = {50 * mebi, 40 * mebi};
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    stage.submit_at_once(10);
    stage.gets(worker);
    worker.memory.rss = 120 * mebi;
    stage.pass(2ms);
    for (JobId id = 1; id <= 3; ++id) {
        CHECK(stage.does(worker) == id);
        CHECK(stage.gets(worker).empty());
    }
    stage.does(worker);
    CHECK(std::holds_alternative<ipc::Trim>(stage.next(worker)));
    worker.send(ipc::Trimmed{});
    FakeWorker& fresh = stage.ready(1, 2);
    stage.retires(worker);
    CHECK(stage.gets(fresh).at(0) == 5);
    CHECK(stage.status().recycles["max_rss"] == 1);
}

TEST_CASE("a reload narrows a window", "[pool][window]") {
    WindowStage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    stage.submit_at_once(8);
    stage.gets(worker);
    PoolSettings narrow = stage.settings;
    narrow.jobs.window = 1;
    stage.pool().apply(narrow);
    for (JobId id = 1; id <= 3; ++id) {
        CHECK(stage.does(worker) == id);
        CHECK(stage.gets(worker).empty());
    }
    stage.does(worker);
    CHECK(stage.gets(worker) == Ids{5});
}

TEST_CASE("a drain lets a worker finish its window", "[pool][window][drain]") {
    WindowStage stage;
    stage.settings.grace = 10s;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    stage.says(worker, "up");
    stage.submit_at_once(6);
    stage.gets(worker);
    stage.begins(worker);
    stage.pool().stop();
    for (const JobId queued : {5U, 6U}) {
        CHECK(cause_of(stage.end_of(queued)) == Cause::shutdown);
        CHECK(stage.end_of(queued).attempts == 0);
    }
    SECTION("in time") {
        for (JobId id = 1; id <= 4; ++id) {
            CHECK(stage.does(worker) == id);
        }
        stage.retires(worker);
    }
    SECTION("or not: what had not begun is lost as no attempt") {
        stage.does(worker);
        stage.begins(worker);
        stage.pass(10100ms);
        stage.says(worker, "SIGINT");
        stage.pass(2s);
        CHECK(worker.killed);
        for (const JobId id : {2U, 3U, 4U}) {
            CHECK(cause_of(stage.end_of(id)) == Cause::shutdown);
            CHECK(stage.end_of(id).attempts == (id == 2 ? 1 : 0));
        }
    }
    CHECK(stage.pass_until(1s, [&] { return stage.ended(); }));
}

TEST_CASE("cancelling a job that stands in a window ends its worker only when the job begins",
          "[pool][window]") {
    WindowStage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    ipc::Channel client(stage.loop().get_executor(), stage.connect());
    client.send(ipc::encode(ipc::Hello{}).bytes());
    ipc::Submit submit;
    submit.task = "app.work";
    const std::string no_args(1, '\0');
    submit.jobs.assign(3, no_args);
    client.send(ipc::encode(submit).bytes());
    stage.until("three jobs", [&] { return stage.status().jobs.running == 3; });
    stage.gets(worker);
    stage.begins(worker);
    const auto cancel = [&](JobId id) {
        client.send(ipc::encode(ipc::Cancel{true, {id}}).bytes());
        stage.turn();
    };
    const auto verdict = [&](JobId id) { return stage.pool().why_job(id)->verdict; };
    SECTION("the first runs") {
        cancel(1);
        CHECK(worker.killed);
        stage.gone(worker);
        CHECK(verdict(1) == "lost (revoked): revoked by its client");
        CHECK(verdict(2) == "queued");
    }
    SECTION("the second does not yet") {
        cancel(2);
        stage.pass(10s);
        CHECK_FALSE(worker.killed);
        stage.does(worker);
        CHECK(worker.killed);
        stage.gone(worker);
        CHECK(verdict(1) == "done");
        CHECK_THAT(verdict(2), ContainsSubstring("lost (revoked)"));
        CHECK(stage.status().jobs.lost == 1);
    }
    SECTION("nor does it when its worker dies") {
        cancel(2);
        stage.dies(worker, SIGKILL);
        CHECK_THAT(verdict(1), ContainsSubstring("lost (signal)"));
        CHECK(verdict(2) == "lost (revoked): cancelled before it began");
        CHECK(stage.status().attempts.lost == 1);
    }
    CHECK(verdict(3) == "queued");
    REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 2); }));
    FakeWorker& next = stage.ready(1, 2);
    stage.gets(next);
    while (!stage.held(next).empty()) {
        stage.does(next);
    }
    CHECK(verdict(3) == "done");
    CHECK(stage.status().jobs.queued == 0);
}

TEST_CASE("jobs too long for one frame come in several, each with its arguments",
          "[pool][window]") {
    WindowStage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    std::vector<std::string> args;
    for (const std::size_t ids : {2U, 3U, 1U, 1U}) {
        const std::string id(250, static_cast<char>('a' + args.size()));
        args.push_back(ipc::encode_args(std::vector<ipc::Id>(ids, id)).value());
    }
    stage.pool().pause();
    for (const std::string& each : args) {
        JobDesk::Request request;
        request.task = "app.work";
        request.args = each;
        stage.pool().submit(std::move(request));
    }
    stage.pool().resume();
    stage.turn();
    std::vector<std::string> got;
    while (const auto message = worker.receive()) {
        if (const auto* const several = std::get_if<ipc::JobBatch>(&*message)) {
            for (const ipc::JobBatch::Entry& entry : several->jobs) {
                got.emplace_back(entry.args);
                CHECK(entry.id == got.size());
            }
        } else {
            got.emplace_back(std::get<ipc::Job>(*message).args);
        }
    }
    CHECK(got == args);
}

TEST_CASE("a payload job has its worker's window for itself, and keeps its payload",
          "[pool][window]") {
    WindowStage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    stage.pool().pause();
    for (int i = 0; i < 6; ++i) {
        JobDesk::Request request;
        request.task = "app.work";
        request.args = std::string_view("\0", 1);
        request.call = i == 1 || i == 2;
        if (request.call) {
            request.payload.reset(::memfd_create("payload", MFD_CLOEXEC));
            REQUIRE(::ftruncate(request.payload.get(), 100 + i) == 0);
        }
        stage.pool().submit(std::move(request));
    }
    stage.pool().resume();
    for (const Ids& expected : {Ids{1}, Ids{2}, Ids{3}, Ids{4, 5, 6}}) {
        CHECK(stage.gets(worker) == expected);
        const bool has_payload = expected == Ids{2} || expected == Ids{3};
        CHECK(static_cast<bool>(worker.payload) == has_payload);
        if (has_payload) {
            CHECK(::lseek(worker.payload.get(), 0, SEEK_END) == 99 + static_cast<int>(expected[0]));
        }
        worker.payload.reset();
        for (const JobId id : expected) {
            CHECK(stage.does(worker) == id);
        }
    }
}

TEST_CASE("a limit that a job brings along counts as its task's own does", "[pool][window]") {
    WindowStage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    stage.pool().pause();
    for (const auto limit : {0s, 5s, 0s, 0s}) {
        JobDesk::Request request;
        request.task = "app.work";
        request.args = std::string_view("\0", 1);
        request.time_limit = limit;
        stage.pool().submit(std::move(request));
    }
    stage.pool().resume();
    for (const Ids& expected : {Ids{1}, Ids{2}, Ids{3, 4}}) {
        CHECK(stage.gets(worker) == expected);
        for (const JobId id : expected) {
            CHECK(stage.does(worker) == id);
        }
    }
}
