#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <random>

#include "tests/support/catch.hpp"
#include "tests/unit/config/support.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

constexpr const char* smallest = "[pool.mail]\napp = \"mail.tasks\"\n";

std::string name_of_owner() { return std::to_string(::geteuid()); }

}  // namespace

TEST_CASE("the smallest config has every default", "[config][load]") {
    const config::Loaded loaded = load_pool("");
    REQUIRE(loaded.report() == "");
    const PoolSettings& pool = only_pool(loaded);
    CHECK(pool.name == "mail");
    CHECK(pool.app == "mail.tasks");
    CHECK(pool.python == "python3");
    CHECK(pool.directory == "/tmp");
    CHECK(pool.min_workers == 1);
    CHECK(pool.max_workers == 1);
    CHECK(pool.recycle == RecycleSettings{});
    CHECK(pool.memory == MemorySettings{});
    CHECK(pool.restart == RestartSettings{});
    CHECK(pool.jobs == JobSettings{});
    CHECK(pool.output == OutputSettings{});
    CHECK(pool.limits.empty());
    CHECK(loaded.settings.supervisor.log == LogSettings{});
}

TEST_CASE("workers is a number or a range", "[config][load]") {
    CHECK(only_pool(load_pool("workers = 4")).min_workers == 4);
    CHECK(only_pool(load_pool("workers = 4")).max_workers == 4);
    CHECK(only_pool(load_pool("workers = { min = 2, max = 8 }")).min_workers == 2);
    CHECK(only_pool(load_pool("workers = { min = 2, max = 8 }")).max_workers == 8);
}

