#pragma once

#include <string>

#include "supervise/snapshot.hpp"

namespace supervise::control {

/// The snapshot in Prometheus' text format, version 0.0.4. Every series of a pool is there from the
/// start, with 0, so that rates and alerts need not wait for the first event.
std::string metrics_text(const Snapshot& snapshot);

}  // namespace supervise::control
