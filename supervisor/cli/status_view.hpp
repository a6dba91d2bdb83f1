#pragma once

#include <string>

#include "supervise/snapshot.hpp"

/// What people read on a terminal. Pure functions; a line is shorter than `columns` (at least 60
/// are assumed), so that no terminal wraps it.
namespace supervise::cli {

std::string status_text(const Snapshot& snapshot, unsigned columns);
std::string doctor_text(const Snapshot& snapshot);
std::string explanation_text(const Explanation& explanation, unsigned columns);

}  // namespace supervise::cli
