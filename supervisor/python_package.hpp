#pragma once

#include <string>
#include <vector>

#include "supervise/error.hpp"

namespace supervise {

/// The folder to put on a worker's sys.path so that it finds our package `supervise`; a pool's
/// interpreter needs nothing installed. Looked for, in this order:
///   $SUPERVISE_PYTHON_PACKAGE   for unusual layouts; when set, no other place is tried
///   beside the program          <prefix>/bin/supervise -> <prefix>/share/supervise/python/src
///   the source tree             for programs run from the build folder
Result<std::string> python_package_dir();

/// The first of `places` that holds the package; the error names them all.
Result<std::string> find_python_package(const std::vector<std::string>& places);

}  // namespace supervise
