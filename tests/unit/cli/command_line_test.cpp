#include "supervisor/cli/command_line.hpp"

#include "supervisor/cli/cli.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;
using namespace supervise::cli;
using supervise::test::ContainsSubstring;
using Command = CommandLine::Command;

namespace {

std::variant<CommandLine, Said> parse(std::vector<const char*> words) {
    words.insert(words.begin(), "supervise");
    return parse_command_line(static_cast<int>(words.size()), words.data());
}

CommandLine good(const std::vector<const char*>& words) {
    const auto parsed = parse(words);
    if (const auto* said = std::get_if<Said>(&parsed)) {
        FAIL(said->text);
    }
    return std::get<CommandLine>(parsed);
}

Said said(const std::vector<const char*>& words) {
    const auto parsed = parse(words);
    REQUIRE(std::holds_alternative<Said>(parsed));
    return std::get<Said>(parsed);
}

std::string usage_error(const std::vector<const char*>& words) {
    const Said answer = said(words);
    CHECK(answer.exit_code == exit_usage);
    return answer.text;
}

}  // namespace

TEST_CASE("a config file alone runs it", "[cli]") {
    for (const auto& words : std::vector<std::vector<const char*>>{
             {"--config", "w.toml"}, {"run", "--config", "w.toml"}, {"--config=w.toml", "run"}}) {
        const CommandLine line = good(words);
        CHECK(line.command == Command::run);
        CHECK(line.config == "w.toml");
    }
}

TEST_CASE("check takes its file with or without --config", "[cli]") {
    CHECK(good({"check", "w.toml"}).config == "w.toml");
    CHECK(good({"check", "--config", "w.toml"}).config == "w.toml");
}

TEST_CASE("the runtime directory may stand before or behind the command", "[cli]") {
    CHECK(good({"--runtime-dir", "/r", "status"}).runtime_dir == "/r");
    CHECK(good({"status", "--runtime-dir", "/r"}).runtime_dir == "/r");
}

TEST_CASE("an option of another command is a usage error, not ignored", "[cli]") {
    CHECK_THAT(usage_error({"--config", "w.toml", "--runtime-dir", "/r"}),
               ContainsSubstring("takes runtime_dir"));
    CHECK_THAT(usage_error({"check", "w.toml", "--runtime-dir", "/r"}),
               ContainsSubstring("takes runtime_dir"));
    CHECK_THAT(usage_error({"status", "--lifeline", "3"}),
               ContainsSubstring("--lifeline is for run"));
}

TEST_CASE("status has its kinds", "[cli]") {
    CHECK_FALSE(good({"status"}).watch);
    CHECK(good({"status", "--json"}).json);
    CHECK(good({"status", "--watch"}).watch == 2.0);
    CHECK(good({"status", "--watch", "0.5", "--json"}).watch == 0.5);
    CHECK(good({"status", "--watch", "--json"}).watch == 2.0);
}

TEST_CASE("submit takes the pool, the task and any IDs", "[cli]") {
    CHECK(good({"submit", "p", "a.b"}).ids.empty());
    const CommandLine line =
        good({"submit", "p", "a.b", "42", "x", "[1,2]", "--priority", "9", "--wait"});
    CHECK(line.pool == "p");
    CHECK(line.task == "a.b");
    CHECK(line.ids ==
          std::vector<ipc::Id>{std::int64_t{42}, std::string("x"), std::string("[1,2]")});
    CHECK(line.priority == 9);
    CHECK(line.wait);
    CHECK_FALSE(line.timeout);
    CHECK(good({"submit", "p", "a.b", "--wait", "--timeout", "1.5"}).timeout == 1.5);
}

TEST_CASE("IDs that look like options go behind two dashes", "[cli]") {
    CHECK(good({"submit", "p", "a.b", "--wait", "--", "-40", "-2"}).ids ==
          std::vector<ipc::Id>{std::int64_t{-40}, std::int64_t{-2}});
    CHECK(good({"submit", "p", "a.b", "1", "--", "-2", "[3]", "--wait"}).ids ==
          std::vector<ipc::Id>{std::int64_t{1}, std::int64_t{-2}, std::string("[3]"),
                               std::string("--wait")});
    CHECK(good({"submit", "p", "a.b", "--"}).ids.empty());
    CHECK(good({"submit", "p", "a.b", "-40"}).ids == std::vector<ipc::Id>{std::int64_t{-40}});
    CHECK_THAT(usage_error({"submit", "p", "a.b", "-x"}), ContainsSubstring("goes behind --"));
    CHECK_THAT(usage_error({"submit", "p", "a.b", "--prio", "3"}),
               ContainsSubstring("goes behind --"));
}

TEST_CASE("recycle takes a pool, one of its slots, its template or its front", "[cli]") {
    CHECK(good({"recycle", "p"}).pool == "p");
    CHECK_FALSE(good({"recycle", "p"}).slot);
    CHECK_FALSE(good({"recycle", "p"}).renew_template);
    CHECK(good({"recycle", "p/2"}).slot == 2U);
    CHECK_FALSE(good({"recycle", "p/2"}).renew_template);
    CHECK(good({"recycle", "p", "--template"}).renew_template);
    CHECK(good({"recycle", "--template", "p"}).pool == "p");
    CHECK_THAT(usage_error({"recycle", "p/2", "--template"}),
               ContainsSubstring("write p --template, without a slot"));
    CHECK_THAT(said({"recycle", "--help"}).text, ContainsSubstring("--template"));
    CHECK_FALSE(good({"recycle", "p", "--template"}).front);
    CHECK(good({"recycle", "p", "--front"}).front);
    CHECK_THAT(usage_error({"recycle", "p/2", "--front"}),
               ContainsSubstring("write p --front, without a slot"));
    CHECK_THAT(usage_error({"recycle", "p", "--front", "--template"}),
               ContainsSubstring("exclude each other"));
}

