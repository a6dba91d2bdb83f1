#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace supervise::config {

/// " in [pool.mail.jobs]", or nothing for the file's top.
std::string in_table(const std::string& path);

/// "unknown key "max_task" in [pool.mail]; did you mean max_tasks in [pool.mail.recycle]?"
/// `table` is the path it stands in, `known` the keys of that table, `all_keys` the paths of all
/// (with NAME for a pool's name).
std::string unknown_key(std::string_view key, const std::string& table,
                        const std::vector<std::string>& known,
                        const std::vector<std::string>& all_keys);

}  // namespace supervise::config
