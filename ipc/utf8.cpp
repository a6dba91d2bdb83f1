#include "ipc/utf8.hpp"

#include <cstdint>
#include <cstring>

#include "base/utf8.hpp"

namespace supervise::ipc {
namespace {

constexpr std::uint64_t low_bits = 0x0101010101010101;
constexpr std::uint64_t high_bits = 0x8080808080808080;

/// Bytes at the beginning of `text` that are ASCII and not NUL, counted eight at a time: nearly all
/// texts are nothing else.
std::size_t plain_blocks(std::string_view text) {
    std::size_t at = 0;
    while (text.size() - at >= sizeof(std::uint64_t)) {
        std::uint64_t block;
        std::memcpy(&block, text.data() + at, sizeof block);
        // A byte of 0 borrows from its high bit; one that has it set is seen by itself.
        if ((((block - low_bits) | block) & high_bits) != 0) {
            break;
        }
        at += sizeof block;
    }
    return at;
}

bool is_continuation(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; }

/// Bytes of the character at `at`; 0 when there is none or it is NUL.
std::size_t character_size(std::string_view text, std::size_t at) {
    return text[at] == '\0' ? 0 : utf8_character(text, at);
}

}  // namespace

bool is_text(std::string_view bytes) {
    std::size_t at = plain_blocks(bytes);
    while (at < bytes.size()) {
        const std::size_t size = character_size(bytes, at);
        if (size == 0) {
            return false;
        }
        at += size;
    }
    return true;
}

void make_text(char* bytes, std::size_t size) {
    const std::string_view text(bytes, size);
    std::size_t at = 0;
    while (at < size) {
        const std::size_t step = character_size(text, at);
        if (step == 0) {
            bytes[at++] = '?';
        }
        at += step;
    }
}

std::string_view keep_beginning(std::string_view text, std::size_t size) {
    if (text.size() <= size) {
        return text;
    }
    while (size > 0 && is_continuation(text[size])) {
        --size;
    }
    return text.substr(0, size);
}

std::string_view keep_end(std::string_view text, std::size_t size) {
    if (text.size() <= size) {
        return text;
    }
    std::size_t from = text.size() - size;
    while (from < text.size() && is_continuation(text[from])) {
        ++from;
    }
    return text.substr(from);
}

}  // namespace supervise::ipc
