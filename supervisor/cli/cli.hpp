#pragma once

#include <functional>
#include <iosfwd>
#include <optional>
#include <string>

namespace supervise::cli {

/// How every command exits; docs/OPERATING.md says so to others.
enum ExitCode : int {
    exit_done = 0,
    exit_failed = 1,
    exit_usage = 64,          ///< EX_USAGE: the command line is wrong
    exit_no_supervisor = 69,  ///< EX_UNAVAILABLE: nobody listens on the control socket
    exit_refused = 75,        ///< EX_TEMPFAIL: refused for now, nothing was done; try again
    exit_config = 78,         ///< EX_CONFIG
};

/// Where a command writes. `screen`: `out` is a terminal that can be drawn over.
struct Streams {
    std::ostream& out;
    std::ostream& err;
    bool screen = false;
    unsigned columns = 80;
};

/// Runs the supervisor with a config file until it, or the lifeline, ends; returns the exit code.
using Serve = std::function<int(const std::string& config_path, std::optional<int> lifeline)>;

/// The whole program but for the daemon itself, which `serve` is.
int run_cli(int argc, const char* const* argv, const Serve& serve);
int run_cli(int argc, const char* const* argv, const Serve& serve, const Streams& streams);

}  // namespace supervise::cli
