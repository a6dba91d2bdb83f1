#include "supervisor/cli/status_view.hpp"

#include "supervisor/cli/text_layout.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/control/fake_control_api.hpp"

using namespace supervise;
using namespace supervise::cli;
using supervise::test::ContainsSubstring;
using supervise::test::forked_snapshot;
using supervise::test::fronted_snapshot;
using supervise::test::sample_snapshot;

namespace {

std::size_t longest_line(const std::string& text) {
    std::size_t longest = 0;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find('\n', at), text.size());
        longest = std::max(longest, width(text.substr(at, end - at)));
        at = end + 1;
    }
    return longest;
}

}  // namespace

TEST_CASE("status of a healthy supervisor at 80 columns", "[status]") {
    CHECK(status_text(sample_snapshot(), 80) ==
          R"(supervise 0.1.0, pid 4711, up 2h14m, rss 12M, tier B
healthy: 1 pool, 2 workers, 12 jobs queued

reports: running, 2 slots, 4 clients
  SLOT     PID STATE    TASK                          JOBS    AGE   RSS PRIVATE
     1    4712 busy     reports.tasks.build            912  1h02m  312M    120M
     2    4713 idle     (successor)                      7  1m01s   58M     21M
  jobs      12 queued, 1 running, 81234 done, 3 failed, 2 lost, 1 dead,
            6 refused
  recycles  max_rss 1, max_tasks 12
  restarts  signal 2
  slot gap  p50 1.2 ms, p99 8.0 ms (13)
  trims     9, gave back 700M
)");
}

TEST_CASE("status of a pool that forks shows generations, templates, and spares last", "[status]") {
    const std::string text = status_text(forked_snapshot(), 80);
    CHECK(text.substr(text.find("reports:")) ==
          R"(reports: running, 2 slots, 4 clients
  SLOT     PID  GEN STATE    TASK                     JOBS    AGE   RSS PRIVATE
     1    4712    2 busy     reports.tasks.build       912  1h02m  312M    120M
     2    4713    3 idle     (successor)                 7  1m01s   58M     21M
 spare    4730    3 idle     -                           0     2s   40M    5.0M
  template  gen 3 ready, pid 4720, rss 96M, private 81M, 212 forks, 2 workers
  template  gen 2 retiring, pid 4710, rss 96M, private 81M, 1 fork, 1 worker
  jobs      12 queued, 1 running, 81234 done, 3 failed, 2 lost, 1 dead,
            6 refused
  recycles  max_rss 1, max_tasks 12
  restarts  signal 2
  slot gap  p50 1.2 ms, p99 8.0 ms (13)
  trims     9, gave back 700M
)");
}

