#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/diagnostic.hpp"
#include "config/paths.hpp"  // default_runtime_dir(), for clients that have no config file
#include "supervise/settings.hpp"

namespace supervise::config {

struct Loaded {
    Settings settings;                    ///< meaningless when has_errors()
    std::vector<Diagnostic> diagnostics;  ///< in the file's order; at most Diagnostics::most
    std::size_t left_out = 0;             ///< diagnostics beyond those, errors kept first

    bool has_errors() const;
    /// One diagnostic a line and, where some were left out, "and N more"; empty when all is well.
    std::string report() const;
};

/// Reads and checks a whole file and never stops at the first error. A file that cannot be read is
/// one diagnostic too.
Loaded load_file(const std::string& path);
/// The same for a text; relative paths count from `base_directory` (absolute).
Loaded load_text(std::string_view toml, const std::string& file_name,
                 const std::string& base_directory);

/// The effective values as TOML that load_text() reads back to an equal Settings.
std::string effective_toml(const Settings& settings);

}  // namespace supervise::config
