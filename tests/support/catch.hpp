#pragma once

// Catch2 version 3 (split headers) or 2 (one header), whichever the system has.
#if __has_include(<catch2/catch_test_macros.hpp>)
#include <catch2/catch_test_macros.hpp>
#include <catch2/generators/catch_generators.hpp>
#include <catch2/generators/catch_generators_range.hpp>
#include <catch2/matchers/catch_matchers_string.hpp>
namespace supervise::test {
using Catch::Matchers::ContainsSubstring;
}
#else
#include <catch2/catch.hpp>
namespace supervise::test {
inline auto ContainsSubstring(const std::string& text) { return Catch::Matchers::Contains(text); }
}  // namespace supervise::test
#endif

/// Ends the test case as passed, saying why it could not run here.
#define SUPERVISE_SKIP(reason)            \
    do {                                  \
        WARN("skipped: " << (reason));    \
        SUCCEED("skipped: " << (reason)); \
        return;                           \
    } while (false)
