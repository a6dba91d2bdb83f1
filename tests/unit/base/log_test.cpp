#include "base/log.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <regex>
#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;
using supervise::test::ContainsSubstring;

namespace {

std::string text(std::initializer_list<LogField> fields) {
    return format_text("worker.recycled", fields.begin(), fields.size());
}

std::string json(std::initializer_list<LogField> fields) {
    return format_json(LogLevel::warning, "worker.recycled", fields.begin(), fields.size());
}

/// The JSON line without its time.
std::string json_rest(std::initializer_list<LogField> fields) {
    const std::string line = json(fields);
    return line.substr(line.find(",\"level\""));
}

std::string read_file(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

class Folder {
  public:
    Folder() {
        std::string name = std::filesystem::temp_directory_path() / "supervise-log-XXXXXX";
        path_ = ::mkdtemp(name.data());
    }
    ~Folder() { std::filesystem::remove_all(path_); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;
    std::filesystem::path operator/(const char* name) const { return path_ / name; }

  private:
    std::filesystem::path path_;
};

/// What `act` writes to stderr.
template <class Act>
std::string stderr_of(const Folder& folder, Act act) {
    const std::filesystem::path file = folder / "stderr";
    std::fflush(stderr);
    const UniqueFd saved(::dup(STDERR_FILENO));
    const UniqueFd out(::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
    ::dup2(out.get(), STDERR_FILENO);
    act();
    std::fflush(stderr);
    ::dup2(saved.get(), STDERR_FILENO);
    return read_file(file);
}

/// The journal's end of the socket.
class FakeJournal {
  public:
    explicit FakeJournal(const std::filesystem::path& path)
        : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path.string().copy(address.sun_path, sizeof address.sun_path - 1);
        REQUIRE(::bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    }
    /// The next entry; empty when there is none.
    std::string take() {
        std::array<char, 262'144> block{};
        const ssize_t got = ::recv(fd_.get(), block.data(), block.size(), 0);
        return got < 0 ? "" : std::string(block.data(), static_cast<std::size_t>(got));
    }

  private:
    UniqueFd fd_;
};

}  // namespace

TEST_CASE("a text line is the event and its fields", "[log]") {
    CHECK(text({}) == "worker.recycled");
    CHECK(text({{"pool", "mail"}, {"slot", 3}, {"rss", 512ULL}}) ==
          "worker.recycled pool=mail slot=3 rss=512");
}

TEST_CASE("text values that could be taken for something else stand in quotes", "[log]") {
    CHECK(text({{"a", ""}}) == "worker.recycled a=\"\"");
    CHECK(text({{"a", "b c=d"}}) == "worker.recycled a=\"b c=d\"");
    CHECK(text({{"a", "say \"x\"\\"}}) == "worker.recycled a=\"say \\\"x\\\"\\\\\"");
    CHECK(text({{"a", "x\ny\x1b[2J\x7f"}}) == "worker.recycled a=\"x\\u000ay\\u001b[2J\\u007f\"");
    CHECK(text({{"a", "Größe"}}) == "worker.recycled a=Größe");
    CHECK(text({{"a", "\xff"}}) == "worker.recycled a=\"\\ufffd\"");
    CHECK(text({{"a",
                 "\xc2\x9b"
                 "2J"}}) ==
          "worker.recycled a=\"\xc2\x9b"
          "2J\"");
}

TEST_CASE("a JSON line is one object with time, level and event first", "[log]") {
    const std::regex form(
        R"re(\{"time":"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z","level":"warning",)re"
        R"re("event":"worker\.recycled","pool":"mail","slot":3\})re");
    const std::string line = json({{"pool", "mail"}, {"slot", 3}});
    INFO(line);
    CHECK(std::regex_match(line, form));
}

TEST_CASE("JSON values are escaped, and are UTF-8 whatever came in", "[log]") {
    const std::string start = ",\"level\":\"warning\",\"event\":\"worker.recycled\",\"a\":";
    CHECK(json_rest({{"a", "\"\\\n\x01"}}) == start + R"("\"\\\u000a\u0001"})");
    CHECK(json_rest({{"a", "ö€😀"}}) == start + "\"ö€😀\"}");
    CHECK(json_rest({{"a", "\xc0\xaf"}}) == start + R"("\ufffd\ufffd"})");  // overlong
    CHECK(json_rest({{"a", "\xe0\x80\x80"}}) == start + R"("\ufffd\ufffd\ufffd"})");
    CHECK(json_rest({{"a", "\xed\xa0\x80"}}) == start + R"("\ufffd\ufffd\ufffd"})");  // surrogate
    CHECK(json_rest({{"a", "\xf4\x90\x80\x80"}}) == start + R"("\ufffd\ufffd\ufffd\ufffd"})");
    CHECK(json_rest({{"a", "\xe2\x82"}}) == start + R"("\ufffd\ufffd"})");  // cut off
    CHECK(json_rest({{"a", std::string_view("\0", 1)}}) == start + R"("\u0000"})");
}

TEST_CASE("a journal entry has the journal's own fields and one for each of ours", "[log]") {
    const LogField fields[] = {{"pool", "mail"}, {"max-rss", 512}};
    CHECK(format_journal(LogLevel::warning, "worker.recycled", fields, 2) ==
          "MESSAGE=worker.recycled pool=mail max-rss=512\n"
          "PRIORITY=4\n"
          "SYSLOG_IDENTIFIER=supervise\n"
          "SUPERVISE_EVENT=worker.recycled\n"
          "SUPERVISE_POOL=mail\n"
          "SUPERVISE_MAX_RSS=512\n");
    const auto priority = [](LogLevel level) {
        const std::string entry = format_journal(level, "e", nullptr, 0);
        return entry.substr(entry.find("PRIORITY="), 10);
    };
    CHECK(priority(LogLevel::debug) == "PRIORITY=7");
    CHECK(priority(LogLevel::info) == "PRIORITY=6");
    CHECK(priority(LogLevel::error) == "PRIORITY=3");
}

TEST_CASE("a journal value of several lines has its length before it", "[log]") {
    const std::string value = "line one\nSUPERVISE_POOL=forged\n" + std::string(300, 'x');
    const LogField fields[] = {{"error", value}};
    const std::string entry = format_journal(LogLevel::error, "job.failed", fields, 1);
    const std::string size("\x4b\x01\0\0\0\0\0\0", 8);  // 331, little-endian
    REQUIRE(value.size() == 331);
    CHECK(entry.ends_with("\nSUPERVISE_ERROR\n" + size + value + "\n"));
    CHECK_THAT(entry, ContainsSubstring("MESSAGE=job.failed error=\"line one\\u000aSUPERVISE_"));
}

TEST_CASE("a journal field's name is one that the journal takes", "[log]") {
    const std::string long_key(100, 'a');
    const LogField fields[] = {{"größe.x", "1"}, {long_key, "2"}};
    const std::string entry = format_journal(LogLevel::info, "e", fields, 2);
    CHECK_THAT(entry, ContainsSubstring("\nSUPERVISE_GR____E_X=1\n"));
    CHECK_THAT(entry, ContainsSubstring("\nSUPERVISE_" + std::string(54, 'A') + "=2\n"));
}

TEST_CASE("the journal's logger sends each entry that its level lets through", "[log]") {
    const Folder folder;
    FakeJournal journal(folder / "socket");
    const Logger logger = make_journal_logger(LogLevel::info, folder / "socket");
    logger.debug("not.this");
    logger.info("worker.ready", {{"slot", 1}});
    CHECK(journal.take() ==
          "MESSAGE=worker.ready slot=1\nPRIORITY=6\nSYSLOG_IDENTIFIER=supervise\n"
          "SUPERVISE_EVENT=worker.ready\nSUPERVISE_SLOT=1\n");
    CHECK(journal.take() == "");
}

TEST_CASE("without a journal, lines go to stderr after one warning", "[log]") {
    const Folder folder;
    const Logger logger = make_journal_logger(LogLevel::info, folder / "socket");
    const std::string before = stderr_of(folder, [&] {
        logger.info("one", {{"slot", 1}});
        logger.error("two");
    });
    const std::regex form(
        "\\S+Z warning log\\.journal_unreachable socket=\\S+/socket "
        "error=\"No such file or directory\"\n"
        "\\S+Z info one slot=1\n"
        "\\S+Z error two\n");
    INFO(before);
    CHECK(std::regex_match(before, form));

    // A journal that comes later is found.
    FakeJournal journal(folder / "socket");
    CHECK(stderr_of(folder, [&] { logger.info("three"); }) == "");
    CHECK_THAT(journal.take(), ContainsSubstring("MESSAGE=three\n"));
}

TEST_CASE("a journal that does not read stalls nobody, and is told what it missed", "[log]") {
    const Folder folder;
    FakeJournal journal(folder / "socket");
    const Logger logger = make_journal_logger(LogLevel::info, folder / "socket");
    constexpr int sent = 5'000;  // more than any queue of a datagram socket holds by default
    for (int i = 0; i < sent; ++i) {
        logger.info("flood", {{"number", i}});
    }
    int received = 0;
    while (!journal.take().empty()) {
        ++received;
    }
    CHECK(received > 0);
    CHECK(received < sent);
    logger.info("after");
    CHECK_THAT(
        journal.take(),
        ContainsSubstring("MESSAGE=log.left_out count=" + std::to_string(sent - received) + "\n"));
    CHECK_THAT(journal.take(), ContainsSubstring("MESSAGE=after\n"));
    CHECK(journal.take() == "");
}

TEST_CASE("an entry too long for the journal goes to stderr", "[log]") {
    const Folder folder;
    FakeJournal journal(folder / "socket");
    const Logger logger = make_journal_logger(LogLevel::info, folder / "socket");
    const std::string huge(4'000'000, 'x');
    const std::string out = stderr_of(folder, [&] { logger.info("huge", {{"line", huge}}); });
    CHECK(out.ends_with(" info huge line=" + huge + "\n"));
    CHECK(journal.take() == "");
}

TEST_CASE("the stderr logger writes whole lines in its format", "[log]") {
    const Folder folder;
    const std::string as_text = stderr_of(folder, [] {
        make_stderr_logger(LogLevel::info, LogFormat::text).info("one", {{"brace", "{}%d"}});
    });
    CHECK(std::regex_match(as_text, std::regex("\\S+Z info one brace=\\{\\}%d\n")));
    const std::string as_json = stderr_of(
        folder, [] { make_stderr_logger(LogLevel::info, LogFormat::json).warning("two"); });
    CHECK(std::regex_match(
        as_json, std::regex(R"re(\{"time":"\S+Z","level":"warning","event":"two"\}\n)re")));
}

TEST_CASE("a log file is appended to, and opened anew when it has been moved away", "[log]") {
    const Folder folder;
    const std::filesystem::path file = folder / "log";
    std::ofstream(file) << "old\n";
    const Logger logger = make_file_logger(file, LogLevel::info, LogFormat::text);
    const Logger other = make_file_logger(folder / "other", LogLevel::info, LogFormat::text);
    logger.info("one");
    std::filesystem::rename(file, folder / "log.1");
    std::filesystem::rename(folder / "other", folder / "other.1");
    logger.info("two");
    CHECK(reopen_log_files().has_value());
    logger.info("three");
    other.info("four");
    CHECK(std::regex_match(read_file(folder / "log.1"),
                           std::regex("old\n\\S+Z info one\n\\S+Z info two\n")));
    CHECK(std::regex_match(read_file(file), std::regex("\\S+Z info three\n")));
    CHECK(std::regex_match(read_file(folder / "other"), std::regex("\\S+Z info four\n")));
}

TEST_CASE("a log file that cannot be opened again stays in use, and is an error", "[log]") {
    const Folder folder;
    std::filesystem::create_directory(folder / "logs");
    const std::filesystem::path file = folder / "logs/log";
    const Logger logger = make_file_logger(file, LogLevel::info, LogFormat::text);
    std::filesystem::rename(folder / "logs", folder / "moved");
    const Result<void> outcome = reopen_log_files();
    REQUIRE(outcome.has_error());
    CHECK(outcome.error().message() ==
          "open log file " + file.string() + ": No such file or directory");
    logger.info("still");
    CHECK(std::regex_match(read_file(folder / "moved/log"), std::regex("\\S+Z info still\n")));
}

TEST_CASE("a log file that cannot be opened at all is an exception that names it", "[log]") {
    const Folder folder;
    const std::string missing = folder / "none/log";
    CHECK_THROWS_WITH(make_file_logger(missing, LogLevel::info, LogFormat::text),
                      "open log file " + missing + ": No such file or directory");
    CHECK_THROWS_AS(make_file_logger(folder / "log", LogLevel::info, LogFormat::journald),
                    ErrorException);
}

TEST_CASE("a full disk is told once and is no end", "[log]") {
    if (!std::filesystem::exists("/dev/full")) {
        SUPERVISE_SKIP("there is no /dev/full");
    }
    const Folder folder;
    const Logger logger = make_file_logger("/dev/full", LogLevel::info, LogFormat::text);
    const std::string out = stderr_of(folder, [&] {
        logger.info("one");
        logger.info("two");
    });
    CHECK(out ==
          "supervise: write log file /dev/full: No space left on device; lines are being lost\n");
}
