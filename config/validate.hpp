#pragma once

#include <sys/types.h>

#include <string>

#include "config/diagnostic.hpp"
#include "supervise/settings.hpp"

namespace supervise::config {

/// What the checks need to know of the process that will run the config.
struct Host {
    uid_t uid = 0;                  ///< effective
    bool has_sys_resource = false;  ///< the right to lower OOM scores and to raise hard limits
    int oom_score_adj = 0;
    std::string search_path;  ///< where a bare `python` is looked up
};

Host this_host();

/// What takes two keys, or this host, to see: limits in the wrong order, files and users that are
/// not there, rights that we lack.
void validate(const Settings& settings, const Host& host, const Positions& positions,
              Diagnostics& diagnostics);

/// Whether a user, or a group, of that name or number exists. (A number need not have a name.)
bool user_exists(const std::string& name);
bool group_exists(const std::string& name);

}  // namespace supervise::config
