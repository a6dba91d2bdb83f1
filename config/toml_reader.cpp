#include "config/toml_reader.hpp"

#include <algorithm>
#include <cstdio>

#include "config/suggest.hpp"
#include "config/units.hpp"
#include "config/unknown_key.hpp"

namespace supervise::config {
namespace {

constexpr std::size_t longest_text = 4'096;

std::string type_name(const toml::node& node) {
    switch (node.type()) {
        case toml::node_type::table:
            return "a table";
        case toml::node_type::array:
            return "a list";
        case toml::node_type::string:
            return "a text";
        case toml::node_type::integer:
            return "a whole number";
        case toml::node_type::floating_point:
            return "a fraction";
        case toml::node_type::boolean:
            return "a boolean";
        default:
            return "a date or time of day";
    }
}

std::string plain(double number) {
    char text[40];
    std::snprintf(text, sizeof text, "%g", number);
    return text;
}

/// A key as it would stand in the file.
std::string shown(std::string_view key) {
    const bool bare = !key.empty() && std::all_of(key.begin(), key.end(), [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
               c == '_' || c == '-' || c == '.';
    });
    return bare ? printable(key, 60) : in_quotes(key);
}

std::string out_of_range(const std::string& value, const std::string& least,
                         const std::string& most) {
    return value + " is out of range: write " + least + " to " + most;
}

}  // namespace

std::string unquote_help(const toml::node& node) {
    const std::string_view text = node.value<std::string_view>().value_or("");
    const bool number = !text.empty() && text.find_first_not_of("0123456789.-") == text.npos;
    return number ? "write it without quotes" : "";
}

Position position_of(const toml::node& node) {
    const toml::source_position begin = node.source().begin;
    return begin ? Position{begin.line, begin.column} : Position{};
}

std::string TableReader::path(std::string_view key) const {
    return path_.empty() ? std::string(key) : path_ + '.' + std::string(key);
}

const toml::node* TableReader::find(std::string_view key) {
    if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
        known_.emplace_back(key);
        reading_.asked.push_back(path(key));
    }
    const toml::node* node = table_ == nullptr ? nullptr : table_->get(key);
    if (node != nullptr) {
        reading_.positions.set(path(key), position_of(*node));
    }
    return node;
}

void TableReader::error(std::string_view key, const std::string& message) {
    reading_.diagnostics.error(reading_.positions.at(path(key)), shown(key) + ' ' + message);
}

void TableReader::warning(std::string_view key, const std::string& message) {
    reading_.diagnostics.warning(reading_.positions.at(path(key)), shown(key) + ' ' + message);
}

void TableReader::wrong_type(std::string_view key, const std::string& what,
                             const std::string& help) {
    const toml::node* node = find(key);
    error(key, "must be " + what + (node == nullptr ? "" : ", not " + type_name(*node)) +
                   (help.empty() ? "" : ": " + help));
}

bool TableReader::clean_text(std::string_view key, Position where, const std::string& text) {
    std::string message;
    if (text.empty()) {
        message = " must not be empty: write a value, or leave the key out";
    } else if (text.size() > longest_text) {
        message = " is longer than " + std::to_string(longest_text) + " bytes: write less";
    } else if (std::any_of(text.begin(), text.end(), [](char c) {
                   return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
               })) {
        message = " " + in_quotes(text) + " has a control character in it: leave that out";
    } else {
        return true;
    }
    reading_.diagnostics.error(where, std::string(key) + message);
    return false;
}

std::optional<std::string> TableReader::get_text(std::string_view key) {
    const toml::node* node = find(key);
    if (node == nullptr) {
        return std::nullopt;
    }
    const toml::value<std::string>* text = node->as_string();
    if (text == nullptr) {
        const toml::value<std::int64_t>* number = node->as_integer();
        wrong_type(key, "a text in quotes",
                   number == nullptr ? "" : "write \"" + std::to_string(number->get()) + '"');
        return std::nullopt;
    }
    return clean_text(key, position_of(*node), text->get()) ? std::optional(text->get())
                                                            : std::nullopt;
}

