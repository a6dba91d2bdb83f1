#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

/// IDs, the only kinds of argument and result, as values and as bytes (ipc/PROTOCOL.md).
namespace supervise::ipc {

using Uuid = std::array<std::uint8_t, 16>;
using Id = std::variant<std::int64_t, Uuid, std::string>;

/// u8 count, then the IDs; nothing when they do not fit max_args or one is no text of the protocol.
std::optional<std::string> encode_args(const std::vector<Id>& ids);
std::optional<std::vector<Id>> decode_args(std::string_view args);
/// A text longer than max_text is a broken precondition (throws std::length_error).
std::string encode_id(const Id& id);
std::optional<Id> decode_id(std::string_view bytes);
/// Decimal, 8-4-4-4-12, or the text as it is; for people.
std::string to_string(const Id& id);

}  // namespace supervise::ipc
