#pragma once

#include <string>
#include <vector>

#include "supervise/settings.hpp"

namespace supervise {

/// Every key that differs, for people: "pool reports: recycle.max_tasks 1000 -> 500". A pool that
/// is in one of them only is one line: "pool reports added".
std::vector<std::string> describe_changes(const Settings& before, const Settings& after);

/// What of [supervisor] differs and cannot be applied to a running one; empty: nothing.
std::vector<std::string> changes_that_need_a_restart(const Settings& before, const Settings& after);

}  // namespace supervise
