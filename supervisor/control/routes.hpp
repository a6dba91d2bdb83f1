#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "router.hpp"

/// The table of what there is to ask for, and the answers that need no waiting.
namespace supervise::control {

using PathValues = std::vector<std::string>;  ///< what stands for {pool}, {slot} and {job}

struct Route {
    std::string_view method;
    std::string_view pattern;  ///< "/pools/{pool}/pause"
    std::string_view summary;
    /// Null for the one that waits: Router::submit.
    HttpResponse (*answer)(ControlApi& api, const PathValues& values, const std::string& body);
    bool for_owner = false;  ///< the user of the pool in the path may ask for it, too
};

std::span<const Route> routes();

/// The values in `path`, percent-decoded, when it has the form of `pattern`.
std::optional<PathValues> match(std::string_view pattern, std::string_view path);

/// One path segment for a URL: all but letters, digits and -._~ as %XX.
std::string percent_encode(std::string_view segment);

}  // namespace supervise::control
