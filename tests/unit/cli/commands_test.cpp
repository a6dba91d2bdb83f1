// Whole commands: what they ask, print and exit with.
#include <fstream>
#include <sstream>

#include "supervisor/cli/cli.hpp"
#include "supervisor/control/json.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/control/control_server.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace supervise::cli;

namespace {

struct Ran {
    int code = 0;
    std::string out;
    std::string err;
};

int no_daemon(const std::string& config, std::optional<int> /*lifeline*/) {
    FAIL("would have run " << config);
    return exit_failed;
}

Ran run(std::vector<std::string> words, const Serve& serve = no_daemon, bool screen = false) {
    std::vector<const char*> argv = {"supervise"};
    for (const std::string& word : words) {
        argv.push_back(word.c_str());
    }
    std::ostringstream out;
    std::ostringstream err;
    const int code =
        run_cli(static_cast<int>(argv.size()), argv.data(), serve, Streams{out, err, screen, 80});
    return {code, out.str(), err.str()};
}

Ran run_at(const ControlServer& server, std::vector<std::string> words, bool screen = false) {
    words.insert(words.begin(), {"--runtime-dir", server.runtime_dir()});
    return run(std::move(words), no_daemon, screen);
}

/// For one test: a variable of the environment, put back afterwards.
class WithVariable {
  public:
    WithVariable(const char* name, const std::string& value) : name_(name) {
        if (const char* old = std::getenv(name)) {
            old_ = old;
        }
        ::setenv(name, value.c_str(), 1);
    }
    ~WithVariable() { old_ ? ::setenv(name_, old_->c_str(), 1) : ::unsetenv(name_); }
    WithVariable(const WithVariable&) = delete;
    WithVariable& operator=(const WithVariable&) = delete;

  private:
    const char* name_;
    std::optional<std::string> old_;
};

const std::string task = "reports.tasks.build";

}  // namespace

TEST_CASE("run gives the config file to the daemon and its exit code back", "[commands]") {
    std::string given;
    std::optional<int> line;
    const Serve serve = [&](const std::string& config, std::optional<int> lifeline) {
        given = config;
        line = lifeline;
        return 75;
    };
    CHECK(run({"--config", "w.toml"}, serve).code == 75);
    CHECK(given == "w.toml");
    CHECK_FALSE(line);
    run({"--config", "w.toml", "--lifeline", "7"}, serve);
    CHECK(line == 7);
    CHECK(run({"--config", "w.toml", "--lifeline", "-1"}).code == exit_usage);
}

TEST_CASE("status is for people, or for programs on one line", "[commands]") {
    ControlServer server;
    server.start();
    const Ran people = run_at(server, {"status"});
    CHECK(people.code == exit_done);
    CHECK_THAT(people.out, ContainsSubstring("healthy: 1 pool"));
    CHECK_THAT(people.out, ContainsSubstring("4712 busy"));
    const Ran programs = run_at(server, {"status", "--json"});
    CHECK(programs.code == exit_done);
    CHECK(programs.out == control::to_text(control::to_json(sample_snapshot())) + '\n');
    CHECK(programs.err.empty());
}

TEST_CASE("status --watch looks again until the supervisor has gone", "[commands]") {
    const bool screen = GENERATE(false, true);
    ControlServer server;
    server.api.on_snapshot = [&server, looks = 0]() mutable {
        if (++looks == 3) {
            server.cancel_soon();
        }
    };
    server.start();
    const Ran ran = run_at(server, {"status", "--watch", "0.1"}, screen);
    CHECK(ran.code == exit_no_supervisor);
    std::size_t seen = 0;
    for (auto at = ran.out.find("healthy: "); at != std::string::npos;
         at = ran.out.find("healthy: ", at + 1)) {
        ++seen;
    }
    CHECK(seen >= 2);
    CHECK((ran.out.find("\x1b[2J") != std::string::npos) == screen);
}

TEST_CASE("submit prints the job's ID", "[commands]") {
    ControlServer server;
    server.start();
    const Ran ran = run_at(server, {"submit", "reports", task, "42", "text:7", "--priority", "3"});
    CHECK(ran.code == exit_done);
    CHECK(ran.out == "812\n");
    CHECK(server.api.calls() ==
          std::vector<std::string>{"submit reports reports.tasks.build 0:42 2:7 priority 3"});
}

TEST_CASE("submit --wait prints the result alone", "[commands]") {
    ControlServer server;
    const ipc::Id result = GENERATE(ipc::Id(std::int64_t{-7}), ipc::Id(std::string("a \"b\"")),
                                    ipc::Id(ipc::Uuid{0x7f}));
    server.api.end.report = ipc::encode_report(ipc::Value{ipc::encode_id(result)});
    const std::string encoded = ipc::encode_id(result);
    server.api.end.report = ipc::encode_report(ipc::Value{encoded});
    server.start();
    const Ran ran = run_at(server, {"submit", "reports", task, "--wait"});
    CHECK(ran.code == exit_done);
    CHECK(ran.out == ipc::to_string(result) + '\n');
}