void TableReader::choice(std::string_view key, std::string& target,
                         const std::vector<std::string>& words) {
    const std::optional<std::string> text = get_text(key);
    if (!text) {
        return;
    }
    if (std::find(words.begin(), words.end(), *text) != words.end()) {
        target = *text;
        return;
    }
    const std::string_view near = nearest(*text, words);
    error(key, in_quotes(*text) + " is none of " + join(words) +
                   (near.empty() ? "" : "; did you mean " + in_quotes(near) + "?"));
}

void TableReader::texts(std::string_view key, std::vector<std::string>& target, std::size_t most) {
    const toml::node* node = find(key);
    if (node == nullptr) {
        return;
    }
    const toml::array* list = node->as_array();
    if (list == nullptr) {
        const toml::value<std::string>* one = node->as_string();
        wrong_type(key, "a list of texts",
                   one == nullptr ? "write [\"...\"]" : "write [" + in_quotes(one->get()) + "]");
        return;
    }
    if (list->size() > most) {
        error(key, "has " + std::to_string(list->size()) + " entries: write at most " +
                       std::to_string(most));
        return;
    }
    std::vector<std::string> read;
    for (const toml::node& entry : *list) {
        const Position where = position_of(entry);
        const toml::value<std::string>* text = entry.as_string();
        if (text == nullptr) {
            reading_.diagnostics.error(
                where, std::string(key) + " must be a list of texts in quotes, but this entry is " +
                           type_name(entry));
        } else if (std::find(read.begin(), read.end(), text->get()) != read.end()) {
            reading_.diagnostics.error(where, std::string(key) + " has " + in_quotes(text->get()) +
                                                  " twice: leave one out");
        } else if (clean_text(key, where, text->get())) {
            reading_.positions.set(path(key) + '.' + std::to_string(read.size()), where);
            read.push_back(text->get());
        }
    }
    target = std::move(read);
}

void TableReader::boolean(std::string_view key, bool& target) {
    const toml::node* node = find(key);
    if (node == nullptr) {
        return;
    }
    if (const toml::value<bool>* value = node->as_boolean()) {
        target = value->get();
    } else {
        const bool in_quotes =
            node->value<std::string_view>() == "true" || node->value<std::string_view>() == "false";
        wrong_type(key, "true or false", in_quotes ? "write it without quotes" : "");
    }
}

std::optional<std::int64_t> TableReader::get_integer(std::string_view key,
                                                     Range<std::int64_t> range) {
    const toml::node* node = find(key);
    if (node == nullptr) {
        return std::nullopt;
    }
    const std::string least = std::to_string(range.least);
    const std::string most = std::to_string(range.most);
    const toml::value<std::int64_t>* value = node->as_integer();
    if (value == nullptr) {
        wrong_type(key, "a whole number from " + least + " to " + most, unquote_help(*node));
        return std::nullopt;
    }
    if (value->get() < range.least || value->get() > range.most) {
        error(key, out_of_range(std::to_string(value->get()), least, most));
        return std::nullopt;
    }
    return value->get();
}

void TableReader::number(std::string_view key, double& target, Range<double> range) {
    const toml::node* node = find(key);
    if (node == nullptr) {
        return;
    }
    const std::optional<double> value = node->is_number() ? node->value<double>() : std::nullopt;
    if (!value) {
        wrong_type(key, "a number from " + plain(range.least) + " to " + plain(range.most),
                   unquote_help(*node));
    } else if (!(*value >= range.least && *value <= range.most)) {  // so that nan is out of it
        error(key, out_of_range(plain(*value), plain(range.least), plain(range.most)));
    } else {
        target = *value;
    }
}

