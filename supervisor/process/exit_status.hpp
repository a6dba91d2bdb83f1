#pragma once

#include <string>

namespace supervise {

/// How a process ended; `exit(9)` and SIGKILL are different things.
struct ExitStatus {
    enum class Kind { exited, signaled } kind = Kind::exited;
    int value = 0;  ///< exit code 0..255, or signal number
    bool core = false;

    bool clean() const { return kind == Kind::exited && value == 0; }
    bool operator==(const ExitStatus&) const = default;
};

/// "exit code 3", "signal 9 (SIGKILL)", "signal 11 (SIGSEGV), core dumped".
std::string to_string(const ExitStatus& status);

}  // namespace supervise
