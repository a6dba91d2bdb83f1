#include "exit_status.hpp"

#include <string.h>

namespace supervise {

std::string to_string(const ExitStatus& status) {
    if (status.kind == ExitStatus::Kind::exited) {
        return "exit code " + std::to_string(status.value);
    }
    std::string text = "signal " + std::to_string(status.value);
    if (const char* name = ::sigabbrev_np(status.value)) {
        text += std::string(" (SIG") + name + ')';
    }
    return status.core ? text + ", core dumped" : text;
}

}  // namespace supervise
