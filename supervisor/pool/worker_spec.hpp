#pragma once

#include "context.hpp"
#include "process/launcher.hpp"

namespace supervise {

/// What HELLO's and WELCOME's software field says.
inline constexpr const char* software_name = "supervise/" SUPERVISE_VERSION;

/// The command line, environment, user and limits of a pool's worker; without its descriptors and
/// groups. Fails when the user or the group has vanished since the config was read.
Result<LaunchSpec> make_worker_spec(const PoolSettings& settings, const PoolContext& context);

/// Sets NAME=VALUE.
void put_variable(std::vector<std::string>& environment, const std::string& name,
                  const std::string& value);

/// The same for the pool's template.
Result<LaunchSpec> make_template_spec(const PoolSettings& settings, const PoolContext& context);

}  // namespace supervise