TEST_CASE("limits take numbers, sizes, times and unlimited, each as it fits", "[config][load]") {
    const config::Loaded loaded = load_pool(
        "limits = { stack = \"8M\", nofile = 64, core = \"unlimited\", data = 4096, cpu = 2.0 }");
    const PoolSettings& pool = only_pool(loaded);
    const std::vector<ResourceLimit> expected{{RLIMIT_NOFILE, "nofile", 64},
                                              {RLIMIT_CORE, "core", UINT64_MAX},
                                              {RLIMIT_DATA, "data", 4'096},
                                              {RLIMIT_STACK, "stack", 8ULL << 20},
                                              {RLIMIT_CPU, "cpu", 2}};
    CHECK(pool.limits == expected);
}

TEST_CASE("a umask is octal", "[config][load]") {
    CHECK(only_pool(load_pool("umask = \"0027\"")).umask == 027U);
    CHECK(only_pool(load_pool("umask = \"22\"")).umask == 022U);
    CHECK_FALSE(only_pool(load_pool("")).umask);
}

TEST_CASE("a name for the loopback address becomes the address", "[config][load]") {
    const auto listen = [](const std::string& text) {
        return config::load_text("supervisor.listen = \"" + text + "\"\npool.a.app = \"a\"", "w",
                                 "/tmp")
            .settings.supervisor.listen;
    };
    CHECK(listen("localhost:80") == "127.0.0.1:80");
    CHECK(listen("[::]:65535") == "[::]:65535");
    CHECK_FALSE(listen("::1:80"));
    CHECK_FALSE(listen("127.0.0.1:"));
    CHECK_FALSE(listen("127.0.0.1:80x"));
    CHECK_FALSE(listen("127.0.0.1:0"));
}

TEST_CASE("relative paths count from the config file's folder", "[config][load]") {
    const TemporaryFolder folder;
    const std::string base = folder.path();
    write_file(folder.path() / ".venv/bin/python", "");
    std::filesystem::permissions(folder.path() / ".venv/bin/python",
                                 std::filesystem::perms::owner_all);
    for (const char* name : {"work", "lib"}) {
        std::filesystem::create_directory(folder.path() / name);
    }
    write_file(folder.path() / "workers.toml",
               "[supervisor]\nruntime_dir = \"run\"\nlog = { file = \"./supervise.log\" }\n"
               "[pool.mail]\napp = \"a\"\npython = \".venv/bin/python\"\ndirectory = \"work\"\n"
               "module_path = [ \"lib\", \"..\", \".\" ]\n");
    const config::Loaded loaded = config::load_file(base + "/workers.toml");
    REQUIRE(loaded.report() == "");
    const PoolSettings& pool = only_pool(loaded);
    CHECK(loaded.settings.supervisor.runtime_dir == base + "/run");
    CHECK(loaded.settings.supervisor.log.file == base + "/supervise.log");
    CHECK(pool.python == base + "/.venv/bin/python");
    CHECK(pool.directory == base + "/work");
    CHECK(pool.module_path == std::vector<std::string>{base + "/lib", base + "/..", base});
}

TEST_CASE("the runtime directory defaults to what the environment offers", "[config][load]") {
    const std::string in_tmp = "/tmp/supervise-" + std::to_string(::getuid());
    ::setenv("RUNTIME_DIRECTORY", "/run/one:/run/two", 1);
    ::setenv("XDG_RUNTIME_DIR", "/run/user/7", 1);
    CHECK(config::default_runtime_dir() == "/run/one");
    ::setenv("RUNTIME_DIRECTORY", "", 1);
    CHECK(config::default_runtime_dir() == "/run/user/7/supervise");
    ::unsetenv("RUNTIME_DIRECTORY");
    CHECK(config::default_runtime_dir() == "/run/user/7/supervise");
    ::setenv("XDG_RUNTIME_DIR", "relative", 1);
    CHECK(config::default_runtime_dir() == in_tmp);
    ::unsetenv("XDG_RUNTIME_DIR");
    CHECK(config::default_runtime_dir() == in_tmp);
    CHECK(load_pool("").settings.supervisor.runtime_dir == in_tmp);
}

TEST_CASE("a file that cannot be read is one error that says why", "[config][load]") {
    const TemporaryFolder folder;
    const std::string missing = folder.path() / "none.toml";
    CHECK(config::load_file(missing).report() ==
          missing +
              ":1:1: error: there is no such file: create it, or name another with --config\n");
    CHECK(config::load_file(folder.path()).report() ==
          folder.path().string() + ":1:1: error: this is a folder: name the config file in it\n");
    CHECK(config::load_file("/dev/zero").report() ==
          "/dev/zero:1:1: error: the file is larger than 1 MiB: a config of this size is not "
          "read\n");
    if (::geteuid() != 0) {
        const std::filesystem::path secret = folder.path() / "secret.toml";
        write_file(secret, smallest);
        std::filesystem::permissions(secret, std::filesystem::perms::none);
        CHECK(config::load_file(secret).report() ==
              secret.string() + ":1:1: error: user " + name_of_owner() +
                  " may not read this file: change its owner or mode\n");
    }
}

TEST_CASE("a pool has a spare by default only where it can be forked", "[config][load]") {
    CHECK_FALSE(only_pool(load_pool("")).preload);
    CHECK(only_pool(load_pool("")).spare == 0);
    CHECK(only_pool(load_pool("spare = 64")).spare == 64);
    CHECK(only_pool(load_pool("preload = true")).preload);
    CHECK(only_pool(load_pool("preload = true")).spare == 1);
    CHECK(only_pool(load_pool("spare = 0\npreload = true")).spare == 0);
}

TEST_CASE("what follows unsafe forking is one of three words", "[config][load]") {
    const auto choice = [](const std::string& line) {
        const config::Loaded loaded = load_pool("preload = true\n" + line);
        CHECK(loaded.report() == "");
        return only_pool(loaded).on_unsafe_fork;
    };
    CHECK(choice("") == OnUnsafeFork::spawn);
    CHECK(choice("on_unsafe_fork = 'spawn'") == OnUnsafeFork::spawn);
    CHECK(choice("on_unsafe_fork = 'refuse'") == OnUnsafeFork::refuse);
    CHECK(choice("on_unsafe_fork = 'fork'") == OnUnsafeFork::fork);
}

TEST_CASE("warnings alone are no error", "[config][load]") {
    const config::Loaded loaded = load_pool("on_unsafe_fork = 'fork'");
    CHECK(loaded.report() ==
          "workers.toml:3:18: warning: on_unsafe_fork has no effect without preload = true: "
          "nothing is forked then\n");
    CHECK_FALSE(loaded.has_errors());
    CHECK(only_pool(loaded).on_unsafe_fork == OnUnsafeFork::fork);
}

TEST_CASE("a megabyte of rubbish gives its hundred errors quickly", "[config][load]") {
    std::string keys;
    std::string pools;
    std::string variables = "[pool.a]\napp = 'a'\n[pool.a.environment]\n";
    std::string header;
    for (int i = 0; keys.size() < 1'000'000; ++i) {
        keys += "max_taks" + std::to_string(i) + " = 1\n";
    }
    for (int i = 0; pools.size() < 1'000'000; ++i) {
        pools += "[pool.p" + std::to_string(i) + "]\nwrokers = 'x'\n";
    }
    for (int i = 0; variables.size() < 1'000'000; ++i) {
        variables += "V" + std::to_string(i) + " = 1\n";
    }
    std::string list = "[pool.a]\napp = 'a'\nclients = [";
    while (list.size() < 1'000'000) {
        list += "'nobody',";
    }
    const auto start = std::chrono::steady_clock::now();
    const config::Loaded many = config::load_text(keys, "w", "/tmp");
    CHECK(many.diagnostics.size() == 100);
    CHECK(many.left_out > 10'000);
    CHECK(many.has_errors());
    CHECK(many.report().ends_with("\nand " + std::to_string(many.left_out) + " more\n"));
    CHECK(config::load_text(pools, "w", "/tmp").diagnostics.size() == 100);
    CHECK(config::load_text(variables, "w", "/tmp").report() ==
          "w:3:1: error: environment has " +
              std::to_string(std::count(variables.begin(), variables.end(), '\n') - 3) +
              " variables: write at most 256\n");
    CHECK(config::load_text(list + "]", "w", "/tmp").diagnostics.size() == 1);
    // Far more than it takes, even with sanitizers on a busy machine.
    CHECK(std::chrono::steady_clock::now() - start < 30s);
}

TEST_CASE("random changes to a good file never do worse than give errors", "[config][load]") {
    const std::string sample = read_file(source_dir / "examples/workers.toml");
    const std::string_view bits[] = {"\"", "'", "[",  "]", "{",  "}",    "=",    ".",
                                     ",",  "#", "\n", "0", "-1", "1e99", "\xff", "é"};
    std::mt19937 random(20);  // always the same texts
    for (int round = 0; round < 300; ++round) {
        std::string text = sample;
        for (int change = 0; change < 4; ++change) {
            const std::size_t at = random() % text.size();
            const std::string_view bit = bits[random() % std::size(bits)];
            text.replace(at, random() % 4, bit);
        }
        const config::Loaded loaded = config::load_text(text, "w", "/tmp");
        INFO(text);
        if (!loaded.has_errors()) {
            const config::Loaded again =
                config::load_text(config::effective_toml(loaded.settings), "w", "/tmp");
            CHECK(again.settings == loaded.settings);
        }
        CHECK(loaded.diagnostics.size() <= 100);
    }
}
