#include "id_argument.hpp"

#include <algorithm>
#include <charconv>

#include "base/utf8.hpp"
#include "ipc/limits.hpp"
#include "supervisor/control/json.hpp"

namespace supervise::cli {

namespace {

bool is_decimal(std::string_view text) {
    if (!text.empty() && text.front() == '-') {
        text.remove_prefix(1);
    }
    return !text.empty() && std::all_of(text.begin(), text.end(),
                                        [](char letter) { return letter >= '0' && letter <= '9'; });
}

bool is_utf8(std::string_view text) {
    for (std::size_t at = 0; at < text.size();) {
        const std::size_t size = utf8_character(text, at);
        if (size == 0) {
            return false;
        }
        at += size;
    }
    return true;
}

}  // namespace

std::variant<ipc::Id, BadId> parse_id_argument(const std::string& argument) {
    constexpr std::string_view forced = "text:";
    if (is_decimal(argument)) {
        std::int64_t number = 0;
        const char* end = argument.data() + argument.size();
        if (std::from_chars(argument.data(), end, number).ec != std::errc{}) {
            return BadId{argument + " is no 64-bit number; text:" + argument +
                         " passes it as text"};
        }
        return ipc::Id(number);
    }
    if (const auto uuid = control::parse_uuid(argument)) {
        return ipc::Id(*uuid);
    }
    const std::string text =
        argument.starts_with(forced) ? argument.substr(forced.size()) : argument;
    if (text.size() > ipc::max_text) {
        return BadId{"an ID of " + std::to_string(text.size()) + " bytes; it may have " +
                     std::to_string(ipc::max_text) + ": keep the data in a store and pass its ID"};
    }
    if (!is_utf8(text)) {
        return BadId{"an ID that is not UTF-8"};
    }
    return ipc::Id(text);
}

}  // namespace supervise::cli