TEST_CASE("status of a Celery pool shows its fronts, and how often they were replaced",
          "[status]") {
    const std::string text = status_text(fronted_snapshot(), 80);
    CHECK_THAT(text,
               ContainsSubstring(
                   R"(  front     reports-2@host ready, pid 4741, age 1m01s, rss 54M, private 43M
  front     reports@host stopping, pid 4740, age 1m01s, rss 406M, private 43M
  replaced  max_rss 1, signal 3
  jobs )"));
    CHECK(status_text(sample_snapshot(), 80).find("front") == std::string::npos);
}

TEST_CASE("a template that failed is trouble, shown with its error and findings", "[status]") {
    Snapshot snapshot = forked_snapshot();
    TemplateSnapshot failed;
    failed.state = GENERATE("failed", "refused");
    failed.generation = 4;
    failed.error = "ModuleNotFoundError: No module named 'reprots'";
    failed.findings = {
        "reports.tasks started the thread \"flusher\"", "b", "c", "d", "e", "f", "g"};
    snapshot.pools[0].templates.insert(snapshot.pools[0].templates.begin(), failed);
    const std::string text = status_text(snapshot, 80);
    CHECK_THAT(text, ContainsSubstring("NOT HEALTHY (reports)"));
    CHECK_THAT(text, ContainsSubstring("  template  gen 4 " + failed.state +
                                       R"(
            ! ModuleNotFoundError: No module named 'reprots'
            ! reports.tasks started the thread "flusher"
            ! b
            ! c
            ! d
            ! e
            ! and 2 more: supervise status --json
  template  gen 3 ready, pid 4720)"));
    snapshot.pools[0].advice = "the template: " + failed.error;  // then that is where it is told
    CHECK(status_text(snapshot, 80).find("! ModuleNotFoundError") == std::string::npos);
}

TEST_CASE("where forking is unsafe and workers are spawned, the pool is healthy", "[status]") {
    Snapshot snapshot = forked_snapshot();
    snapshot.pools[0].templates[0].state = "unsafe";
    snapshot.pools[0].templates[0].findings = {"reports.tasks started the thread \"flusher\""};
    const std::string text = status_text(snapshot, 80);
    CHECK_THAT(text, ContainsSubstring("\nhealthy: "));
    CHECK_THAT(text, ContainsSubstring("gen 3 unsafe, "));
    CHECK_THAT(text, ContainsSubstring("! reports.tasks started the thread"));
}

TEST_CASE("status of a degraded pool says what to do", "[status]") {
    Snapshot snapshot = sample_snapshot();
    PoolSnapshot mail;
    mail.name = "mail";
    mail.state = "degraded";
    mail.advice =
        "10 workers died in 60 s, the last by signal 11 (SIGSEGV); see `supervise why mail/1`, "
        "then `supervise resume mail`";
    snapshot.pools = {mail};
    CHECK(status_text(snapshot, 80) ==
          R"(supervise 0.1.0, pid 4711, up 2h14m, rss 12M, tier B
NOT HEALTHY (mail): 1 pool, 0 workers, 0 jobs queued

mail: degraded, 0 slots, 0 clients
  ! 10 workers died in 60 s, the last by signal 11 (SIGSEGV); see `supervise
    why mail/1`, then `supervise resume mail`
  jobs      0 queued, 0 running, 0 done, 0 failed, 0 lost, 0 dead
  recycles  none
  restarts  none
)");
}

TEST_CASE("no line is wider than the terminal, whatever the names and numbers", "[status]") {
    Snapshot snapshot = forked_snapshot();
    PoolSnapshot& pool = snapshot.pools[0];
    pool.templates[0] = {"retiring",
                         1'000'000,
                         4'194'303,
                         400.0 * 86'400,
                         999ULL << 30,
                         999ULL << 30,
                         123'456'789'012,
                         1024,
                         "words and words and words and words and words and\x1b[2J words",
                         {"words and words and words and words and words and words and words"}};
    pool.workers[0].generation = 1'000'000;
    pool.workers[0].task = std::string(255, 'x') + "\xc3\xa4\x1b[2J";
    pool.workers[0].jobs_done = 12'345'678;
    pool.workers[0].pid = 4'194'303;
    pool.workers[1].age_seconds = 400.0 * 86'400;
    pool.jobs = {9'999'999, 1024, 123'456'789'012, 99'999, 99'999, 99'999};
    for (const char* reason : {"max_private", "max_age", "idle", "requested", "config"}) {
        pool.recycles[reason] = 1'000'000;
    }
    pool.advice = "words and words and words and words and words and words and words and words";
    for (const unsigned columns : {80U, 100U, 71U, 70U, 60U, 20U}) {
        const std::string text = status_text(snapshot, columns);
        CHECK(longest_line(text) < std::max(columns, 60U));
        CHECK(text.find('\x1b') == std::string::npos);
    }
    CHECK_THAT(status_text(snapshot, 300), ContainsSubstring("12345678"));
}

TEST_CASE("a large pool does not fill more than a screen", "[status]") {
    Snapshot snapshot = sample_snapshot();
    snapshot.pools[0].workers.resize(1000, snapshot.pools[0].workers[1]);
    const std::string text = status_text(snapshot, 80);
    CHECK(std::count(text.begin(), text.end(), '\n') < 32);
    CHECK_THAT(text, ContainsSubstring("and 984 more"));
}

TEST_CASE("a supervisor that stops says so first", "[status]") {
    Snapshot snapshot = sample_snapshot();
    snapshot.stopping = true;
    snapshot.pools[0].state = "stopping";
    CHECK_THAT(status_text(snapshot, 80), ContainsSubstring("\nstopping: 1 pool"));
}

TEST_CASE("doctor tells the tier, the reason and each feature", "[status]") {
    CHECK(doctor_text(sample_snapshot()) ==
          "tier B: the memory controller is on cgroup v1\n"
          "  kill: on (cgroup.kill)\n");
}

TEST_CASE("an explanation shows its evidence, and the history further in", "[status]") {
    Explanation attempt{"attempt 1", "lost: signal", {{"wait status", "killed by 9"}}, {}};
    Explanation job{"job 812",
                    "done in its 2nd attempt",
                    {{"task", "reports.tasks.build"}, {"submitted by", "uid 1000"}},
                    {attempt}};
    CHECK(explanation_text(job, 80) ==
          R"(job 812: done in its 2nd attempt
  task          reports.tasks.build
  submitted by  uid 1000
  attempt 1: lost: signal
    wait status  killed by 9
)");
}
