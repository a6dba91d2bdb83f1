#pragma once

#include <sys/resource.h>

#include <array>
#include <string_view>

namespace supervise::config {

/// What the number of a resource limit counts, and so how people write it.
enum class LimitUnit { count, bytes, seconds };

struct LimitKind {
    std::string_view name;  ///< as in [pool.NAME.limits]
    int resource;
    LimitUnit unit;
};

/// In the order of the effective config.
inline constexpr std::array<LimitKind, 11> limit_kinds{{
    {"nofile", RLIMIT_NOFILE, LimitUnit::count},
    {"nproc", RLIMIT_NPROC, LimitUnit::count},
    {"core", RLIMIT_CORE, LimitUnit::bytes},
    {"data", RLIMIT_DATA, LimitUnit::bytes},
    {"as", RLIMIT_AS, LimitUnit::bytes},
    {"stack", RLIMIT_STACK, LimitUnit::bytes},
    {"fsize", RLIMIT_FSIZE, LimitUnit::bytes},
    {"memlock", RLIMIT_MEMLOCK, LimitUnit::bytes},
    {"msgqueue", RLIMIT_MSGQUEUE, LimitUnit::bytes},
    {"cpu", RLIMIT_CPU, LimitUnit::seconds},
    {"sigpending", RLIMIT_SIGPENDING, LimitUnit::count},
}};

}  // namespace supervise::config
