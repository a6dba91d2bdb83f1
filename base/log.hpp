#pragma once

#include "supervise/logger.hpp"

namespace supervise {

enum class LogFormat { text, json };

/// A Logger that writes whole lines to stderr through spdlog, synchronously. Text lines are
/// "TIME LEVEL event key=value ..."; JSON lines are one object each.
Logger make_stderr_logger(LogLevel level, LogFormat format);

/// The same, appending to `path`; throws ErrorException when the file cannot be opened.
/// `reopen_log_files()` opens it anew, for logrotate.
Logger make_file_logger(const std::string& path, LogLevel level, LogFormat format);
void reopen_log_files();

/// One text line without time and level, for tests: `event key=value key="a b"`.
std::string format_text(std::string_view event, const LogField* fields, std::size_t count);
std::string format_json(LogLevel level, std::string_view event, const LogField* fields,
                        std::size_t count);

}  // namespace supervise
