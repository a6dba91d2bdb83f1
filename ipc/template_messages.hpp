#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

/// What only a template and the supervisor say to each other; part of ipc/message.hpp.
namespace supervise::ipc {

/// To a template: fork a worker. Its descriptors come in the order that PROTOCOL.md gives.
struct Fork {
    std::uint32_t number = 0;  ///< the answer has the same
    bool born = false;         ///< the directory of the cgroup to be born into comes along
    std::uint8_t joins = 0;    ///< 0..2 control files of cgroups to join come along
};
constexpr std::size_t fork_descriptors(const Fork& fork) {
    return 4 + (fork.born ? 1 : 0) + fork.joins;
}

/// A template's answer to each Fork, in their order.
struct Forked {
    std::uint32_t number = 0;
    std::uint32_t pid = 0;     ///< 0: it failed
    std::string_view message;  ///< why it failed, else empty
};

/// Why a template's workers must not be forked: one finding an entry, at least one.
struct Unsafe {
    std::vector<std::string_view> findings;
};

}  // namespace supervise::ipc
