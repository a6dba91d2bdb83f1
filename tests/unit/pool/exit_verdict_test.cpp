#include "pool/exit_verdict.hpp"

#include <csignal>

#include "tests/support/catch.hpp"

using namespace supervise;
using supervise::test::ContainsSubstring;

namespace {

ExitEvidence exited(int code) {
    ExitEvidence evidence;
    evidence.status = ExitStatus{ExitStatus::Kind::exited, code, false};
    return evidence;
}

ExitEvidence signaled(int number, bool core = false) {
    ExitEvidence evidence;
    evidence.status = ExitStatus{ExitStatus::Kind::signaled, number, core};
    return evidence;
}

}  // namespace

TEST_CASE("what we did ourselves is the cause, whatever the status says", "[pool][verdict]") {
    ExitEvidence evidence = signaled(SIGKILL);
    evidence.events = MemoryEvents{1, 1, 0};
    evidence.start_failure = "start failed: ImportError: no module";
    evidence.own_act = OwnAct{Cause::time_limit, "over its time limit of 60 ms"};
    const ExitVerdict verdict = judge_exit(evidence);
    CHECK(verdict.cause == Cause::time_limit);
    CHECK(verdict.detail == "over its time limit of 60 ms");
}

TEST_CASE("a worker that said why it could not start is believed", "[pool][verdict]") {
    ExitEvidence evidence = exited(1);
    evidence.start_failure = "start failed: ImportError: no module";
    CHECK(judge_exit(evidence).cause == Cause::exit);
    CHECK(judge_exit(evidence).detail == "start failed: ImportError: no module");
    evidence.status.reset();  // never launched: the failed step stands there
    evidence.start_failure = "exec /nowhere/python: No such file or directory";
    CHECK(judge_exit(evidence).cause == Cause::exit);
    CHECK(judge_exit(evidence).detail == "exec /nowhere/python: No such file or directory");
}

TEST_CASE("without any evidence the cause is unknown, and says so", "[pool][verdict]") {
    const ExitVerdict verdict = judge_exit({});
    CHECK(verdict.cause == Cause::unknown);
    CHECK(verdict.detail == "no exit status could be read");
}

TEST_CASE("an exit code is an exit, even 9 and even with an OOM kill in the leaf",
          "[pool][verdict]") {
    CHECK(judge_exit(exited(3)).cause == Cause::exit);
    CHECK(judge_exit(exited(3)).detail == "exit code 3");
    ExitEvidence evidence = exited(9);
    evidence.events = MemoryEvents{1, 1, 0};  // of a descendant, say
    CHECK(judge_exit(evidence).cause == Cause::exit);
}

TEST_CASE("SIGKILL with an OOM kill in the worker's leaf is its own limit", "[pool][verdict]") {
    ExitEvidence evidence = signaled(SIGKILL);
    evidence.events = MemoryEvents{2, 7, 0};
    evidence.memory_max = 512ULL << 20;
    CHECK(judge_exit(evidence).cause == Cause::oom_worker);
    CHECK_THAT(judge_exit(evidence).detail, ContainsSubstring("its limit of 512 MiB (oom_kill 2)"));
}

TEST_CASE("SIGKILL with an OOM kill that no limit of the worker explains came from above",
          "[pool][verdict]") {
    ExitEvidence evidence = signaled(SIGKILL);
    evidence.events = MemoryEvents{1, 7, 0};
    CHECK(judge_exit(evidence).cause == Cause::oom_host);
    evidence.events = MemoryEvents{1, 0, 0};
    evidence.memory_max = 512ULL << 20;  // there is one, but it was not reached
    CHECK(judge_exit(evidence).cause == Cause::oom_host);
    CHECK_THAT(judge_exit(evidence).detail, ContainsSubstring("a group above the worker"));
}

TEST_CASE("SIGKILL without an OOM kill is somebody's signal", "[pool][verdict]") {
    ExitEvidence evidence = signaled(SIGKILL);
    evidence.events = MemoryEvents{0, 3, 0};
    const ExitVerdict verdict = judge_exit(evidence);
    CHECK(verdict.cause == Cause::signal);
    CHECK_THAT(verdict.detail, ContainsSubstring("signal 9 (SIGKILL)"));
    CHECK_THAT(verdict.detail, ContainsSubstring("(oom_kill 0)"));
}

TEST_CASE("SIGKILL where no cgroup can tell says that it cannot", "[pool][verdict]") {
    const ExitVerdict verdict = judge_exit(signaled(SIGKILL));
    CHECK(verdict.cause == Cause::signal);
    CHECK_THAT(verdict.detail, ContainsSubstring("an OOM kill cannot be told from it"));
}

TEST_CASE("another signal speaks for itself", "[pool][verdict]") {
    ExitEvidence evidence = signaled(SIGSEGV, true);
    evidence.events = MemoryEvents{1, 1, 0};
    CHECK(judge_exit(evidence).cause == Cause::signal);
    CHECK(judge_exit(evidence).detail == "signal 11 (SIGSEGV), core dumped");
}

TEST_CASE("sizes are told in the largest unit that leaves a number", "[pool][verdict]") {
    CHECK(bytes_text(0) == "0 B");
    CHECK(bytes_text(1023) == "1023 B");
    CHECK(bytes_text(1024) == "1.0 KiB");
    CHECK(bytes_text(1536ULL << 20) == "1.5 GiB");
    CHECK(bytes_text(512ULL << 20) == "512 MiB");
    CHECK(bytes_text(5000ULL << 40) == "5000 TiB");
}
