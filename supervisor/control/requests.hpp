#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "supervisor/pool/control_api.hpp"

/// The bodies that POST requests carry, checked. Keys that are not known are refused by name, so
/// that a misspelt one is not ignored. Pure functions.
namespace supervise::control {

struct SubmitRequest {
    std::string task;
    std::vector<ipc::Id> ids;
    unsigned priority = 0;
    bool wait = false;
};
ApiResult<SubmitRequest> read_submit(std::string_view body);

struct RecycleRequest {
    std::optional<unsigned> slot;  ///< nothing: all of the pool's workers
    bool renew_template = false;   ///< then without a slot
    bool front = false;            ///< as well
};
/// No body, {}, {"slot": N}, {"template": true} or {"front": true}.
ApiResult<RecycleRequest> read_recycle(std::string_view body);

struct ScaleRequest {
    unsigned workers = 0;
    bool most = false;  ///< an elastic pool may go on having fewer
};
/// {"workers": N} or {"max": N}
ApiResult<ScaleRequest> read_scale(std::string_view body);

/// For requests that carry nothing: no body, or {}.
ApiResult<void> read_nothing(std::string_view body);

}  // namespace supervise::control
