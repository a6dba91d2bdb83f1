#include "base/unix_socket.hpp"

#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <filesystem>
#include <fstream>
#include <utility>
#include <vector>

#include "base/unique_fd.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;
namespace fs = std::filesystem;

namespace {

struct Folder {
    Folder() {
        char name[] = "/tmp/supervise-socket-XXXXXX";
        path = ::mkdtemp(name);
    }
    ~Folder() { fs::remove_all(path); }
    Folder(const Folder&) = delete;
    Folder& operator=(const Folder&) = delete;

    std::size_t files() const {
        return static_cast<std::size_t>(
            std::distance(fs::directory_iterator(path), fs::directory_iterator()));
    }

    fs::path path;
};

UniqueFd make_socket() {
    return UniqueFd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

bool connects(const fs::path& path) {
    const UniqueFd client = make_socket();
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.string().copy(address.sun_path, sizeof address.sun_path - 1);
    return ::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) ==
           0;
}

/// What happened to the names of a folder since watch() began: mask and name.
std::vector<std::pair<std::uint32_t, std::string>> events(int watcher) {
    std::vector<std::pair<std::uint32_t, std::string>> found;
    alignas(inotify_event) char buffer[4096];
    const ssize_t got = ::read(watcher, buffer, sizeof buffer);
    for (ssize_t at = 0; at < got;) {
        const auto* event = reinterpret_cast<const inotify_event*>(buffer + at);
        found.emplace_back(event->mask, event->name);
        at += static_cast<ssize_t>(sizeof *event + event->len);
    }
    return found;
}

}  // namespace

TEST_CASE("a socket gets its name when it listens, and not before", "[socket]") {
    const Folder folder;
    const fs::path path = folder.path / "pool.sock";
    const UniqueFd watcher(::inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    REQUIRE(::inotify_add_watch(watcher.get(), folder.path.c_str(), IN_CREATE | IN_MOVED_TO) >= 0);
    const UniqueFd socket = make_socket();
    REQUIRE(listen_at(socket.get(), path, 0600, 5).has_value());
    CHECK(connects(path));
    std::uint32_t how = 0;
    for (const auto& [mask, name] : events(watcher.get())) {
        how |= name == "pool.sock" ? mask : 0U;
    }
    CHECK(how == IN_MOVED_TO);
    CHECK(folder.files() == 1);
}

TEST_CASE("what a dead program left of a socket is no hindrance", "[socket]") {
    const Folder folder;
    const fs::path path = folder.path / "pool.sock";
    REQUIRE(::mknod(path.c_str(), S_IFSOCK | 0600, 0) == 0);
    REQUIRE(::mknod((folder.path / "pool.soc~").c_str(), S_IFSOCK | 0600, 0) == 0);
    const UniqueFd socket = make_socket();
    REQUIRE(listen_at(socket.get(), path, 0600, 5).has_value());
    CHECK(connects(path));
    CHECK(folder.files() == 1);
}

TEST_CASE("a path may have 107 bytes", "[socket]") {
    const Folder folder;
    const std::size_t room = 107 - folder.path.string().size() - 1;
    const UniqueFd socket = make_socket();
    const Result<void> refused =
        listen_at(socket.get(), folder.path / std::string(room + 1, 'p'), 0600, 5);
    REQUIRE(refused.has_error());
    CHECK(refused.error().code.value() == ENAMETOOLONG);
    REQUIRE(listen_at(socket.get(), folder.path / std::string(room, 'p'), 0600, 5).has_value());
    CHECK(connects(folder.path / std::string(room, 'p')));
}

TEST_CASE("a socket that cannot be had leaves no file behind", "[socket]") {
    const Folder folder;
    const fs::path path = folder.path / "pool.sock";
    const UniqueFd socket = make_socket();
    SECTION("a folder has its name") {
        fs::create_directory(path);
        CHECK_FALSE(listen_at(socket.get(), path, 0600, 5).has_value());
    }
    SECTION("a file has the name that it passes through") {
        std::ofstream(folder.path / "pool.soc~") << "mine";
        CHECK_FALSE(listen_at(socket.get(), path, 0600, 5).has_value());
    }
    CHECK(folder.files() == 1);
}
