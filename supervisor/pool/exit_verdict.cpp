#include "exit_verdict.hpp"

#include <csignal>
#include <cstdio>

namespace supervise {

std::string bytes_text(std::uint64_t bytes) {
    constexpr const char* units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (value >= 1024 && unit < 4) {
        value /= 1024;
        ++unit;
    }
    char text[32];
    std::snprintf(text, sizeof text, value < 10 && unit > 0 ? "%.1f %s" : "%.0f %s", value,
                  units[unit]);
    return text;
}

ExitVerdict judge_exit(const ExitEvidence& evidence) {
    if (evidence.own_act) {
        return {evidence.own_act->cause, evidence.own_act->detail};
    }
    if (!evidence.start_failure.empty()) {
        return {Cause::exit, evidence.start_failure};
    }
    if (!evidence.status) {
        return {Cause::unknown, "no exit status could be read"};
    }
    const std::string status = to_string(*evidence.status);
    if (evidence.status->kind == ExitStatus::Kind::exited) {
        return {Cause::exit, status};
    }
    const bool killed = evidence.status->value == SIGKILL;
    if (killed && evidence.events && evidence.events->oom_kill > 0 &&
        !(evidence.memory_max && evidence.events->max > 0)) {
        return {Cause::oom_host,
                "killed by the kernel's OOM killer, not for the worker's own limit: the memory of "
                "the host, or of a group above the worker, ran out (oom_kill " +
                    std::to_string(evidence.events->oom_kill) + ")"};
    }
    if (killed && evidence.events && evidence.events->oom_kill > 0) {
        std::string detail = "killed by the kernel: the memory of the worker reached its limit";
        if (evidence.memory_max) {
            detail += " of " + bytes_text(*evidence.memory_max);
        }
        return {Cause::oom_worker,
                detail + " (oom_kill " + std::to_string(evidence.events->oom_kill) + ")"};
    }
    if (killed && evidence.events) {
        return {Cause::signal, status +
                                   ", sent neither by supervise nor for its own memory limit "
                                   "(oom_kill 0)"};
    }
    if (killed) {
        return {Cause::signal, status +
                                   ", not sent by supervise; without a cgroup of its own "
                                   "an OOM kill cannot be told from it"};
    }
    return {Cause::signal, status};
}

}  // namespace supervise
