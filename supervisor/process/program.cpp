#include <filesystem>

#include "base/process_v2.hpp"
#include "launcher.hpp"

namespace supervise {
namespace environment = process_v2::environment;

Result<std::string> find_program(const std::string& name, const std::string& path) {
    if (name.empty()) {
        return errno_error("find program", "with an empty name", ENOENT);
    }
    std::string found = name;
    if (name.find('/') == std::string::npos) {
        const std::vector<environment::key_value_pair> only_path{{"PATH", path}};
        found = environment::find_executable(name, only_path).string();
        if (found.empty()) {
            return errno_error("find program", name + " in PATH=" + path, ENOENT);
        }
    }
    std::error_code error;
    const std::filesystem::path absolute = std::filesystem::absolute(found, error);
    if (error) {  // our own working directory has been removed
        return errno_error("find program", name, error.value());
    }
    return absolute.string();
}

}  // namespace supervise
