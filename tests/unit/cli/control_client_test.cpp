#include "supervisor/cli/control_client.hpp"

#include <poll.h>

#include "supervisor/control/listener.hpp"
#include "tests/support/catch.hpp"
#include "tests/unit/control/control_server.hpp"

using namespace supervise;
using namespace std::chrono_literals;
using supervise::cli::ControlClient;

TEST_CASE("a request is answered", "[client]") {
    test::ControlServer server;
    server.start();
    const ControlClient client(server.server().socket_path());
    const auto got = client.get("/healthz", 10s);
    REQUIRE(got.has_value());
    CHECK(got->status == 200);
    CHECK(got->body == "ok\n");
    const auto posted = client.post("/pools/reports/pause", "{}", std::nullopt);
    REQUIRE(posted.has_value());
    CHECK(posted->status == 200);
}

TEST_CASE("where nobody listens, the error says which kind of nobody", "[client]") {
    const test::TempDir dir;
    const std::string path = dir.path() + "/control.sock";
    CHECK(ControlClient(path).get("/", 10s).error().code.value() == ENOENT);
    REQUIRE(::mknod(path.c_str(), S_IFSOCK | 0600, 0) == 0);
    CHECK(ControlClient(path).get("/", 10s).error().code.value() == ECONNREFUSED);
    CHECK(ControlClient(std::string(200, 'x')).get("/", 10s).error().code.value() == ENAMETOOLONG);
}

TEST_CASE("a supervisor that does not answer is given up", "[client]") {
    const test::TempDir dir;
    const auto deaf = control::Listener::on_path(dir.path() + "/control.sock", false);
    REQUIRE(deaf.has_value());
    const auto answer = ControlClient(deaf->name()).get("/status", 50ms);
    REQUIRE(answer.has_error());
    CHECK(answer.error().code.value() == ETIMEDOUT);
}

TEST_CASE("a supervisor that goes away before it answers is an error", "[client]") {
    const test::TempDir dir;
    const auto listener = control::Listener::on_path(dir.path() + "/control.sock", false);
    REQUIRE(listener.has_value());
    std::thread closing([&] {
        pollfd ready{listener->fd(), POLLIN, 0};
        ::poll(&ready, 1, 20'000);
        const UniqueFd client(::accept(listener->fd(), nullptr, nullptr));
    });
    const auto answer = ControlClient(listener->name()).get("/status", 10s);
    closing.join();
    REQUIRE(answer.has_error());
    CHECK(answer.error().code.value() == ECONNRESET);
}

TEST_CASE("the supervisor's process can be waited for", "[client]") {
    test::ControlServer server;
    server.start();
    const auto process = ControlClient(server.server().socket_path()).supervisor_process();
    REQUIRE(process.has_value());
    pollfd gone{process->get(), POLLIN, 0};
    CHECK(::poll(&gone, 1, 0) == 0);  // that is this very process
}