TEST_CASE("submit --wait prints nothing for a job without a result", "[commands]") {
    ControlServer server;
    server.start();
    const Ran ran = run_at(server, {"submit", "reports", task, "--wait"});
    CHECK(ran.code == exit_done);
    CHECK(ran.out.empty());
    CHECK(ran.err.empty());
}

TEST_CASE("submit --wait says how a job failed or was lost", "[commands]") {
    ControlServer server;
    server.api.end = {812, JobState::failed, 2,
                      ipc::encode_report(ipc::Failure{"ValueError", "no report 3",
                                                      "  File \"tasks.py\", line 7"})};
    server.start();
    const Ran failed = run_at(server, {"submit", "reports", task, "--wait"});
    CHECK(failed.code == exit_failed);
    CHECK(failed.out.empty());
    CHECK(failed.err ==
          "supervise: job 812 is failed after 2 attempt(s)\n  File \"tasks.py\", line 7\n"
          "ValueError: no report 3\n  more: supervise why 812\n");

    ControlServer other;
    other.api.end = {812, JobState::dead, 4,
                     ipc::encode_report(ipc::Loss{Cause::oom_worker, "memory.max was hit"})};
    other.start();
    const Ran lost = run_at(other, {"submit", "reports", task, "--wait"});
    CHECK(lost.code == exit_failed);
    CHECK_THAT(lost.err, ContainsSubstring("cause: oom_worker; memory.max was hit"));
}

TEST_CASE("submit --wait --timeout gives up, and leaves the job alone", "[commands]") {
    ControlServer server;
    server.api.hold_jobs = true;
    server.start();
    const Ran ran = run_at(server, {"submit", "reports", task, "--wait", "--timeout", "0.2"});
    CHECK(ran.code == exit_failed);
    CHECK_THAT(ran.err, ContainsSubstring("has not ended in 0.2 s; it goes on"));
}

TEST_CASE("what is refused for now exits differently from what is refused for good", "[commands]") {
    ControlServer server;
    server.api.queue_full = true;
    server.start();
    const Ran full = run_at(server, {"submit", "reports", task});
    CHECK(full.code == exit_refused);
    CHECK(full.err == "supervise: 10000 jobs wait already (queue_full)\n");
    const Ran misspelt = run_at(server, {"submit", "reports", "reports.tasks.bild"});
    CHECK(misspelt.code == exit_failed);
    CHECK_THAT(misspelt.err, ContainsSubstring("did you mean reports.tasks.build?"));
    const Ran no_pool = run_at(server, {"scale", "mail", "2"});
    CHECK(no_pool.code == exit_failed);
    CHECK_THAT(no_pool.err, ContainsSubstring("there is reports"));
}

TEST_CASE("a reload that is refused exits by what has to be done", "[commands]") {
    const auto [error, code] = GENERATE(
        table<ApiError, int>({{{422, "bad_config", "w.toml:3:1: error: unknown key"}, exit_config},
                              {{409, "busy", "still stopping"}, exit_refused},
                              {{503, "stopping", "the supervisor is stopping"}, exit_refused},
                              {{409, "needs_restart", "listen"}, exit_failed}}));
    ControlServer server;
    server.api.reload_error = error;
    server.start();
    const Ran ran = run_at(server, {"reload"});
    CHECK(ran.code == code);
    CHECK(ran.err == "supervise: " + error.message + " (" + error.code + ")\n");
}

TEST_CASE("each change is asked for and told", "[commands]") {
    ControlServer server;
    server.start();
    CHECK(run_at(server, {"recycle", "reports"}).out ==
          "2 worker(s) of reports will be replaced\n");
    CHECK(run_at(server, {"recycle", "reports/2"}).code == exit_done);
    CHECK(run_at(server, {"recycle", "reports", "--template"}).out ==
          "pool reports: generation 4 is being imported; supervise status shows when it serves\n");
    CHECK(run_at(server, {"recycle", "reports", "--front"}).out ==
          "front 3 of reports will take over; supervise status shows when it is ready\n");
    CHECK(run_at(server, {"scale", "reports", "6"}).code == exit_done);
    CHECK(run_at(server, {"pause", "reports"}).code == exit_done);
    CHECK(run_at(server, {"resume", "reports"}).code == exit_done);
    CHECK(run_at(server, {"reload"}).out == "pool reports: recycle.max_tasks 1000 -> 500\n");
    CHECK(run_at(server, {"stop"}).code == exit_done);
    CHECK(server.api.calls() ==
          std::vector<std::string>{"recycle reports", "recycle reports/2", "renew_template reports",
                                   "recycle_front reports", "scale reports 6", "pause reports",
                                   "resume reports", "reload", "stop"});
}