std::optional<std::uint64_t> TableReader::get_size(std::string_view key,
                                                   Range<std::uint64_t> range) {
    const toml::node* node = find(key);
    if (node == nullptr) {
        return std::nullopt;
    }
    std::uint64_t bytes = 0;
    std::string written;
    if (const toml::value<std::string>* text = node->as_string()) {
        written = in_quotes(text->get());
        const Parsed<std::uint64_t> parsed = parse_size(text->get());
        if (!parsed) {
            error(key, written + ' ' + parsed.error().message);
            return std::nullopt;
        }
        bytes = *parsed;
    } else if (const toml::value<std::int64_t>* number = node->as_integer()) {
        written = std::to_string(number->get());
        bytes = number->get() < 0 ? 0 : static_cast<std::uint64_t>(number->get());
        if (number->get() < 0) {
            error(key, written + " is negative: write a size such as \"512M\"");
            return std::nullopt;
        }
    } else {
        wrong_type(key, "a size such as \"512M\" or a number of bytes");
        return std::nullopt;
    }
    if (bytes < range.least || bytes > range.most) {
        error(key, out_of_range(written, in_quotes(format_size(range.least)),
                                in_quotes(format_size(range.most))));
        return std::nullopt;
    }
    return bytes;
}

std::optional<Milliseconds> TableReader::get_time(std::string_view key, Range<Milliseconds> range) {
    const toml::node* node = find(key);
    if (node == nullptr) {
        return std::nullopt;
    }
    std::string written;
    Parsed<Milliseconds> parsed = UnitError{};
    if (const toml::value<std::string>* text = node->as_string()) {
        written = in_quotes(text->get());
        parsed = parse_time(text->get());
    } else if (node->is_number()) {
        const double seconds = node->value<double>().value_or(0);
        written = node->is_integer() ? std::to_string(node->as_integer()->get()) : plain(seconds);
        parsed = time_from_seconds(seconds);
    } else {
        wrong_type(key, "a time such as \"30s\" or a number of seconds");
        return std::nullopt;
    }
    if (!parsed) {
        error(key, written + ' ' + parsed.error().message);
        return std::nullopt;
    }
    if (*parsed < range.least || *parsed > range.most) {
        error(key, out_of_range(written, in_quotes(format_time(range.least)),
                                in_quotes(format_time(range.most))));
        return std::nullopt;
    }
    return *parsed;
}

void TableReader::table(std::string_view key, const std::string& example,
                        const std::function<void(TableReader&)>& read) {
    const toml::node* node = find(key);
    const toml::table* inner = node == nullptr ? nullptr : node->as_table();
    if (node != nullptr && inner == nullptr) {
        wrong_type(key, "a table", "write " + example);
    }
    TableReader reader(reading_, inner, path(key));
    read(reader);
    reader.reject_unknown();
}

std::vector<std::pair<std::string, const toml::node*>> TableReader::entries() {
    std::vector<std::pair<std::string, const toml::node*>> all;
    if (table_ == nullptr) {
        return all;
    }
    any_key_ = true;
    std::vector<std::pair<Position, std::pair<std::string, const toml::node*>>> placed;
    for (auto&& [key, node] : *table_) {
        const toml::source_position at = key.source().begin;
        placed.push_back({{at.line, at.column}, {std::string(key.str()), &node}});
    }
    // The table itself is sorted by key.
    std::sort(placed.begin(), placed.end());
    for (auto& [where, entry] : placed) {
        reading_.positions.set(path(entry.first), where);
        all.push_back(std::move(entry));
    }
    return all;
}

void TableReader::reject_unknown() {
    if (table_ == nullptr || any_key_) {
        return;
    }
    std::vector<std::pair<Position, std::string_view>> unknown;
    for (auto&& [key, node] : *table_) {
        if (std::find(known_.begin(), known_.end(), key.str()) == known_.end()) {
            const toml::source_position at = key.source().begin;
            unknown.push_back({{at.line, at.column}, key.str()});
        }
    }
    // In the file's order, so that it is the first ones that get help when there are many.
    std::sort(unknown.begin(), unknown.end());
    for (const auto& [where, key] : unknown) {
        // With hundreds of errors before it, nobody will read this one's help.
        reading_.diagnostics.error(where,
                                   reading_.all_keys == nullptr || reading_.diagnostics.crowded()
                                       ? "unknown key " + in_quotes(key) + in_table(path_)
                                       : unknown_key(key, path_, known_, *reading_.all_keys));
    }
}

}  // namespace supervise::config
