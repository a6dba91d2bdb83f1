#pragma once

#include <cstddef>
#include <cstdint>
#include <string>

#include "ipc/reader.hpp"
#include "ipc/wire.hpp"

namespace supervise::ipc {

/// The first eight bytes of a frame, checked.
struct Header {
    Type type{};
    std::uint16_t count = 0;
    std::uint8_t flags = 0;
    bool has(std::uint8_t flag) const { return (flags & flag) != 0; }
};

const char* name_of(Type type);

/// Takes the header off a frame of `frame_size` bytes and checks it. `error` says what is wrong, in
/// words that follow "frame of 12 bytes"; it stays empty when all is well.
Header read_header(Reader& in, std::size_t frame_size, std::string& error);

}  // namespace supervise::ipc
