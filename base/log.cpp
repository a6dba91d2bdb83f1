#include "log.hpp"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/base_sink.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <cstdio>
#include <ctime>
#include <memory>
#include <mutex>

#include "supervise/error.hpp"

namespace supervise {
namespace {

std::string_view level_name(LogLevel level) {
    switch (level) {
        case LogLevel::debug:
            return "debug";
        case LogLevel::info:
            return "info";
        case LogLevel::warning:
            return "warning";
        case LogLevel::error:
        case LogLevel::off:
            break;
    }
    return "error";
}

spdlog::level::level_enum spdlog_level(LogLevel level) {
    switch (level) {
        case LogLevel::debug:
            return spdlog::level::debug;
        case LogLevel::info:
            return spdlog::level::info;
        case LogLevel::warning:
            return spdlog::level::warn;
        case LogLevel::error:
            return spdlog::level::err;
        case LogLevel::off:
            break;
    }
    return spdlog::level::off;
}

/// `text` within JSON quotes; bytes that are not UTF-8 become U+FFFD, so that the line stays JSON.
void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    for (std::size_t i = 0; i < text.size();) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if (byte == '"' || byte == '\\') {
            out += '\\';
            out += text[i++];
        } else if (byte < 0x20 || byte == 0x7f) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", byte);
            out += escape;
            ++i;
        } else if (byte < 0x80) {
            out += text[i++];
        } else {
            const std::size_t size = byte >= 0xf0 && byte < 0xf5   ? 4
                                     : byte >= 0xe0 && byte < 0xf0 ? 3
                                     : byte >= 0xc2 && byte < 0xe0 ? 2
                                                                   : 0;
            bool whole = size != 0 && i + size <= text.size();
            for (std::size_t k = 1; whole && k < size; ++k) {
                whole = (static_cast<unsigned char>(text[i + k]) & 0xc0) == 0x80;
            }
            if (whole) {
                out += text.substr(i, size);
                i += size;
            } else {
                out += "\\ufffd";
                ++i;
            }
        }
    }
    out += '"';
}

bool needs_quotes(std::string_view text) {
    if (text.empty()) {
        return true;
    }
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte <= ' ' || byte == '"' || byte == '=' || byte == '\\' || byte == 0x7f) {
            return true;
        }
    }
    return false;
}

std::string utc_time() {
    timespec now{};
    ::clock_gettime(CLOCK_REALTIME, &now);
    tm parts{};
    ::gmtime_r(&now.tv_sec, &parts);
    char text[40];
    const std::size_t used = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
    std::snprintf(text + used, sizeof text - used, ".%03ldZ", now.tv_nsec / 1'000'000);
    return text;
}

/// A file sink that logrotate may pull the file from under.
class ReopeningFileSink final : public spdlog::sinks::base_sink<std::mutex> {
  public:
    explicit ReopeningFileSink(std::string path) : path_(std::move(path)) { open(); }
    ~ReopeningFileSink() override {
        if (file_ != nullptr) {
            std::fclose(file_);
        }
    }
    ReopeningFileSink(const ReopeningFileSink&) = delete;
    ReopeningFileSink& operator=(const ReopeningFileSink&) = delete;

    void reopen() {
        const std::lock_guard lock(mutex_);
        open();
    }

  private:
    void open() {
        std::FILE* file = std::fopen(path_.c_str(), "ae");  // e: close on exec
        if (file == nullptr) {
            // A log that was open stays in use: a full or vanished folder must not end the daemon.
            if (file_ == nullptr) {
                throw ErrorException(errno_error("open log file", path_));
            }
            return;
        }
        if (file_ != nullptr) {
            std::fclose(file_);
        }
        file_ = file;
    }
    void sink_it_(const spdlog::details::log_msg& message) override {
        spdlog::memory_buf_t line;
        formatter_->format(message, line);
        std::fwrite(line.data(), 1, line.size(), file_);
        std::fflush(file_);
    }
    void flush_() override { std::fflush(file_); }

    std::string path_;
    std::FILE* file_ = nullptr;
};

std::shared_ptr<ReopeningFileSink>& open_file_sink() {
    static std::shared_ptr<ReopeningFileSink> sink;
    return sink;
}

Logger make_logger(const spdlog::sink_ptr& sink, LogLevel level, LogFormat format) {
    auto out = std::make_shared<spdlog::logger>("supervise", sink);
    out->set_level(spdlog::level::trace);  // Logger has filtered already
    out->set_formatter(std::make_unique<spdlog::pattern_formatter>("%v"));
    return Logger(
        [out, format](LogLevel at, std::string_view event, const LogField* fields,
                      std::size_t count) {
            const std::string line =
                format == LogFormat::json
                    ? format_json(at, event, fields, count)
                    : utc_time() + ' ' + std::string(level_name(at)) + ' ' +
                          format_text(event, fields, count);
            out->log(spdlog_level(at), spdlog::string_view_t(line.data(), line.size()));
        },
        level);
}

}  // namespace

std::string format_text(std::string_view event, const LogField* fields, std::size_t count) {
    std::string line(event);
    for (std::size_t i = 0; i < count; ++i) {
        line += ' ';
        line += fields[i].key;
        line += '=';
        if (needs_quotes(fields[i].value)) {
            append_json_string(line, fields[i].value);
        } else {
            line += fields[i].value;
        }
    }
    return line;
}

std::string format_json(LogLevel level, std::string_view event, const LogField* fields,
                        std::size_t count) {
    std::string line = "{\"time\":\"" + utc_time() + "\",\"level\":\"";
    line += level_name(level);
    line += "\",\"event\":";
    append_json_string(line, event);
    for (std::size_t i = 0; i < count; ++i) {
        line += ',';
        append_json_string(line, fields[i].key);
        line += ':';
        if (fields[i].number) {
            line += fields[i].value;
        } else {
            append_json_string(line, fields[i].value);
        }
    }
    line += '}';
    return line;
}

Logger make_stderr_logger(LogLevel level, LogFormat format) {
    return make_logger(std::make_shared<spdlog::sinks::stderr_sink_mt>(), level, format);
}

Logger make_file_logger(const std::string& path, LogLevel level, LogFormat format) {
    open_file_sink() = std::make_shared<ReopeningFileSink>(path);
    return make_logger(open_file_sink(), level, format);
}

void reopen_log_files() {
    if (open_file_sink()) {
        open_file_sink()->reopen();
    }
}

}  // namespace supervise
