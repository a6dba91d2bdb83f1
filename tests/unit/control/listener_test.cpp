#include "supervisor/control/listener.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <filesystem>

#include "control_server.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;
using supervise::control::Listener;
using supervise::test::ContainsSubstring;

namespace {

mode_t mode_of(const std::string& path) {
    struct stat status {};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    return status.st_mode & 07777;
}

}  // namespace

TEST_CASE("the control socket is its user's own, and others' too when asked", "[listener]") {
    const test::TempDir dir;
    const std::string path = dir.path() + "/control.sock";
    {
        const auto listener = Listener::on_path(path, false);
        REQUIRE(listener.has_value());
        CHECK(mode_of(path) == 0600);
        CHECK((::fcntl(listener->fd(), F_GETFD) & FD_CLOEXEC) != 0);
    }
    CHECK_FALSE(std::filesystem::exists(path));
    const auto listener = Listener::on_path(path, true);
    REQUIRE(listener.has_value());
    CHECK(mode_of(path) == 0666);
}

TEST_CASE("a socket that a dead supervisor left is taken over", "[listener]") {
    const test::TempDir dir;
    const std::string path = dir.path() + "/control.sock";
    REQUIRE(::mknod(path.c_str(), S_IFSOCK | 0600, 0) == 0);
    CHECK(Listener::on_path(path, false).has_value());
}

TEST_CASE("a path that cannot be had is an error that names it", "[listener]") {
    const test::TempDir dir;
    const auto too_long = Listener::on_path(dir.path() + '/' + std::string(100, 'x'), false);
    REQUIRE(too_long.has_error());
    CHECK_THAT(too_long.error().message(), ContainsSubstring("107 bytes"));
    const auto nowhere = Listener::on_path(dir.path() + "/no/control.sock", false);
    REQUIRE(nowhere.has_error());
    CHECK_THAT(nowhere.error().message(), ContainsSubstring("/no/control.sock: No such file"));
}

TEST_CASE("an address in use is an error that names it", "[listener]") {
    const auto first = Listener::on_address("127.0.0.1:0");
    REQUIRE(first.has_value());
    CHECK(first->name() != "127.0.0.1:0");
    const auto second = Listener::on_address(first->name());
    REQUIRE(second.has_error());
    CHECK_THAT(second.error().message(), ContainsSubstring(first->name()));
    CHECK_THAT(second.error().message(), ContainsSubstring("in use"));
}

TEST_CASE("an address that is none is an error that says how to write one", "[listener]") {
    for (const char* address : {"9877", ":9877", "127.0.0.1:", "127.0.0.1:http", "300.1.1.1:1"}) {
        CAPTURE(address);
        const auto listener = Listener::on_address(address);
        REQUIRE(listener.has_error());
        CHECK_THAT(listener.error().message(), ContainsSubstring(address));
    }
}

TEST_CASE("a server that cannot have its TCP address leaves no socket behind", "[listener]") {
    const auto taken = Listener::on_address("127.0.0.1:0");
    REQUIRE(taken.has_value());
    boost::asio::io_context io;
    test::FakeControlApi api;
    const test::TempDir dir;
    control::HttpServer::Options options;
    options.runtime_dir = dir.path();
    options.listen = taken->name();
    control::HttpServer server(io.get_executor(), api, system_clock(), Logger{}, options);
    const auto opened = server.open();
    REQUIRE(opened.has_error());
    CHECK_THAT(opened.error().message(), ContainsSubstring(taken->name()));
    CHECK_FALSE(std::filesystem::exists(server.socket_path()));
}
