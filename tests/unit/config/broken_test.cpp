// Each broken/NAME.toml is checked against the whole of broken/NAME.expected. With
// SUPERVISE_UPDATE_EXPECTED=1 the files are written anew, for review.
#include <unistd.h>

#include <cstdlib>
#include <regex>
#include <set>

#include "tests/support/catch.hpp"
#include "tests/unit/config/support.hpp"

using namespace supervise;
using namespace supervise::test;

namespace {

const std::filesystem::path folder = source_dir / "tests/unit/config/broken";

std::string report_of(const std::filesystem::path& file) {
    std::string report =
        config::load_text(read_file(file), file.filename(), folder.string()).report();
    replace_all(report, folder.string(), "@FOLDER@");
    return report;
}

}  // namespace

TEST_CASE("every broken file gives exactly the expected diagnostics", "[config]") {
    if (::geteuid() != 0) {
        SUPERVISE_SKIP("the expected texts are those that root gets");
    }
    ::setenv("RUNTIME_DIRECTORY", "/run/supervise", 1);
    ::setenv("PATH", "/usr/local/bin:/usr/bin:/bin", 1);
    std::set<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() == ".toml") {
            files.insert(entry.path());
        }
    }
    REQUIRE(files.size() >= 20);
    for (const std::filesystem::path& file : files) {
        const std::string report = report_of(file);
        std::filesystem::path expected = file;
        expected.replace_extension(".expected");
        if (std::getenv("SUPERVISE_UPDATE_EXPECTED") != nullptr) {
            write_file(expected, report);
        }
        INFO(file);
        CHECK(report == read_file(expected));
    }
}

TEST_CASE("every diagnostic of a broken file has a line and a column", "[config]") {
    const std::regex form(R"(\S+\.toml:[1-9]\d*:[1-9]\d*: (error|warning): [^\n]+)");
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
        if (entry.path().extension() != ".toml") {
            continue;
        }
        INFO(entry.path());
        const config::Loaded loaded =
            config::load_text(read_file(entry.path()), entry.path().filename(), folder.string());
        CHECK(loaded.has_errors());
        for (const config::Diagnostic& diagnostic : loaded.diagnostics) {
            INFO(diagnostic.text());
            CHECK(std::regex_match(diagnostic.text(), form));
        }
    }
}