TEST_CASE("why takes a job or a slot", "[cli]") {
    CHECK(good({"why", "812"}).job == 812);
    CHECK(good({"why", "812"}).pool.empty());
    CHECK(good({"why", "p/2"}).pool == "p");
    CHECK(good({"why", "p/2"}).slot == 2U);
}

TEST_CASE("the rest is simple", "[cli]") {
    CHECK(good({"scale", "p", "0"}).workers == 0);
    CHECK(good({"pause", "p"}).command == Command::pause);
    CHECK(good({"resume", "p"}).command == Command::resume);
    CHECK(good({"reload"}).command == Command::reload);
    CHECK(good({"doctor"}).command == Command::doctor);
    CHECK_FALSE(good({"stop"}).wait);
    CHECK(good({"stop", "--wait"}).wait);
}

TEST_CASE("what is typed wrong is a usage error with a hint", "[cli]") {
    const auto words = GENERATE(
        std::vector<const char*>{}, std::vector<const char*>{"nonsense"},
        std::vector<const char*>{"run"}, std::vector<const char*>{"check"},
        std::vector<const char*>{"check", "a", "b"}, std::vector<const char*>{"--config"},
        std::vector<const char*>{"status", "--nonsense"},
        std::vector<const char*>{"status", "--watch", "soon"},
        std::vector<const char*>{"status", "--watch", "0"}, std::vector<const char*>{"scale", "p"},
        std::vector<const char*>{"scale", "p", "many"},
        std::vector<const char*>{"scale", "p", "-1"},
        std::vector<const char*>{"scale", "p", "1025"}, std::vector<const char*>{"submit"},
        std::vector<const char*>{"submit", "p"},
        std::vector<const char*>{"submit", "p", "a.b", "--priority", "10"},
        std::vector<const char*>{"submit", "p", "a.b", "--timeout", "1"},
        std::vector<const char*>{"submit", "p", "a.b", "--wait", "--timeout", "-1"},
        std::vector<const char*>{"submit", "p", "a.b", "9223372036854775808"},
        std::vector<const char*>{"recycle"}, std::vector<const char*>{"recycle", "p/"},
        std::vector<const char*>{"recycle", "p/0"}, std::vector<const char*>{"recycle", "/1"},
        std::vector<const char*>{"recycle", "--template"},
        std::vector<const char*>{"scale", "p", "2", "--template"}, std::vector<const char*>{"why"},
        std::vector<const char*>{"why", "nonsense"}, std::vector<const char*>{"why", "-1"},
        std::vector<const char*>{"status", "reload"});
    std::string typed;
    for (const char* word : words) {
        typed += std::string(word) + ' ';
    }
    CAPTURE(typed);
    const std::string text = usage_error(words);
    CHECK(text.starts_with("supervise: "));
    CHECK_THAT(text, ContainsSubstring("--help"));
}

TEST_CASE("more IDs than a job takes are a usage error", "[cli]") {
    std::vector<const char*> words = {"submit", "p", "a.b"};
    words.insert(words.end(), 100, "1");
    CHECK(good(words).ids.size() == 100);
    words.push_back("1");
    CHECK_THAT(usage_error(words), ContainsSubstring("at most 100 IDs"));
}

TEST_CASE("help names every command, the sockets and the exit codes", "[cli]") {
    const Said help = said({"--help"});
    CHECK(help.exit_code == exit_done);
    for (const char* word :
         {"run", "check", "status", "doctor", "submit", "recycle", "scale", "pause", "resume",
          "reload", "stop", "why", "--runtime-dir", "$SUPERVISE_RUNTIME_DIR", "69", "75", "78"}) {
        CHECK_THAT(help.text, ContainsSubstring(word));
    }
    for (std::size_t at = 0; at < help.text.size();) {
        const std::size_t end = std::min(help.text.find('\n', at), help.text.size());
        CAPTURE(help.text.substr(at, end - at));
        CHECK(end - at <= 100);
        at = end + 1;
    }
}

TEST_CASE("each command's help has an example", "[cli]") {
    for (const char* command : {"run", "check", "status", "doctor", "submit", "recycle", "scale",
                                "pause", "resume", "reload", "stop", "why"}) {
        const Said help = said({command, "--help"});
        CHECK(help.exit_code == exit_done);
        CHECK_THAT(help.text, ContainsSubstring("Example"));
        CHECK_THAT(help.text, ContainsSubstring(std::string("supervise ") + command));
    }
}

TEST_CASE("the version is told", "[cli]") {
    CHECK(said({"--version"}).exit_code == exit_done);
    CHECK(said({"--version"}).text.starts_with("supervise "));
    CHECK(said({"version"}).text == said({"--version"}).text);
}
