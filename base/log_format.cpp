#include <cstdint>
#include <cstdio>
#include <ctime>

#include "log.hpp"
#include "utf8.hpp"

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

/// syslog(3)'s numbers.
char journal_priority(LogLevel level) {
    switch (level) {
        case LogLevel::debug:
            return '7';
        case LogLevel::info:
            return '6';
        case LogLevel::warning:
            return '4';
        case LogLevel::error:
        case LogLevel::off:
            break;
    }
    return '3';
}

bool is_control(char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }

/// `text` within JSON quotes; bytes that are not UTF-8 become U+FFFD, so that the line stays JSON.
void append_json_string(std::string& out, std::string_view text) {
    out += '"';
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t size = utf8_character(text, i);
        if (size == 0) {
            out += "\\ufffd";
            ++i;
        } else if (text[i] == '"' || text[i] == '\\') {
            out += '\\';
            out += text[i++];
        } else if (is_control(text[i])) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(text[i++]));
            out += escape;
        } else {
            out += text.substr(i, size);
            i += size;
        }
    }
    out += '"';
}

/// Whatever could be taken for another field or another line, or harm a terminal.
bool needs_quotes(std::string_view text) {
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t size = utf8_character(text, i);
        const char c = text[i];
        // U+0080 to U+009F are control characters too.
        const bool high_control =
            size == 2 && c == '\xc2' && static_cast<unsigned char>(text[i + 1]) < 0xa0;
        if (size == 0 || is_control(c) || high_control || c == ' ' || c == '"' || c == '=' ||
            c == '\\') {
            return true;
        }
        i += size;
    }
    return text.empty();
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

/// "KEY=value\n" or, since a line break would end the field, the form with the length before it.
void append_journal_field(std::string& out, std::string_view name, std::string_view value) {
    out += name;
    if (value.find('\n') == std::string_view::npos) {
        out += '=';
    } else {
        out += '\n';
        std::uint64_t size = value.size();
        for (int i = 0; i < 8; ++i) {  // little-endian, whatever we run on
            out += static_cast<char>(size & 0xff);
            size >>= 8;
        }
    }
    out += value;
    out += '\n';
}

/// A name that the journal takes: A-Z, 0-9 and _, at most 64 bytes.
std::string journal_name(std::string_view key) {
    std::string name = "SUPERVISE_";
    for (const char c : key) {
        const bool small = c >= 'a' && c <= 'z';
        const bool fits = (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        name += small ? static_cast<char>(c - 'a' + 'A') : fits ? c : '_';
    }
    name.resize(name.size() < 64 ? name.size() : 64);
    return name;
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

std::string text_line(LogLevel level, std::string_view event, const LogField* fields,
                      std::size_t count) {
    return utc_time() + ' ' + std::string(level_name(level)) + ' ' +
           format_text(event, fields, count);
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

std::string format_journal(LogLevel level, std::string_view event, const LogField* fields,
                           std::size_t count) {
    std::string datagram;
    append_journal_field(datagram, "MESSAGE", format_text(event, fields, count));
    append_journal_field(datagram, "PRIORITY", std::string(1, journal_priority(level)));
    append_journal_field(datagram, "SYSLOG_IDENTIFIER", "supervise");
    append_journal_field(datagram, "SUPERVISE_EVENT", event);
    for (std::size_t i = 0; i < count; ++i) {
        append_journal_field(datagram, journal_name(fields[i].key), fields[i].value);
    }
    return datagram;
}

}  // namespace supervise