TEST_CASE("a template that is not there cannot be recycled", "[commands]") {
    ControlServer server;
    server.api.has_template = false;
    server.start();
    const Ran ran = run_at(server, {"recycle", "reports", "--template"});
    CHECK(ran.code == exit_failed);
    CHECK(ran.out.empty());
    CHECK(ran.err == "supervise: pool reports has no template (no_template)\n");
}

TEST_CASE("why tells a job's story and exits with 1 where there is none", "[commands]") {
    ControlServer server;
    server.start();
    const Ran job = run_at(server, {"why", "812"});
    CHECK(job.code == exit_done);
    CHECK_THAT(job.out, ContainsSubstring("wait status  killed by 9"));
    CHECK_THAT(run_at(server, {"why", "reports/2"}).out, ContainsSubstring("worker reports/2"));
    CHECK(run_at(server, {"why", "813"}).code == exit_failed);
    CHECK(run_at(server, {"why", "mail/1"}).code == exit_failed);
}

TEST_CASE("doctor asks the running supervisor", "[commands]") {
    ControlServer server;
    server.start();
    CHECK_THAT(run_at(server, {"doctor"}).out, ContainsSubstring("tier B"));
}

TEST_CASE("without a supervisor every command says where it looked and how to start one",
          "[commands]") {
    const TempDir dir;
    const auto words = GENERATE(
        std::vector<std::string>{"status"}, std::vector<std::string>{"status", "--watch"},
        std::vector<std::string>{"doctor"}, std::vector<std::string>{"submit", "p", "a.b"},
        std::vector<std::string>{"submit", "p", "a.b", "--wait"},
        std::vector<std::string>{"recycle", "p"}, std::vector<std::string>{"scale", "p", "1"},
        std::vector<std::string>{"pause", "p"}, std::vector<std::string>{"resume", "p"},
        std::vector<std::string>{"reload"}, std::vector<std::string>{"stop"},
        std::vector<std::string>{"stop", "--wait"}, std::vector<std::string>{"why", "1"});
    std::vector<std::string> all = {"--runtime-dir", dir.path()};
    all.insert(all.end(), words.begin(), words.end());
    const Ran ran = run(all);
    CHECK(ran.code == exit_no_supervisor);
    CHECK(ran.out.empty());
    CHECK_THAT(ran.err, ContainsSubstring(dir.path() + "/control.sock"));
    CHECK_THAT(ran.err, ContainsSubstring("supervise --config FILE"));
}

TEST_CASE("the runtime directory may come from the environment or the config file", "[commands]") {
    ControlServer server;
    server.start();
    {
        const WithVariable given("SUPERVISE_RUNTIME_DIR", server.runtime_dir());
        CHECK(run({"status"}).code == exit_done);
    }
    const WithVariable elsewhere("SUPERVISE_RUNTIME_DIR", "/nowhere");
    CHECK(run({"status"}).code == exit_no_supervisor);
    const TempDir dir;
    const std::string config = dir.path() + "/w.toml";
    std::ofstream(config) << "[supervisor]\nruntime_dir = \"" << server.runtime_dir()
                          << "\"\n[pool.p]\napp = \"suite\"\npython = \"/bin/sh\"\n";
    CHECK(run({"status", "--config", config}).code == exit_done);
    CHECK(run({"status", "--config", config, "--runtime-dir", "/nowhere"}).code ==
          exit_no_supervisor);
}

TEST_CASE("check prints effective values, or all errors", "[commands]") {
    const TempDir dir;
    const std::string config = dir.path() + "/w.toml";
    std::ofstream(config) << "[pool.p]\napp = \"suite\"\npython = \"/bin/sh\"\n";
    const Ran good = run({"check", config});
    CHECK(good.code == exit_done);
    CHECK_THAT(good.out, ContainsSubstring("[pool.p]"));
    std::ofstream(config) << "[pool.p]\napp = 5\nwokers = 2\n";
    const Ran bad = run({"check", "--config", config});
    CHECK(bad.code == exit_config);
    CHECK(bad.out.empty());
    CHECK_THAT(bad.err, ContainsSubstring(config + ":2:"));
    CHECK_THAT(bad.err, ContainsSubstring(config + ":3:1: error: "));
    CHECK(run({"status", "--config", config}).code == exit_config);
    CHECK(run({"check", dir.path() + "/none.toml"}).code == exit_config);
}
