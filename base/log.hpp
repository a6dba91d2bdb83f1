#pragma once

#include <string>
#include <string_view>

#include "supervise/error.hpp"
#include "supervise/logger.hpp"

namespace supervise {

enum class LogFormat { text, json, journald };

/// A Logger that writes whole lines to stderr through spdlog, synchronously. Text lines are
/// "TIME LEVEL event key=value ..."; JSON lines are one object each. `journald` means
/// make_journal_logger().
Logger make_stderr_logger(LogLevel level, LogFormat format);

/// The same, appending to `path`; throws ErrorException when the file cannot be opened, and for
/// `journald`, which has no files. `reopen_log_files()` opens every such file anew, for logrotate;
/// one that cannot be opened stays as it was, and is the error.
Logger make_file_logger(const std::string& path, LogLevel level, LogFormat format);
Result<void> reopen_log_files();

/// Native entries for systemd's journal: MESSAGE (the text line), PRIORITY, SYSLOG_IDENTIFIER,
/// SUPERVISE_EVENT and SUPERVISE_<KEY> for each field. While the socket cannot be reached, and for
/// an entry that is too long, text goes to stderr instead, after one warning; while the journal is
/// behind, entries are left out and counted rather than stalling the loop.
Logger make_journal_logger(LogLevel level,
                           const std::string& socket_path = "/run/systemd/journal/socket");

/// One text line without time and level: `event key=value key="a b"`.
std::string format_text(std::string_view event, const LogField* fields, std::size_t count);
std::string format_json(LogLevel level, std::string_view event, const LogField* fields,
                        std::size_t count);
/// One datagram for the journal.
std::string format_journal(LogLevel level, std::string_view event, const LogField* fields,
                           std::size_t count);

/// "2026-01-31T12:00:00.000Z info event key=value"
std::string text_line(LogLevel level, std::string_view event, const LogField* fields,
                      std::size_t count);

}  // namespace supervise
