#include "config/paths.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "config/diagnostic.hpp"

namespace supervise::config {
namespace {

/// Calls `use` with each part between colons until it returns true.
template <class Use>
bool any_part(std::string_view list, Use use) {
    while (!list.empty()) {
        const std::size_t end = std::min(list.find(':'), list.size());
        if (use(list.substr(0, end))) {
            return true;
        }
        list.remove_prefix(std::min(end + 1, list.size()));
    }
    return false;
}

std::string_view environment(const char* name) {
    const char* value = std::getenv(name);
    return value == nullptr ? std::string_view{} : std::string_view{value};
}

}  // namespace

std::string absolute_path(const std::string& base, std::string_view path) {
    if (path.substr(0, 1) == "/") {
        return std::string(path);
    }
    while (path.substr(0, 2) == "./") {
        path.remove_prefix(2);
    }
    if (path.empty() || path == ".") {
        return base;
    }
    return (base.ends_with('/') ? base : base + '/') + std::string(path);
}

std::string default_runtime_dir() {
    std::string found;
    any_part(environment("RUNTIME_DIRECTORY"), [&](std::string_view part) {
        if (part.substr(0, 1) == "/") {
            found = part;
        }
        return !found.empty();
    });
    if (!found.empty()) {
        return found;
    }
    const std::string_view session = environment("XDG_RUNTIME_DIR");
    if (session.substr(0, 1) == "/") {
        return absolute_path(std::string(session), "supervise");
    }
    return "/tmp/supervise-" + std::to_string(::getuid());
}

std::string program_problem(const std::string& program, const std::string& search_path) {
    if (program.find('/') == std::string::npos) {
        const bool found = any_part(search_path, [&](std::string_view folder) {
            struct stat status {};
            const std::string path = std::string(folder) + '/' + program;
            return ::stat(path.c_str(), &status) == 0 && S_ISREG(status.st_mode) &&
                   ::access(path.c_str(), X_OK) == 0;
        });
        return found ? ""
                     : "is not in PATH (" + printable(search_path, 160) + "): write the whole path";
    }
    struct stat status {};
    if (::stat(program.c_str(), &status) != 0) {
        return errno == ENOENT ? "is not there: create it, or name another"
                               : std::string("cannot be used: ") + std::strerror(errno);
    }
    if (!S_ISREG(status.st_mode)) {
        return "is not a file: name the interpreter itself, as in \".venv/bin/python\"";
    }
    return ::access(program.c_str(), X_OK) == 0 ? "" : "is not executable: chmod +x it";
}

}  // namespace supervise::config
