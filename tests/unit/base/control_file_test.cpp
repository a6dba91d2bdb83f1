#include "base/control_file.hpp"

#include <fcntl.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>

#include "base/unique_fd.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;
using namespace supervise::test;
namespace fs = std::filesystem;

namespace {

struct Directory {
    Directory() {
        char name[] = "/tmp/supervise-control-XXXXXX";
        path = ::mkdtemp(name);
        fd = UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    }
    ~Directory() { fs::remove_all(path); }
    Directory(const Directory&) = delete;
    Directory& operator=(const Directory&) = delete;

    fs::path path;
    UniqueFd fd;
};

}  // namespace

TEST_CASE_METHOD(Directory, "a control file is read whole, by folder or by path",
                 "[control_file]") {
    const std::string text(10'000, 'x');  // more than one read
    std::ofstream(path / "file") << text;
    CHECK(read_control_file(fd.get(), "file").value() == text);
    CHECK(read_control_file(AT_FDCWD, path / "file").value() == text);
    std::ofstream(path / "empty").flush();
    CHECK(read_control_file(fd.get(), "empty").value().empty());
}

TEST_CASE("a file of the kernel, of no size, is read whole", "[control_file]") {
    const std::string text = read_control_file(AT_FDCWD, "/proc/self/status").value();
    CHECK_THAT(text, ContainsSubstring("VmRSS:"));
}

TEST_CASE_METHOD(Directory, "a file that cannot be read says which and why", "[control_file]") {
    const auto missing = read_control_file(fd.get(), "missing");
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error().message() == "open missing: No such file or directory");
    const auto folder = read_control_file(AT_FDCWD, path);
    REQUIRE_FALSE(folder.has_value());
    CHECK(folder.error().step == "read");
    CHECK(folder.error().code.value() == EISDIR);
}

TEST_CASE_METHOD(Directory, "a control file is written in place and never made", "[control_file]") {
    std::ofstream(path / "file") << "old";
    CHECK(write_control_file(fd.get(), "file", "new").has_value());
    CHECK(read_control_file(fd.get(), "file").value() == "new");

    const auto missing = write_control_file(fd.get(), "missing", "1");
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error().message() == "open missing: No such file or directory");
    CHECK_FALSE(fs::exists(path / "missing"));
}

TEST_CASE("a value that the kernel refuses is named in the error", "[control_file]") {
    // At most 1000, whoever asks.
    const auto refused = write_control_file(AT_FDCWD, "/proc/self/oom_score_adj", "100000");
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().message() ==
          "write \"100000\" to /proc/self/oom_score_adj: Invalid argument");
}

TEST_CASE("a counter is found by its whole key", "[control_file]") {
    const std::string_view text = "anon 100\nanon_thp 7\nfile 18446744073709551615\nlast 3";
    CHECK(find_counter(text, "anon") == 100);
    CHECK(find_counter(text, "anon_thp") == 7);
    CHECK(find_counter(text, "file") == std::numeric_limits<std::uint64_t>::max());
    CHECK(find_counter(text, "last") == 3);
    CHECK_FALSE(find_counter(text, "ano"));
    CHECK_FALSE(find_counter(text, "thp"));
    CHECK_FALSE(find_counter("", "anon"));
    CHECK_FALSE(find_counter("anon\n", "anon"));
    CHECK_FALSE(find_counter("anon x\n", "anon"));
}

TEST_CASE("a counter is a whole number, or max", "[control_file]") {
    CHECK(parse_counter("42\n") == 42);
    CHECK(parse_counter(" \t42 ") == 42);
    CHECK(parse_counter("0") == 0);
    CHECK(parse_counter("max\n") == std::numeric_limits<std::uint64_t>::max());
    for (const char* text :
         {"", " \n", "-1", "+1", "4 2", "42k", "0x10", "maximum", "18446744073709551616"}) {
        INFO(text);
        CHECK_FALSE(parse_counter(text));
    }
}
