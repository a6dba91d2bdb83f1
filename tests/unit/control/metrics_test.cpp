#include "supervisor/control/metrics.hpp"

#include <set>
#include <sstream>

#include "fake_control_api.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;
using supervise::control::metrics_text;
using supervise::test::ContainsSubstring;

TEST_CASE("metrics count what the snapshot counts", "[metrics]") {
    const std::string text = metrics_text(test::sample_snapshot());
    for (const char* line :
         {"supervise_info{version=\"0.1.0\",tier=\"B\"} 1", "supervise_uptime_seconds 8040.25",
          "supervise_supervisor_rss_bytes 12582912", "supervise_jobs_queued{pool=\"reports\"} 12",
          "supervise_jobs_total{pool=\"reports\",state=\"done\"} 81234",
          "supervise_jobs_total{pool=\"reports\",state=\"dead\"} 1",
          "supervise_attempts_total{pool=\"reports\",outcome=\"lost\"} 4",
          "supervise_workers{pool=\"reports\",state=\"busy\"} 1",
          "supervise_workers{pool=\"reports\",state=\"retiring\"} 0",
          "supervise_worker_rss_bytes{pool=\"reports\",slot=\"1\"} 327155712",
          "supervise_worker_private_bytes{pool=\"reports\",slot=\"2\"} 22020096",
          "supervise_recycles_total{pool=\"reports\",reason=\"max_tasks\"} 12",
          "supervise_recycles_total{pool=\"reports\",reason=\"pressure\"} 0",
          "supervise_restarts_total{pool=\"reports\",cause=\"signal\"} 2",
          "supervise_slot_gap_seconds{pool=\"reports\",quantile=\"0.99\"} 0.008",
          "supervise_slot_gap_seconds_count{pool=\"reports\"} 13",
          "supervise_pool_degraded{pool=\"reports\"} 0"}) {
        CHECK_THAT(text, ContainsSubstring(std::string(line) + '\n'));
    }
}

TEST_CASE("metrics of a pool that forks count its templates and spares", "[metrics]") {
    Snapshot snapshot = test::forked_snapshot();
    WorkerSnapshot starting = snapshot.pools[0].workers[0];
    starting.state = "starting";
    snapshot.pools[0].workers.push_back(starting);
    const std::string text = metrics_text(snapshot);
    for (const char* line :
         {"supervise_workers_spare{pool=\"reports\"} 1",
          "supervise_worker_private_bytes{pool=\"reports\",slot=\"spare\"} 10485760",
          "supervise_pool_generation{pool=\"reports\"} 3",
          "supervise_template_forks_total{pool=\"reports\"} 300",
          "supervise_template_rss_bytes{pool=\"reports\"} 201326592",
          "supervise_template_private_bytes{pool=\"reports\"} 169869312"}) {
        CHECK_THAT(text, ContainsSubstring(std::string(line) + '\n'));
    }
    const std::string spawned = metrics_text(test::sample_snapshot());
    CHECK_THAT(spawned, ContainsSubstring("supervise_workers_spare{pool=\"reports\"} 0\n"));
    CHECK_THAT(spawned, ContainsSubstring("supervise_template_forks_total{pool=\"reports\"} 0\n"));
    CHECK(spawned.find("slot=\"spare\"") == std::string::npos);
}

TEST_CASE("metrics of a pool with a front count its fronts, and no other pool has them",
          "[metrics]") {
    const std::string text = metrics_text(test::fronted_snapshot());
    for (const char* line :
         {"supervise_fronts{pool=\"reports\",state=\"ready\"} 1",
          "supervise_fronts{pool=\"reports\",state=\"stopping\"} 1",
          "supervise_fronts{pool=\"reports\",state=\"connecting\"} 0",
          "supervise_front_rss_bytes{pool=\"reports\"} 482344960",
          "supervise_front_private_bytes{pool=\"reports\"} 90177536",
          "supervise_front_recycles_total{pool=\"reports\",reason=\"max_rss\"} 1",
          "supervise_front_recycles_total{pool=\"reports\",reason=\"requested\"} 0",
          "supervise_front_restarts_total{pool=\"reports\",cause=\"signal\"} 3",
          "supervise_front_restarts_total{pool=\"reports\",cause=\"memory_hard_limit\"} 0"}) {
        CHECK_THAT(text, ContainsSubstring(std::string(line) + '\n'));
    }
    CHECK(metrics_text(test::sample_snapshot()).find("front") == std::string::npos);
}

TEST_CASE("a slot with two processes is one series with their sum", "[metrics]") {
    Snapshot snapshot = test::sample_snapshot();
    for (WorkerSnapshot& worker : snapshot.pools[0].workers) {
        worker.slot = 1;
        worker.rss_bytes = 100;
    }
    CHECK_THAT(metrics_text(snapshot),
               ContainsSubstring("supervise_worker_rss_bytes{pool=\"reports\",slot=\"1\"} 200\n"));
}

TEST_CASE("label values are escaped", "[metrics]") {
    Snapshot snapshot = test::sample_snapshot();
    snapshot.version = "a\"b\\c\nd";
    CHECK_THAT(metrics_text(snapshot), ContainsSubstring(R"(version="a\"b\\c\nd")"));
}

TEST_CASE("every family has its help and type once, before its samples, and no series twice",
          "[metrics]") {
    Snapshot snapshot = test::sample_snapshot();
    snapshot.pools.push_back(snapshot.pools[0]);
    snapshot.pools[1].name = "mail";
    snapshot.pools[1].recycles["a_new_reason"] = 1;
    std::istringstream lines(metrics_text(snapshot));
    std::set<std::string> seen;
    std::string family;
    for (std::string line; std::getline(lines, line);) {
        CAPTURE(line);
        if (line.rfind("# HELP ", 0) == 0) {
            family = line.substr(7, line.find(' ', 7) - 7);
            CHECK(seen.insert("help " + family).second);
        } else if (line.rfind("# TYPE ", 0) == 0) {
            CHECK(line.rfind("# TYPE " + family + ' ', 0) == 0);
        } else {
            CHECK(line.rfind(family, 0) == 0);
            CHECK(seen.insert(line.substr(0, line.rfind(' '))).second);
        }
    }
    CHECK(seen.size() > 60);
}
