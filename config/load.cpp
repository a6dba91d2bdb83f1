#include "config/load.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <optional>

#include "base/unique_fd.hpp"
#include "config/schema.hpp"
#include "config/syntax.hpp"
#include "config/validate.hpp"

namespace supervise::config {
namespace {

Loaded finish(Settings settings, Diagnostics& diagnostics) {
    Loaded loaded;
    loaded.settings = std::move(settings);
    loaded.diagnostics = diagnostics.take();
    loaded.left_out = diagnostics.left_out();
    return loaded;
}

/// Why the file cannot be had and what to do, for `number` of errno.
std::string file_problem(int number) {
    switch (number) {
        case ENOENT:
            return "there is no such file: create it, or name another with --config";
        case EISDIR:
            return "this is a folder: name the config file in it";
        case EACCES:
            return "user " + std::to_string(::geteuid()) +
                   " may not read this file: change its owner or mode";
        default:
            return std::string("cannot be read: ") + std::strerror(number);
    }
}

/// A byte more than the largest file at most: enough to see that it is too large, even where it
/// never ends.
std::optional<std::string> read_text(const std::string& path, Diagnostics& diagnostics) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    std::string text;
    char block[16'384];
    while (text.size() <= largest_file) {
        const ssize_t got = fd ? ::read(fd.get(), block, sizeof block) : -1;
        if (got == 0) {
            break;
        }
        if (got > 0) {
            text.append(block, static_cast<std::size_t>(got));
        } else if (errno != EINTR) {
            diagnostics.error({}, file_problem(errno));
            return std::nullopt;
        }
    }
    return text;
}

Settings read_and_check(std::string_view text, const std::string& base, Diagnostics& diagnostics) {
    const std::optional<toml::table> root = parse_toml(text, diagnostics);
    if (!root) {
        return {};
    }
    Positions positions;
    Settings settings = read_settings(*root, base, diagnostics, positions);
    validate(settings, this_host(), positions, diagnostics);
    return settings;
}

}  // namespace

bool Loaded::has_errors() const {
    return std::any_of(diagnostics.begin(), diagnostics.end(), [](const Diagnostic& diagnostic) {
        return diagnostic.severity == Diagnostic::Severity::error;
    });
}

std::string Loaded::report() const {
    std::string text;
    for (const Diagnostic& diagnostic : diagnostics) {
        text += diagnostic.text() + '\n';
    }
    if (left_out > 0) {
        text += "and " + std::to_string(left_out) + " more\n";
    }
    return text;
}

Loaded load_text(std::string_view toml, const std::string& file_name,
                 const std::string& base_directory) {
    Diagnostics diagnostics(file_name);
    Settings settings = read_and_check(toml, base_directory, diagnostics);
    return finish(std::move(settings), diagnostics);
}

Loaded load_file(const std::string& path) {
    Diagnostics diagnostics(path);
    Settings settings;
    if (const std::optional<std::string> text = read_text(path, diagnostics)) {
        std::error_code error;
        const std::filesystem::path absolute = std::filesystem::absolute(path, error);
        if (error) {
            diagnostics.error({}, "our own working folder cannot be read (" + error.message() +
                                      "): name the file by its whole path");
        } else {
            settings = read_and_check(*text, absolute.parent_path().string(), diagnostics);
        }
    }
    return finish(std::move(settings), diagnostics);
}

}  // namespace supervise::config
