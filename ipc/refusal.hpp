#pragma once

#include <cstdint>
#include <string_view>

namespace supervise::ipc {

/// Why a job, or a whole connection, is refused. The values are those of the wire.
enum class Refusal : std::uint8_t {
    queue_full = 1,
    unknown_task = 2,
    stopping = 3,
    degraded = 4,
    not_permitted = 5,
    too_many_clients = 6,
    bad_frame = 7,
    slow_reader = 8,
    version = 9,
    no_hello = 10,
};

constexpr std::string_view name_of(Refusal refusal) {
    constexpr std::string_view names[] = {
        "queue_full",       "unknown_task", "stopping",    "degraded", "not_permitted",
        "too_many_clients", "bad_frame",    "slow_reader", "version",  "no_hello"};
    return names[static_cast<std::uint8_t>(refusal) - 1];
}

}  // namespace supervise::ipc
