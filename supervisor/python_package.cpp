#include "supervisor/python_package.hpp"

#include <cstdlib>
#include <filesystem>

namespace supervise {
namespace fs = std::filesystem;

Result<std::string> python_package_dir() {
    if (const char* chosen = std::getenv("SUPERVISE_PYTHON_PACKAGE"); chosen && *chosen) {
        return find_python_package({chosen});
    }
    std::vector<std::string> places;
    std::error_code failure;
    if (const fs::path program = fs::read_symlink("/proc/self/exe", failure); !failure) {
        places.push_back((program.parent_path() / PACKAGE_FROM_PROGRAM).lexically_normal());
    }
    places.push_back(PACKAGE_IN_SOURCES);
    return find_python_package(places);
}

Result<std::string> find_python_package(const std::vector<std::string>& places) {
    std::string tried;
    for (const std::string& place : places) {
        // The module that workers start with: a folder of that name alone proves nothing.
        std::error_code failure;
        if (fs::is_regular_file(fs::path(place) / "supervise" / "_worker_main.py", failure)) {
            return place;
        }
        tried += (tried.empty() ? "" : " or ") + place;
    }
    return Error{make_error_code(boost::system::errc::no_such_file_or_directory),
                 "find the Python package `supervise` (set SUPERVISE_PYTHON_PACKAGE to the folder "
                 "that holds it) in",
                 tried};
}

}  // namespace supervise
