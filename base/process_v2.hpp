#pragma once

// The only place that includes Boost.Process. Version 2 is a header-only library up to Boost 1.85
// and a compiled one (Boost::process, see supervisor/process/CMakeLists.txt) from 1.86 on. We use
// its vocabulary for environments and programs; its launcher and its handles stay out, because in
// 1.81 they leak descriptors into children, leave zombies and block the loop in waitpid(2).

#include <boost/version.hpp>

// clang-format off: 1.81 needs these two before its own headers when it is to use std::filesystem
#if BOOST_VERSION < 108600
#define BOOST_PROCESS_USE_STD_FS
#include <boost/optional.hpp>
#include <boost/type_traits.hpp>
#endif
#include <boost/process/v2/environment.hpp>
// clang-format on

namespace supervise {
namespace process_v2 = boost::process::v2;
}
