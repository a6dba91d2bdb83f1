#pragma once

#include "cli.hpp"
#include "command_line.hpp"

namespace supervise::cli {

/// Does one command (all but run) and returns the exit code.
int run_command(const CommandLine& line, const Streams& streams);

}  // namespace supervise::cli
