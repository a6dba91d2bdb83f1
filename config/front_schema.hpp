#pragma once

#include "config/toml_reader.hpp"
#include "supervise/settings.hpp"

namespace supervise::config {

/// [pool.NAME.front], after the pool's kind and app: that it is there means that supervise runs the
/// front.
void read_front(TableReader& pool_table, PoolSettings& pool);

}  // namespace supervise::config
