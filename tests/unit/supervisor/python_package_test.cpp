#include "supervisor/python_package.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "tests/support/catch.hpp"

namespace fs = std::filesystem;
using namespace supervise;
using supervise::test::ContainsSubstring;

namespace {

/// A folder in /tmp, gone with the test.
class TemporaryFolder {
  public:
    TemporaryFolder() {
        std::string pattern = fs::temp_directory_path() / "supervise-package-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path_ = pattern;
    }
    ~TemporaryFolder() {
        std::error_code ignored;
        fs::remove_all(path_, ignored);
    }
    TemporaryFolder(const TemporaryFolder&) = delete;
    TemporaryFolder& operator=(const TemporaryFolder&) = delete;

    std::string folder(const std::string& name, bool with_package) const {
        const fs::path package = path_ / name / "supervise";
        fs::create_directories(package);
        if (with_package) {
            std::ofstream(package / "_worker_main.py") << "# a worker\n";
        }
        return path_ / name;
    }

  private:
    fs::path path_;
};

/// Sets an environment variable until the end of the test.
class EnvironmentVariable {
  public:
    EnvironmentVariable(const char* name, const std::string& value) : name_(name) {
        ::setenv(name, value.c_str(), 1);
    }
    ~EnvironmentVariable() { ::unsetenv(name_); }
    EnvironmentVariable(const EnvironmentVariable&) = delete;
    EnvironmentVariable& operator=(const EnvironmentVariable&) = delete;

  private:
    const char* name_;
};

}  // namespace

TEST_CASE("the first place that holds the package is taken", "[package]") {
    const TemporaryFolder temporary;
    const std::string bare = temporary.folder("bare", false);
    const std::string first = temporary.folder("first", true);
    const std::string second = temporary.folder("second", true);
    CHECK(find_python_package({bare, first, second}).value() == first);
    CHECK(find_python_package({second, first}).value() == second);
}

TEST_CASE("when no place holds the package the error names all of them and the way out",
          "[package]") {
    const TemporaryFolder temporary;
    const std::string bare = temporary.folder("bare", false);
    const auto found = find_python_package({bare, "/nowhere/at/all"});
    REQUIRE(found.has_error());
    CHECK_THAT(found.error().message(), ContainsSubstring(bare));
    CHECK_THAT(found.error().message(), ContainsSubstring("/nowhere/at/all"));
    CHECK_THAT(found.error().message(), ContainsSubstring("SUPERVISE_PYTHON_PACKAGE"));
}

TEST_CASE("a chosen folder is taken alone, even when it is wrong", "[package]") {
    const TemporaryFolder temporary;
    const std::string good = temporary.folder("good", true);
    const std::string bare = temporary.folder("bare", false);
    {
        const EnvironmentVariable chosen("SUPERVISE_PYTHON_PACKAGE", good);
        CHECK(python_package_dir().value() == good);
    }
    const EnvironmentVariable chosen("SUPERVISE_PYTHON_PACKAGE", bare);
    CHECK(python_package_dir().has_error());
}

TEST_CASE("a program in the build folder finds the package in the source tree", "[package]") {
    CHECK_THAT(python_package_dir().value(), ContainsSubstring("/python/src"));
}
