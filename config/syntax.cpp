#include "config/syntax.hpp"

#include <algorithm>
#include <array>
#include <string>

#include "base/utf8.hpp"
#include "config/suggest.hpp"
#include "config/units.hpp"

namespace supervise::config {
namespace {

/// Deeper keys than any of ours. toml++ frees nested tables recursively, so that a line of dotted
/// keys without end would overflow the stack.
constexpr std::size_t deepest_key = 8;

bool is_key_letter(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '-';
}

bool starts_with(std::string_view text, std::string_view start) {
    return text.substr(0, start.size()) == start;
}

bool contains(std::string_view text, std::string_view part) {
    return text.find(part) != std::string_view::npos;
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view blank = " \t\r";
    const std::size_t first = text.find_first_not_of(blank);
    return first == std::string_view::npos
               ? std::string_view{}
               : text.substr(first, text.find_last_not_of(blank) - first + 1);
}

/// Size, NUL bytes, encoding.
bool check_bytes(std::string_view text, Diagnostics& diagnostics) {
    if (text.size() > largest_file) {
        diagnostics.error({}, "the file is larger than 1 MiB: a config of this size is not read");
        return false;
    }
    if (starts_with(text, "\xff\xfe") || starts_with(text, "\xfe\xff")) {
        diagnostics.error({}, "the file is UTF-16: save it as UTF-8");
        return false;
    }
    Position where;
    for (std::size_t i = 0; i < text.size();) {
        const std::size_t size = utf8_character(text, i);
        if (size == 0) {
            diagnostics.error(where, "this byte is not UTF-8: save the file as UTF-8");
            return false;
        }
        if (text[i] == '\0') {
            diagnostics.error(where, "there is a NUL byte here: remove it (is this a text file?)");
            return false;
        }
        if (text[i] == '\n') {
            ++where.line;
            where.column = 1;
        } else {
            ++where.column;
        }
        i += size;
    }
    return true;
}

/// Skips a quoted part that begins at `at` and ends on its line.
std::size_t after_quotes(std::string_view line, std::size_t at) {
    const char quote = line[at++];
    while (at < line.size() && line[at] != quote) {
        at += quote == '"' && line[at] == '\\' ? 2 : 1;
    }
    return std::min(at + 1, line.size());
}

/// Whether every a.b.c chain of keys in a line is short enough. What stands in quotes is one key.
bool shallow(std::string_view line) {
    std::size_t dots = 0;
    bool key_before = false;
    for (std::size_t i = 0; i < line.size();) {
        const char c = line[i];
        if (c == '"' || c == '\'') {
            i = after_quotes(line, i);
            key_before = true;
        } else if (is_key_letter(c)) {
            ++i;
            key_before = true;
        } else if (c == '.' && key_before) {
            ++i;
            key_before = false;
            if (++dots > deepest_key) {
                return false;
            }
        } else if (c == ' ' || c == '\t') {
            ++i;
        } else if (c == '#') {
            return true;
        } else {
            ++i;
            dots = 0;
            key_before = false;
        }
    }
    return true;
}

bool check_depth(std::string_view text, Diagnostics& diagnostics) {
    Position where;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        if (!shallow(text.substr(0, end))) {
            diagnostics.error(where, "more than " + std::to_string(deepest_key + 1) +
                                         " keys in a row are joined by dots here: no key of this "
                                         "file lies so deep");
            return false;
        }
        text.remove_prefix(std::min(end + 1, text.size()));
        ++where.line;
    }
    return true;
}

/// The line that the parser stopped in, and the word there.
struct Spot {
    std::string_view line;
    std::string_view word;
    bool in_value = false;  ///< behind a '=', or a line within a list
};

Spot spot_at(std::string_view text, Position where) {
    for (unsigned line = 1; line < where.line && !text.empty(); ++line) {
        text.remove_prefix(std::min(std::min(text.find('\n'), text.size()) + 1, text.size()));
    }
    Spot spot;
    spot.line = text.substr(0, text.find('\n'));
    std::size_t at = 0;
    for (unsigned column = 1; column < where.column && at < spot.line.size(); ++column) {
        at += std::max<std::size_t>(utf8_character(spot.line, at), 1);
    }
    at = std::min(at, spot.line.size());
    const auto ends_word = [](char c) {
        return std::string_view(" \t\r,=[]{}#\"'").find(c) != std::string_view::npos;
    };
    std::size_t first = at;
    while (first > 0 && !ends_word(spot.line[first - 1])) {
        --first;
    }
    std::size_t last = at;
    while (last < spot.line.size() && !ends_word(spot.line[last])) {
        ++last;
    }
    spot.word = spot.line.substr(first, last - first);
    const std::string_view before = trimmed(spot.line.substr(0, first));
    spot.in_value = !before.empty() && contains("=,[{", before.substr(before.size() - 1)) &&
                    !starts_with(trimmed(spot.line), "[");
    return spot;
}

/// A value without the quotes that it needs, or in another language's spelling.
std::string value_hint(std::string_view word) {
    constexpr std::array<std::string_view, 4> yes{"true", "yes", "on", "enabled"};
    constexpr std::array<std::string_view, 4> no{"false", "no", "off", "disabled"};
    const auto is = [&](std::string_view other) { return edit_distance(word, other) == 0; };
    if (std::any_of(yes.begin(), yes.end(), is)) {
        return "write true, in small letters and without quotes";
    }
    if (std::any_of(no.begin(), no.end(), is)) {
        return "write false, in small letters and without quotes";
    }
    if (is("none") || is("null") || is("nil")) {
        return "there is no such value: leave the whole line out";
    }
    if (contains(word, "\xe2\x80\x9c") || contains(word, "\xe2\x80\x9d") ||
        contains(word, "\xe2\x80\x98") || contains(word, "\xe2\x80\x99")) {
        return "these quotes are not TOML's: write straight ones, \"";
    }
    if (word.front() == '0' && word.find_first_not_of("0123456789") == std::string_view::npos) {
        return "a number does not begin with 0: write " + in_quotes(word) +
               " in quotes, or the number without the zeros";
    }
    if (word.front() == '.' && word.size() > 1 && word[1] >= '0' && word[1] <= '9') {
        return "write 0" + std::string(word.substr(0, 20)) + ", with a digit before the point";
    }
    if (word.back() == ';') {
        return "a line needs no ; at its end: remove it";
    }
    if (word.back() == 'B' && parse_size(word.substr(0, word.size() - 1))) {
        word.remove_suffix(1);  // our sizes have no B
    }
    if (parse_size(word)) {
        return "sizes need quotes: write " + in_quotes(word);
    }
    if (parse_time(word)) {
        return "times need quotes: write " + in_quotes(word);
    }
    return "texts, sizes and times need quotes: write " + in_quotes(word);
}

std::string hint(std::string_view what, const Spot& spot) {
    const std::string_view line = trimmed(spot.line);
    if (starts_with(line, "<<<<<<<") || starts_with(line, "=======") ||
        starts_with(line, ">>>>>>>")) {
        return "this is left over from a merge: remove it";
    }
    if (contains(what, "exceeded maximum nested")) {
        return "no key of this file holds lists or tables this deep";
    }
    if (contains(what, "not representable") || contains(what, "too long to identify")) {
        return "this number is too large for any key";
    }
    if (contains(what, "cannot redefine")) {
        return starts_with(line, "[") ? "this table is in the file already: put its keys together "
                                        "under one header"
                                      : "this key is in the file already: keep one of the two";
    }
    if (contains(what, "string: ")) {
        if (contains(what, "escape sequence")) {
            return "a backslash begins an escape: write two of them, or use single quotes '...'";
        }
        return "the closing quote is missing on this line";
    }
    if (contains(what, "dangling comma")) {
        return "remove the comma before }";
    }
    if (contains(what, "inline table") && contains(what, "'\\n'")) {
        return "{ ... } must stay on one line: for more lines use a [table] of its own";
    }
    if (contains(what, "parsing table header") && !contains(line, "]")) {
        return "the closing ] is missing";
    }
    if (contains(what, "parsing array")) {
        return "the list is not closed: write [\"a\", \"b\"], with a comma between two entries and "
               "] at the end";
    }
    if (contains(what, "expected a comment or whitespace")) {
        if (contains(what, "saw '/'")) {
            return "a comment begins with #";
        }
        return "only one thing a line: put the rest on a line of its own, or after a #";
    }
    if (contains(what, "expected '='")) {
        return contains(what, "saw ':'") ? "write = between key and value"
                                         : "a line reads key = value, and a key has no blanks";
    }
    if (!contains(line, "=") && !starts_with(line, "[") && !parse_size(spot.word) &&
        !parse_time(spot.word)) {
        return "a line reads key = value or [table]";
    }
    if (!line.empty() && line.back() == '=') {
        return "write a value after the =";
    }
    if (!spot.word.empty() && (spot.in_value || !contains(line, "="))) {
        return value_hint(spot.word);
    }
    return "";
}

void add_parse_error(const toml::parse_error& error, std::string_view text,
                     Diagnostics& diagnostics) {
    const toml::source_position at = error.source().begin;
    const Position where = at ? Position{at.line, at.column} : Position{};
    std::string_view what = error.description();
    const std::string help = hint(what, spot_at(text, where));
    constexpr std::string_view preface = "Error while parsing ";
    if (starts_with(what, preface)) {
        what.remove_prefix(preface.size());
    }
    const std::string cause = printable(what, 160);
    diagnostics.error(where, help.empty() ? "not valid TOML: " + cause
                                          : help + " (not valid TOML: " + cause + ')');
}

}  // namespace

std::optional<toml::table> parse_toml(std::string_view text, Diagnostics& diagnostics) {
    if (!check_bytes(text, diagnostics) || !check_depth(text, diagnostics)) {
        return std::nullopt;
    }
    try {
        return toml::parse(text);
    } catch (const toml::parse_error& error) {
        add_parse_error(error, text, diagnostics);
    }
    return std::nullopt;
}

}  // namespace supervise::config
