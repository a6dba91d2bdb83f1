#pragma once

#include <optional>
#include <string>

namespace supervise {

/// `supervise --config F`: loads the file, owns the loop and the signals, runs the supervisor until
/// it has stopped. Returns the exit code: 0 stopped as asked, 1 failed, 75 another one runs here,
/// 78 the config. SIGTERM and SIGINT drain, a second one ends the grace, SIGHUP reloads, SIGUSR1
/// reopens the log file and logs the state. The end of `lifeline` (a descriptor of a pipe whose
/// other end whoever started us holds) kills all workers at once, as PR_SET_PDEATHSIG would.
int run_daemon(const std::string& config_path, std::optional<int> lifeline = std::nullopt);

}  // namespace supervise
