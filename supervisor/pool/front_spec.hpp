#pragma once

#include <string>

#include "context.hpp"
#include "process/launcher.hpp"

namespace supervise {

/// The node name of a pool's first (0) or second (1) front: "work@host", "work-2@host". Two fronts
/// that live at the same time may not share one. `%h` is put in here, what else Celery knows there.
std::string front_node(const PoolSettings& settings, unsigned place);

/// The command line, environment, user and limits of a pool's front, which must be configured.
/// Fails as make_worker_spec() does.
Result<LaunchSpec> make_front_spec(const PoolSettings& settings, const PoolContext& context,
                                   const std::string& node);

/// Whether a front that runs under `before` is not what would be started under `after`, the
/// application and its process's settings apart.
bool needs_new_front(const FrontSettings& before, const FrontSettings& after);

}  // namespace supervise
