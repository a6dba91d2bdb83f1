#pragma once

#include <toml++/toml.h>

#include <string>
#include <vector>

#include "config/diagnostic.hpp"
#include "supervise/settings.hpp"

namespace supervise::config {

/// Every key with its type and range, read from a parsed file into Settings. Relative paths count
/// from `base` (absolute). What one key alone can have wrong is found here, what takes two keys or
/// the host in validate().
Settings read_settings(const toml::table& root, const std::string& base, Diagnostics& diagnostics,
                       Positions& positions);

/// Every key there is, as a dotted path with NAME for a pool's name: "pool.NAME.recycle.max_rss".
const std::vector<std::string>& known_keys();

}  // namespace supervise::config
