#pragma once

#include <cstdint>

#include "ipc/message.hpp"

/// The numbers of the wire that only the codec knows (ipc/PROTOCOL.md).
namespace supervise::ipc {

inline constexpr std::uint8_t magic = 0x53;
inline constexpr std::uint8_t flag_descriptor = 1;
inline constexpr std::uint8_t flag_terminate = 2;
inline constexpr std::uint8_t max_priority = 9;
inline constexpr std::uint8_t max_retries = 100;
inline constexpr std::uint8_t max_signal = 64;
inline constexpr std::uint32_t pools_own_limit = 0xffffffff;
inline constexpr std::uint8_t pools_own_retries = 0xff;

enum class Type : std::uint8_t {
    hello = 1,
    welcome,
    register_tasks,
    ready,
    start_failed,
    job,
    done,
    submit,
    accepted,
    refused,
    result,
    cancel,
    trim,
    trimmed,
    retire,
    ping,
    pong,
    close,
    fork,
    forked,
    unsafe,
    call,
    begun,
    soft,
    signal,
    jobs,
    size,
};

/// Message lists its alternatives in the order of their numbers.
inline Type type_of(const Message& message) { return static_cast<Type>(message.index() + 1); }
static_assert(std::variant_size_v<Message> == static_cast<std::size_t>(Type::size));

}  // namespace supervise::ipc
