#include "config/toml_reader.hpp"

#include "tests/support/catch.hpp"

using namespace supervise;
using namespace supervise::config;
using namespace std::chrono_literals;

namespace {

/// A text, a reader of it, and what the reader has to say.
class Reader {
  public:
    explicit Reader(std::string_view text) : root_(toml::parse(text)) {}

    TableReader& operator*() { return table_; }
    TableReader* operator->() { return &table_; }
    std::string errors() {
        std::string text;
        for (const Diagnostic& diagnostic : diagnostics_.take()) {
            text += diagnostic.text() + '\n';
        }
        return text;
    }

  private:
    toml::table root_;
    Diagnostics diagnostics_{"w"};
    Positions positions_;
    Reading reading_{diagnostics_, positions_};
    TableReader table_{reading_, &root_, ""};
};

}  // namespace

TEST_CASE("an absent key leaves the target alone and is no error", "[config][reader]") {
    Reader reader("");
    std::string text = "kept";
    std::optional<std::uint64_t> size;
    Milliseconds time = 5s;
    bool flag = true;
    reader->text("a", text);
    reader->size("a", size, {0, 10});
    reader->time("a", time, {0s, 1s});
    reader->boolean("a", flag);
    CHECK_FALSE(reader->has("a"));
    CHECK(text == "kept");
    CHECK_FALSE(size);
    CHECK(time == 5s);
    CHECK(flag);
    CHECK(reader.errors().empty());
}

TEST_CASE("a present key of the right type is read into values and optionals", "[config][reader]") {
    Reader reader(
        "text = 't'\nsize = '2K'\nbytes = 7\ntime = '2s'\nseconds = 0.5\nwhole = 3\nflag = false\n"
        "number = 1\nlist = ['a', 'b']\nchoice = 'red'");
    std::optional<std::string> text;
    std::uint64_t size = 0;
    std::optional<std::uint64_t> bytes;
    Milliseconds time{};
    std::optional<Milliseconds> seconds;
    unsigned whole = 0;
    bool flag = true;
    double number = 0;
    std::vector<std::string> list;
    std::string choice;
    reader->text("text", text);
    reader->size("size", size, {0, 4'096});
    reader->size("bytes", bytes, {7, 7});
    reader->time("time", time, {2s, 2s});
    reader->time("seconds", seconds, {0s, 1s});
    reader->integer("whole", whole, {3, 3});
    reader->boolean("flag", flag);
    reader->number("number", number, {0, 1});
    reader->texts("list", list, 2);
    reader->choice("choice", choice, {"red", "blue"});
    reader->reject_unknown();
    CHECK(reader.errors().empty());
    CHECK(text == "t");
    CHECK(size == 2'048);
    CHECK(bytes == 7U);
    CHECK(time == 2s);
    CHECK(seconds == 500ms);
    CHECK(whole == 3);
    CHECK_FALSE(flag);
    CHECK(number == 1.0);
    CHECK(list == std::vector<std::string>{"a", "b"});
    CHECK(choice == "red");
}

TEST_CASE("a wrong value leaves the target alone and is an error at its place",
          "[config][reader]") {
    Reader reader("a = 1\n  b = 'x'");
    std::string text = "kept";
    std::optional<std::uint64_t> size = 9;
    reader->text("a", text);
    reader->size("b", size, {0, 10});
    CHECK(text == "kept");
    CHECK(size == 9U);
    CHECK(reader.errors() ==
          "w:1:5: error: a must be a text in quotes, not a whole number: write \"1\"\n"
          "w:2:7: error: b \"x\" is not a size: write \"512M\" or \"2G\"\n");
}

TEST_CASE("both ends of a range belong to it", "[config][reader]") {
    Reader reader("low = 1\nhigh = 10\nunder = 0\nover = 11\nnan = nan");
    int low = 0;
    int high = 0;
    int under = -1;
    int over = -1;
    double nan = 0.5;
    reader->integer("low", low, {1, 10});
    reader->integer("high", high, {1, 10});
    reader->integer("under", under, {1, 10});
    reader->integer("over", over, {1, 10});
    reader->number("nan", nan, {0, 1});
    CHECK(low == 1);
    CHECK(high == 10);
    CHECK(under == -1);
    CHECK(over == -1);
    CHECK(nan == 0.5);
    CHECK(reader.errors() ==
          "w:3:9: error: under 0 is out of range: write 1 to 10\n"
          "w:4:8: error: over 11 is out of range: write 1 to 10\n"
          "w:5:7: error: nan nan is out of range: write 0 to 1\n");
}

TEST_CASE("keys that nobody asked for are unknown, in the file's order", "[config][reader]") {
    Reader reader("zebra = 1\nworker = 2\nworkers = 3\n[inner]\nx = 1");
    int workers = 0;
    reader->integer("workers", workers, {0, 9});
    reader->table("inner", "[inner]", [](TableReader& inner) { CHECK_FALSE(inner.has("y")); });
    reader->reject_unknown();
    CHECK(reader.errors() ==
          "w:1:1: error: unknown key \"zebra\"\n"
          "w:2:1: error: unknown key \"worker\"\n"
          "w:5:1: error: unknown key \"x\" in [inner]\n");
}

TEST_CASE("a list that is too long is refused as a whole", "[config][reader]") {
    Reader reader("list = ['a', 'b', 'c']");
    std::vector<std::string> list{"kept"};
    reader->texts("list", list, 2);
    CHECK(list == std::vector<std::string>{"kept"});
    CHECK(reader.errors() == "w:1:8: error: list has 3 entries: write at most 2\n");
}

TEST_CASE("entries of a table come in the file's order and are all known", "[config][reader]") {
    Reader reader("z = 1\na = 2\nm = 3");
    std::string order;
    for (const auto& [key, node] : reader->entries()) {
        order += key;
    }
    reader->reject_unknown();
    CHECK(order == "zam");
    CHECK(reader.errors().empty());
}

TEST_CASE("a table of the wrong type is one error, and all in it is absent", "[config][reader]") {
    Reader reader("inner = 3");
    bool called = false;
    reader->table("inner", "[inner]", [&](TableReader& inner) {
        called = true;
        CHECK_FALSE(inner.has("x"));
    });
    CHECK(called);
    CHECK(reader.errors() ==
          "w:1:9: error: inner must be a table, not a whole number: write [inner]\n");
}
