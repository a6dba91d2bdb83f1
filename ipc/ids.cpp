#include "ipc/ids.hpp"

#include <cstdio>
#include <stdexcept>

#include "ipc/limits.hpp"
#include "ipc/reader.hpp"
#include "ipc/utf8.hpp"

namespace supervise::ipc {
namespace {

enum Kind : char { kind_int = 1, kind_uuid = 2, kind_text = 3 };

void append(std::string& out, std::int64_t number) {
    out += char{kind_int};
    auto bits = static_cast<std::uint64_t>(number);
    for (std::size_t i = 0; i < sizeof bits; ++i) {
        out += static_cast<char>(bits & 0xff);
        bits >>= 8;
    }
}

void append(std::string& out, const Uuid& uuid) {
    out += char{kind_uuid};
    out.append(reinterpret_cast<const char*>(uuid.data()), uuid.size());
}

void append(std::string& out, const std::string& text) {
    if (text.size() > max_text) {
        throw std::length_error("a text ID of " + std::to_string(text.size()) +
                                " bytes; at most 255 are allowed");
    }
    out += char{kind_text};
    out += static_cast<char>(text.size());
    out += text;
}

Id to_value(std::string_view id) {
    Reader reader(id);
    switch (reader.number<std::uint8_t>()) {
        case kind_int:
            return static_cast<std::int64_t>(reader.number<std::uint64_t>());
        case kind_uuid: {
            Uuid uuid;
            reader.take(uuid.size()).copy(reinterpret_cast<char*>(uuid.data()), uuid.size());
            return uuid;
        }
        default:
            return std::string(reader.text8());
    }
}

}  // namespace

std::string encode_id(const Id& id) {
    std::string out;
    std::visit([&out](const auto& value) { append(out, value); }, id);
    return out;
}

std::optional<Id> decode_id(std::string_view bytes) {
    Reader reader(bytes);
    const std::string_view id = reader.id(false);
    if (!reader.ok() || reader.left() != 0) {
        return std::nullopt;
    }
    return to_value(id);
}

std::optional<std::string> encode_args(const std::vector<Id>& ids) {
    if (ids.size() > max_arg_count) {
        return std::nullopt;
    }
    std::string out(1, static_cast<char>(ids.size()));
    for (const Id& id : ids) {
        const auto* text = std::get_if<std::string>(&id);
        if (text != nullptr && (text->size() > max_text || !is_text(*text))) {
            return std::nullopt;
        }
        out += encode_id(id);
    }
    if (out.size() > max_args) {
        return std::nullopt;
    }
    return out;
}

std::optional<std::vector<Id>> decode_args(std::string_view args) {
    Reader whole(args);
    whole.args();
    if (!whole.ok() || whole.left() != 0) {
        return std::nullopt;
    }
    Reader reader(args);
    std::vector<Id> ids(reader.number<std::uint8_t>());
    for (Id& id : ids) {
        id = to_value(reader.id(false));
    }
    return ids;
}

std::string to_string(const Id& id) {
    if (const auto* number = std::get_if<std::int64_t>(&id)) {
        return std::to_string(*number);
    }
    if (const auto* text = std::get_if<std::string>(&id)) {
        return *text;
    }
    std::string out;
    for (const std::uint8_t byte : std::get<Uuid>(id)) {
        if (out.size() == 8 || out.size() == 13 || out.size() == 18 || out.size() == 23) {
            out += '-';
        }
        char digits[3];
        std::snprintf(digits, sizeof digits, "%02x", byte);
        out += digits;
    }
    return out;
}

}  // namespace supervise::ipc
