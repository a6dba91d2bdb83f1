#include "log.hpp"

#include <fcntl.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <memory>
#include <mutex>
#include <vector>

#include "unique_fd.hpp"

namespace supervise {
namespace {

spdlog::level::level_enum spdlog_level(LogLevel level) {
    switch (level) {
        case LogLevel::debug:
            return spdlog::level::debug;
        case LogLevel::info:
            return spdlog::level::info;
        case LogLevel::warning:
            return spdlog::level::warn;
        case LogLevel::error:
        case LogLevel::off:
            break;
    }
    return spdlog::level::err;
}

/// A file sink that logrotate may pull the file from under. One line is one write(2): with
/// O_APPEND, lines of several programs in one file stay whole.
class ReopeningFileSink final : public spdlog::sinks::base_sink<std::mutex> {
  public:
    explicit ReopeningFileSink(std::string path) : path_(std::move(path)) {
        if (const Result<void> opened = open(); !opened) {
            throw ErrorException(opened.error());
        }
    }

    /// A log that was open stays in use where it fails: a vanished folder must not end the daemon.
    Result<void> reopen() {
        const std::lock_guard lock(mutex_);
        return open();
    }

  private:
    Result<void> open() {
        UniqueFd fd(::open(path_.c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY,
                           S_IRUSR | S_IWUSR | S_IRGRP));
        if (!fd) {
            return errno_error("open log file", path_);
        }
        fd_ = std::move(fd);
        return {};
    }

    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        for (std::size_t at = 0; at < line.size();) {
            const ssize_t done = ::write(fd_.get(), line.data() + at, line.size() - at);
            if (done < 0 && errno == EINTR) {
                continue;
            }
            if (done <= 0) {
                report_failure();
                return;
            }
            at += static_cast<std::size_t>(done);
        }
        failing_ = false;
    }
    void flush_() override {}

    /// Once, not for every line while a disk is full.
    void report_failure() {
        if (!std::exchange(failing_, true)) {
            std::fprintf(stderr, "supervise: write log file %s: %s; lines are being lost\n",
                         path_.c_str(), std::strerror(errno));
        }
    }

    std::string path_;
    UniqueFd fd_;
    bool failing_ = false;
};

/// Those in use by some Logger; only the main thread opens and reopens.
std::vector<std::weak_ptr<ReopeningFileSink>>& file_sinks() {
    static std::vector<std::weak_ptr<ReopeningFileSink>> sinks;
    return sinks;
}

Logger make_logger(const spdlog::sink_ptr& sink, LogLevel level, LogFormat format) {
    auto out = std::make_shared<spdlog::logger>("supervise", sink);
    out->set_level(spdlog::level::trace);  // Logger has filtered already
    out->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v"));
    return Logger(
        [out, format](LogLevel at, std::string_view event, const LogField* fields,
                      std::size_t count) {
            const std::string line = format == LogFormat::json
                                         ? format_json(at, event, fields, count)
                                         : text_line(at, event, fields, count);
            out->log(spdlog_level(at), spdlog::string_view_t(line.data(), line.size()));
        },
        level);
}

}  // namespace

Logger make_stderr_logger(LogLevel level, LogFormat format) {
    if (format == LogFormat::journald) {
        return make_journal_logger(level);
    }
    return make_logger(std::make_shared<spdlog::sinks::stderr_sink_mt>(), level, format);
}

Logger make_file_logger(const std::string& path, LogLevel level, LogFormat format) {
    if (format == LogFormat::journald) {
        throw ErrorException(errno_error("write journal entries to the file", path, EINVAL));
    }
    auto sink = std::make_shared<ReopeningFileSink>(path);
    std::erase_if(file_sinks(), [](const auto& old) { return old.expired(); });
    file_sinks().push_back(sink);
    return make_logger(sink, level, format);
}

Result<void> reopen_log_files() {
    Result<void> outcome;
    for (const std::weak_ptr<ReopeningFileSink>& file : file_sinks()) {
        if (const auto sink = file.lock()) {
            if (const Result<void> opened = sink->reopen(); !opened) {
                outcome = opened;
            }
        }
    }
    return outcome;
}

}  // namespace supervise
