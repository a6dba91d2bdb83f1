#pragma once

#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "supervise/settings.hpp"

namespace supervise::config {

/// One thing wrong with (or doubtful in) a config file. `line` and `column` count from 1; a missing
/// key has the position of its table.
struct Diagnostic {
    enum class Severity { error, warning } severity = Severity::error;
    std::string file;
    unsigned line = 1;
    unsigned column = 1;
    std::string message;  ///< what is wrong and what to write instead

    /// "workers.toml:4:1: error: unknown key ..."
    std::string text() const;
};

struct Loaded {
    Settings settings;                  ///< meaningless when has_errors()
    std::vector<Diagnostic> diagnostics;  ///< in the file's order

    bool has_errors() const;
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
