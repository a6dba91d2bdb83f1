#pragma once

#include <string>
#include <string_view>

namespace supervise::config {

/// `path` as it is when absolute, else below `base`. Leading "./" goes; ".." stays, since behind a
/// symbolic link only the kernel knows where it leads.
std::string absolute_path(const std::string& base, std::string_view path);

/// The folder of sockets when neither file nor command line names one: the first of
/// $RUNTIME_DIRECTORY (systemd's list), $XDG_RUNTIME_DIR/supervise, or /tmp/supervise-<uid>.
std::string default_runtime_dir();

/// Whether an interpreter can be started: the path itself or, for a bare name, the first hit in
/// `search_path` ("/usr/bin:/bin"). Returns what is wrong, or nothing.
std::string program_problem(const std::string& program, const std::string& search_path);

}  // namespace supervise::config
