#pragma once

#include <cstddef>
#include <string_view>

namespace supervise {

/// The number of bytes (1..4) of the well-formed UTF-8 character at `at`; 0 where there is none:
/// stray and missing continuation bytes, overlong forms, surrogates, beyond U+10FFFF.
inline std::size_t utf8_character(std::string_view text, std::size_t at) {
    const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[at + i]); };
    const unsigned char lead = byte(0);
    if (lead < 0x80) {
        return 1;
    }
    const std::size_t size = lead >= 0xf5   ? 0
                             : lead >= 0xf0 ? 4
                             : lead >= 0xe0 ? 3
                             : lead >= 0xc2 ? 2
                                            : 0;
    if (size == 0 || text.size() - at < size) {
        return 0;
    }
    // The second byte alone tells overlong forms, surrogates and what lies beyond U+10FFFF.
    const unsigned char least = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    const unsigned char most = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    if (byte(1) < least || byte(1) > most) {
        return 0;
    }
    for (std::size_t i = 2; i < size; ++i) {
        if ((byte(i) & 0xc0) != 0x80) {
            return 0;
        }
    }
    return size;
}

}  // namespace supervise
