#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "config/toml_reader.hpp"
#include "supervise/settings.hpp"

namespace supervise::config {

constexpr std::size_t most_users = 64;

/// One [pool.NAME] with all tables in it.
void read_pool(TableReader& table, PoolSettings& pool, const std::string& base);

/// A path, made absolute.
void read_path(TableReader& table, std::string_view key, const std::string& base,
               std::string& target);
void read_path(TableReader& table, std::string_view key, const std::string& base,
               std::optional<std::string>& target);

}  // namespace supervise::config
