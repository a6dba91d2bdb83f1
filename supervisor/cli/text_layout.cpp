#include "text_layout.hpp"

#include <array>
#include <cstdio>

#include "base/utf8.hpp"

namespace supervise::cli {

namespace {

std::string joined(std::string_view label, const std::vector<std::string>& items,
                   std::string_view between, std::size_t columns) {
    std::string text(label);
    const std::size_t indent = width(label);
    std::size_t used = indent;
    for (std::size_t i = 0; i < items.size(); ++i) {
        const std::string item = items[i] + (i + 1 < items.size() ? std::string(between) : "");
        if (i > 0 && used + 1 + width(item) > columns) {
            text += '\n' + std::string(indent, ' ');
            used = indent;
        } else if (i > 0) {
            text += ' ';
            ++used;
        }
        text += item;
        used += width(item);
    }
    return text + '\n';
}

/// The end of `text`, of `columns` characters, with ".." for what is missing.
std::string cut(std::string_view text, std::size_t columns) {
    std::string whole = printable(text);
    std::size_t extra = width(whole);
    if (extra <= columns) {
        return whole;
    }
    extra -= columns > 2 ? columns - 2 : columns;
    std::size_t at = 0;
    for (; extra > 0; --extra) {
        at += utf8_character(whole, at);
    }
    return (columns > 2 ? ".." : "") + whole.substr(at);
}

}  // namespace

std::string printable(std::string_view text) {
    std::string clean;
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t size = utf8_character(text, at);
        const auto byte = static_cast<unsigned char>(text[at]);
        const bool c1 =
            size == 2 && byte == 0xc2 && static_cast<unsigned char>(text[at + 1]) < 0xa0;
        if (size == 0 || byte < 0x20 || byte == 0x7f || c1) {
            clean += '?';
        } else {
            clean += text.substr(at, size);
        }
        at += size == 0 ? 1 : size;
    }
    return clean;
}

std::size_t width(std::string_view text) {
    std::size_t count = 0;
    for (const char byte : text) {
        count += (static_cast<unsigned char>(byte) & 0xc0) != 0x80 ? 1 : 0;
    }
    return count;
}

std::string left(std::string_view text, std::size_t columns) {
    const std::string shown = cut(text, columns);
    return shown + std::string(columns - width(shown), ' ');
}

std::string right(std::string_view text, std::size_t columns) {
    const std::string shown = cut(text, columns);
    return std::string(columns - width(shown), ' ') + shown;
}

std::string listing(std::string_view label, const std::vector<std::string>& items,
                    std::size_t columns) {
    return joined(label, items, ",", columns);
}

std::string paragraph(std::string_view label, std::string_view words, std::size_t columns) {
    std::vector<std::string> items;
    const std::string text = printable(words);
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t end = std::min(text.find(' ', at), text.size());
        if (end > at) {
            items.push_back(text.substr(at, end - at));
        }
        at = end + 1;
    }
    return joined(label, items, "", columns);
}

std::string human_bytes(std::uint64_t bytes) {
    constexpr std::array units = {"", "K", "M", "G", "T"};
    std::size_t unit = 0;
    auto number = static_cast<double>(bytes);
    while (number >= 999.5 && unit + 1 < units.size()) {
        number /= 1024;
        ++unit;
    }
    char text[32];
    std::snprintf(text, sizeof text, unit > 0 && number < 9.95 ? "%.1f%s" : "%.0f%s", number,
                  units[unit]);
    return text;
}

std::string human_age(double seconds) {
    const auto whole = seconds > 0 ? static_cast<std::uint64_t>(seconds) : 0;
    const auto two = [](std::uint64_t large, const char* unit, std::uint64_t small,
                        const char* lesser) {
        return std::to_string(large) + unit + (small < 10 ? "0" : "") + std::to_string(small) +
               lesser;
    };
    if (whole < 60) {
        return std::to_string(whole) + 's';
    }
    if (whole < 3'600) {
        return two(whole / 60, "m", whole % 60, "s");
    }
    if (whole < 86'400) {
        return two(whole / 3'600, "h", whole / 60 % 60, "m");
    }
    return two(whole / 86'400, "d", whole / 3'600 % 24, "h");
}

std::string human_seconds(double seconds) {
    char text[32];
    if (seconds < 1) {
        std::snprintf(text, sizeof text, "%.1f ms", seconds * 1e3);
    } else {
        std::snprintf(text, sizeof text, "%.2f s", seconds);
    }
    return text;
}

}  // namespace supervise::cli
