#pragma once

#include <sys/types.h>

#include <string>

#include "supervise/error.hpp"

namespace supervise {

/// Lets an unbound Unix `socket` listen at `path`, a file of exactly this `mode`, whatever the
/// umask. The name is there only when the socket listens: no client finds it and is refused. It
/// replaces whatever stands at `path`; on failure nothing is left there that was not before. A path
/// takes at most 107 bytes (unix(7)), ENAMETOOLONG else.
Result<void> listen_at(int socket, const std::string& path, mode_t mode, int backlog);

}  // namespace supervise
