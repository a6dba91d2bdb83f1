#pragma once

#include <optional>
#include <string_view>

namespace supervise {

/// DESIGN section 5: spawning → starting → idle ⇄ busy → retiring → gone.
enum class WorkerState { spawning, starting, idle, busy, retiring, gone };

enum class WorkerEvent {
    launched,  ///< exec succeeded
    ready,     ///< the application is imported, tasks are known
    job_sent,
    job_ended,
    retire_asked,  ///< it was told to finish, or is being killed
    exited,        ///< reaped, or never launched
};

/// The state that follows, or nothing when the event makes no sense there (a broken peer or a bug
/// of ours).
constexpr std::optional<WorkerState> next_state(WorkerState state, WorkerEvent event) {
    using S = WorkerState;
    using E = WorkerEvent;
    if (state == S::gone) {
        return std::nullopt;
    }
    switch (event) {
        case E::launched:
            return state == S::spawning ? std::optional(S::starting) : std::nullopt;
        case E::ready:
            return state == S::starting ? std::optional(S::idle) : std::nullopt;
        case E::job_sent:
            return state == S::idle ? std::optional(S::busy) : std::nullopt;
        case E::job_ended:
            // A worker that is being killed may still answer for its last job.
            return state == S::busy       ? std::optional(S::idle)
                   : state == S::retiring ? std::optional(S::retiring)
                                          : std::nullopt;
        case E::retire_asked:
            return S::retiring;
        case E::exited:
            return S::gone;
    }
    return std::nullopt;
}

constexpr std::string_view name_of(WorkerState state) {
    constexpr std::string_view names[] = {"spawning", "starting", "idle",
                                          "busy",     "retiring", "gone"};
    return names[static_cast<int>(state)];
}

}  // namespace supervise
