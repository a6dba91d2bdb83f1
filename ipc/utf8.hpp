#pragma once

#include <cstddef>
#include <string_view>

/// The texts of the protocol: UTF-8 without NUL bytes.
namespace supervise::ipc {

/// Well-formed UTF-8 (no overlong forms, no surrogates, nothing above U+10FFFF) without NUL.
bool is_text(std::string_view bytes);

/// Makes any bytes a text of the same size: each byte that is not part of a character becomes '?'.
void make_text(char* bytes, std::size_t size);

/// The longest beginning, or end, of a text that has at most `size` bytes and cuts no character.
std::string_view keep_beginning(std::string_view text, std::size_t size);
std::string_view keep_end(std::string_view text, std::size_t size);

}  // namespace supervise::ipc
