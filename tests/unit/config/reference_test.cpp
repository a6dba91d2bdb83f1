// docs/CONFIG.md and examples/workers.toml say the same as the code: every key of the schema, no
// other, with values that load.
#include <toml++/toml.h>
#include <unistd.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "config/schema.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/config/support.hpp"

using namespace supervise;
using namespace supervise::test;

namespace {

/// Keys that hold a value; "pool.NAME.recycle" and such are tables of their own in the page.
std::set<std::string> value_keys() {
    std::set<std::string> keys(config::known_keys().begin(), config::known_keys().end());
    for (const char* table :
         {"supervisor", "supervisor.log", "pool", "pool.NAME.recycle", "pool.NAME.memory",
          "pool.NAME.restart", "pool.NAME.jobs", "pool.NAME.output", "pool.NAME.front"}) {
        REQUIRE(keys.erase(table) == 1);
    }
    return keys;
}

struct Row {
    std::string table;
    std::string key;
    std::string example;
};

std::string in_backticks(const std::string& cell) {
    const std::size_t first = cell.find('`');
    const std::size_t last = cell.rfind('`');
    return first == last ? "" : cell.substr(first + 1, last - first - 1);
}

/// The rows below headings such as "## [pool.NAME.jobs]".
std::vector<Row> reference_rows() {
    std::vector<Row> rows;
    std::istringstream page(read_file(source_dir / "docs/CONFIG.md"));
    std::string table;
    for (std::string line; std::getline(page, line);) {
        if (line.starts_with("## ")) {
            table = line.starts_with("## [") ? line.substr(4, line.find(']') - 4) : "";
        } else if (!table.empty() && line.starts_with("| `")) {
            const std::string cells = line.substr(2, line.size() - 4);
            rows.push_back({table, in_backticks(cells.substr(0, cells.find(" | "))),
                            in_backticks(cells.substr(cells.rfind(" | ")))});
        }
    }
    return rows;
}

/// The sample with every key that it shows in a comment in force.
std::string whole_sample() {
    std::istringstream sample(read_file(source_dir / "examples/workers.toml"));
    std::string text;
    for (std::string line; std::getline(sample, line);) {
        const bool shows_key = line.size() > 1 && line[0] == '#' && line[1] != ' ';
        text += line.substr(shows_key ? 1 : 0) + '\n';
    }
    return text;
}

}  // namespace

TEST_CASE("the reference page has a row for every key and no other", "[config]") {
    std::set<std::string> documented;
    for (const Row& row : reference_rows()) {
        INFO(row.key);
        CHECK(documented.insert(row.table + '.' + row.key).second);
    }
    CHECK(documented == value_keys());
}

TEST_CASE("every example of the reference page loads as it stands", "[config]") {
    for (const Row& row : reference_rows()) {
        if (::geteuid() != 0 && (row.key == "user" || row.key == "group")) {
            continue;
        }
        std::string text =
            row.table == "pool.NAME" && row.key == "app" ? "" : "pool.NAME.app = \"x\"\n";
        if (row.table == "pool.NAME.front") {
            text += "pool.NAME.kind = \"celery\"\n";
        }
        text += row.table + '.' + row.example + '\n';
        const config::Loaded loaded = config::load_text(text, row.key, "/tmp");
        INFO(text);
        CHECK(loaded.report() == "");
    }
}

TEST_CASE("the annotated sample loads without a word", "[config]") {
    CHECK(config::load_file(source_dir / "examples/workers.toml").report() == "");
}

TEST_CASE("the annotated sample sets nothing but defaults, apart from what it says aloud",
          "[config]") {
    const config::Loaded sample = config::load_file(source_dir / "examples/workers.toml");
    const std::string directory = sample.settings.pools.at(0).directory;
    config::Loaded least = config::load_text(
        "pool.reports = { app = \"reports.tasks\", workers = 4, recycle = { max_tasks = 1000, "
        "max_rss = \"512M\" } }",
        "least.toml", directory);
    CHECK(config::effective_toml(sample.settings) == config::effective_toml(least.settings));
}

TEST_CASE("the annotated sample shows every key, and all of them together load", "[config]") {
    std::string text = whole_sample();
    const toml::table table = toml::parse(text);
    for (std::string key : value_keys()) {
        // The two forms of workers exclude each other; the sample explains the second in words.
        if (!key.starts_with("pool.NAME.workers.")) {
            replace_all(key, "NAME", key.starts_with("pool.NAME.front") ? "work" : "reports");
            INFO(key);
            CHECK(table.at_path(key));
        }
    }
    if (::geteuid() != 0) {
        SUPERVISE_SKIP("user and group need root");
    }
    const TemporaryFolder folder;
    for (const char* name : {"src", "lib"}) {
        std::filesystem::create_directory(folder.path() / name);
    }
    replace_all(text, "www-data", "root");
    replace_all(text, "/srv/reports", folder.path().string());
    CHECK(config::load_text(text, "workers.toml", folder.path().string()).report() == "");
}
