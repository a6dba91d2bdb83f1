#pragma once

#include <functional>
#include <initializer_list>
#include <string>
#include <string_view>

namespace supervise {

enum class LogLevel { debug, info, warning, error, off };

/// One key and its value in a log line. Keys are fixed in docs/OPERATING.md.
struct LogField {
    LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
    LogField(std::string_view k, const char* v) : key(k), value(v) {}
    LogField(std::string_view k, const std::string& v) : key(k), value(v) {}
    LogField(std::string_view k, long long v) : key(k), value(std::to_string(v)), number(true) {}
    LogField(std::string_view k, unsigned long long v)
        : key(k), value(std::to_string(v)), number(true) {}
    LogField(std::string_view k, int v) : LogField(k, static_cast<long long>(v)) {}
    LogField(std::string_view k, long v) : LogField(k, static_cast<long long>(v)) {}
    LogField(std::string_view k, unsigned v) : LogField(k, static_cast<unsigned long long>(v)) {}
    LogField(std::string_view k, unsigned long v)
        : LogField(k, static_cast<unsigned long long>(v)) {}

    std::string_view key;
    std::string value;
    bool number = false;
};

/// One line per state change: the event first ("worker.recycled"), then fields. Embedders give a
/// function of their own; the daemon's writes through spdlog (base/log.hpp).
class Logger {
  public:
    using Sink = std::function<void(LogLevel, std::string_view event, const LogField* fields,
                                    std::size_t count)>;

    Logger() = default;
    explicit Logger(Sink sink, LogLevel level = LogLevel::info)
        : sink_(std::move(sink)), level_(level) {}

    bool enabled(LogLevel level) const { return sink_ && level >= level_; }
    void set_level(LogLevel level) { level_ = level; }

    void log(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) const {
        if (enabled(level)) {
            sink_(level, event, fields.begin(), fields.size());
        }
    }
    void debug(std::string_view event, std::initializer_list<LogField> fields = {}) const {
        log(LogLevel::debug, event, fields);
    }
    void info(std::string_view event, std::initializer_list<LogField> fields = {}) const {
        log(LogLevel::info, event, fields);
    }
    void warning(std::string_view event, std::initializer_list<LogField> fields = {}) const {
        log(LogLevel::warning, event, fields);
    }
    void error(std::string_view event, std::initializer_list<LogField> fields = {}) const {
        log(LogLevel::error, event, fields);
    }

  private:
    Sink sink_;
    LogLevel level_ = LogLevel::info;
};

}  // namespace supervise
