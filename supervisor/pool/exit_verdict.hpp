#pragma once

#include <optional>
#include <string>

#include "process/cgroup.hpp"
#include "process/exit_status.hpp"
#include "supervise/job.hpp"

namespace supervise {

/// What the supervisor itself did to end a worker, and why.
struct OwnAct {
    Cause cause = Cause::unknown;
    std::string detail;
};

/// All that is known of a worker's end.
struct ExitEvidence {
    std::optional<OwnAct> own_act;            ///< set when we killed it
    std::optional<ExitStatus> status;         ///< nothing: it was never launched
    std::optional<MemoryEvents> events;       ///< of its leaf; nothing on tiers C and D
    std::optional<std::uint64_t> memory_max;  ///< the leaf's limit, bytes
    std::string start_failure;                ///< START_FAILED, or the launch step that failed
};

struct ExitVerdict {
    Cause cause = Cause::unknown;
    std::string detail;  ///< one sentence that names the evidence
};

/// Reads the cause from the evidence, never guesses; pure.
ExitVerdict judge_exit(const ExitEvidence& evidence);

/// "512 MiB", "1.5 GiB", for people.
std::string bytes_text(std::uint64_t bytes);

}  // namespace supervise
