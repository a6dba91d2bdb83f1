#pragma once

#include <cstdint>
#include <vector>

#include "backoff.hpp"
#include "supervise/time.hpp"

namespace supervise {

class Worker;

/// A place for one running worker in a pool. Owned by the roster.
struct Slot {
    unsigned number = 1;
    std::uint32_t incarnations = 0;
    Worker* current = nullptr;
    Worker* successor = nullptr;
    std::vector<Worker*> leaving;  ///< recycled, not gone yet
    Backoff backoff;
    TimePoint restart_at{};
    bool gap_open = false;
    TimePoint gap_since{};
    TimePoint spare_since{};  ///< the successor is ready and not needed (any more)
};

}  // namespace supervise
