#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "ipc/ids.hpp"

namespace supervise::cli {

/// What was typed, checked. Fields that a command does not have keep their defaults.
struct CommandLine {
    enum class Command {
        run,
        check,
        status,
        doctor,
        submit,
        recycle,
        scale,
        pause,
        resume,
        reload,
        stop,
        why,
    };
    Command command = Command::run;
    std::string config;           ///< a file; empty when none was named
    std::optional<int> lifeline;  ///< run: a descriptor
    std::string runtime_dir;      ///< empty when none was named
    bool json = false;
    std::optional<double> watch;  ///< seconds between two looks
    std::string pool;
    std::string task;
    std::vector<ipc::Id> ids;
    unsigned priority = 0;
    bool wait = false;
    std::optional<double> timeout;  ///< seconds
    std::optional<unsigned> slot;
    bool renew_template = false;  ///< recycle; then without a slot
    bool front = false;           ///< as well
    unsigned workers = 0;
    std::uint64_t job = 0;  ///< why: when there is no pool
};

/// The command line asked for words only (help, version), or was wrong.
struct Said {
    int exit_code = 0;
    std::string text;
};

std::variant<CommandLine, Said> parse_command_line(int argc, const char* const* argv);

}  // namespace supervise::cli
