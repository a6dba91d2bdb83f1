// What the server puts up with, and how it refuses the rest.
#include <sys/wait.h>
#include <unistd.h>

#include <list>

#include "control_server.hpp"
#include "raw_client.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;
using namespace supervise::test;

TEST_CASE("an unknown path is told the known ones", "[http]") {
    ControlServer server;
    server.start();
    const RawResponse response = RawClient::on_path(server.runtime_dir()).get("/stats");
    CHECK(response.status == 404);
    CHECK_THAT(response.body, ContainsSubstring("unknown_path"));
    CHECK_THAT(response.body, ContainsSubstring("\"GET /status\""));
    CHECK_THAT(response.body, ContainsSubstring("\"POST /pools/{pool}/jobs\""));
}

TEST_CASE("a wrong method is told the right one", "[http]") {
    ControlServer server;
    server.start();
    RawClient client = RawClient::on_path(server.runtime_dir());
    const RawResponse post = client.post("/status");
    CHECK(post.status == 405);
    CHECK_THAT(post.head, ContainsSubstring("Allow: GET\r\n"));
    const RawResponse get = client.get("/stop");
    CHECK(get.status == 405);
    CHECK_THAT(get.head, ContainsSubstring("Allow: POST\r\n"));
    CHECK(client.ask("BREW / HTTP/1.1\r\n\r\n").status == 405);
    CHECK(server.api.calls().empty());
}

TEST_CASE("HEAD is GET without the body", "[http]") {
    ControlServer server;
    server.start();
    RawClient client = RawClient::on_path(server.runtime_dir());
    client.send("HEAD /healthz HTTP/1.1\r\nConnection: close\r\n\r\n");
    const RawResponse response = client.receive();
    CHECK(response.status == 200);
    CHECK_THAT(response.head, ContainsSubstring("Content-Length: 3\r\n"));
    CHECK(response.body.empty());
}

TEST_CASE("a connection serves many requests, also when they come at once", "[http]") {
    ControlServer server;
    server.start();
    RawClient client = RawClient::on_path(server.runtime_dir());
    for (int i = 0; i < 100; ++i) {
        REQUIRE(client.get("/healthz").status == 200);
    }
    std::string many;
    for (int i = 0; i < 50; ++i) {
        many += "GET /healthz HTTP/1.1\r\n\r\n";
    }
    client.send(many);
    for (int i = 0; i < 50; ++i) {
        REQUIRE(client.receive().body == "ok\n");
    }
}

TEST_CASE("a client may ask for the end of the connection", "[http]") {
    ControlServer server;
    server.start();
    const std::string request = GENERATE("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n",
                                         "GET /healthz HTTP/1.0\r\n\r\n");
    RawClient client = RawClient::on_path(server.runtime_dir());
    CHECK(client.ask(request).status == 200);
    CHECK(client.closed_by_server());
}

TEST_CASE("what is not HTTP is told so and the connection ends", "[http]") {
    ControlServer server;
    server.start();
    const std::string rubbish = GENERATE(
        std::string("rubbish\r\n\r\n"), std::string("GET /status HTTP/9.9\r\n\r\n"),
        std::string("GET /status\r\n\r\n"), std::string("GET / HTTP/1.1\r\nno colon\r\n\r\n"),
        std::string("\x00\xff\x16\x03\x01\r\n\r\n", 9),
        std::string("POST /stop HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
        std::string("POST /stop HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"));
    RawClient client = RawClient::on_path(server.runtime_dir());
    const RawResponse response = client.ask(rubbish);
    CHECK(response.status == 400);
    CHECK_THAT(response.body, ContainsSubstring("bad_http"));
    CHECK(client.closed_by_server());
    CHECK(server.api.calls().empty());
}

TEST_CASE("a header of more than 8 KiB is refused, however it comes", "[http]") {
    ControlServer server;
    server.start();
    const std::string head = "GET /status HTTP/1.1\r\nX-Long: ";
    const std::string request = GENERATE_COPY(head + std::string(8 * 1024, 'x') + "\r\n\r\n",
                                              head + std::string(200 * 1024, 'x'));
    RawClient client = RawClient::on_path(server.runtime_dir());
    const RawResponse response = client.ask(request);
    CHECK(response.status == 431);
    CHECK_THAT(response.body, ContainsSubstring("8192 bytes"));
    CHECK(client.closed_by_server());
}

TEST_CASE("a body of more than 64 KiB is refused before or while it comes", "[http]") {
    ControlServer server;
    server.start();
    const std::string path = "POST /pools/reports/jobs HTTP/1.1\r\n";
    const std::string request = GENERATE_COPY(
        path + "Content-Length: 65537\r\n\r\n" + std::string(65537, 'x'),
        path + "Content-Length: 18446744073709551615\r\n\r\n",
        path + "Transfer-Encoding: chunked\r\n\r\n20000\r\n" + std::string(0x20000, 'x'));
    RawClient client = RawClient::on_path(server.runtime_dir());
    const RawResponse response = client.ask(request);
    CHECK(response.status == 413);
    CHECK_THAT(response.body, ContainsSubstring("65536 bytes"));
}

TEST_CASE("a body of 64 KiB is read and judged", "[http]") {
    ControlServer server;
    server.start();
    RawClient client = RawClient::on_path(server.runtime_dir());
    const RawResponse response =
        client.post("/pools/reports/jobs", "{\"task\": \"" + std::string(65524, 'x') + "\"}");
    CHECK(response.status == 400);
    CHECK_THAT(response.body, ContainsSubstring("task may have at most 255 bytes"));
    CHECK(client.get("/healthz").status == 200);
}

TEST_CASE("a client that asks before it sends a body is told to go on", "[http]") {
    ControlServer server;
    server.start();
    RawClient client = RawClient::on_path(server.runtime_dir());
    client.send("POST /stop HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    CHECK(client.receive().status == 100);
    CHECK(client.ask("{}").status == 202);
}

TEST_CASE("a client that is silent is closed, one that is slow is told why", "[http]") {
    control::HttpServer::Options options;
    options.idle_timeout = std::chrono::milliseconds(100);
    ControlServer server(options);
    server.start();
    RawClient silent = RawClient::on_path(server.runtime_dir());
    CHECK(silent.closed_by_server());
    RawClient slow = RawClient::on_path(server.runtime_dir());
    const RawResponse response = slow.ask("GET /status HTT");
    CHECK(response.status == 408);
    RawClient slow_body = RawClient::on_path(server.runtime_dir());
    CHECK(slow_body.ask("POST /stop HTTP/1.1\r\nContent-Length: 2\r\n\r\n{").status == 408);
    CHECK(server.api.calls().empty());
}

TEST_CASE("one client too many is refused, and served once another has left", "[http]") {
    control::HttpServer::Options options;
    options.max_connections = 8;
    ControlServer server(options);
    server.start();
    std::list<RawClient> clients;
    for (int i = 0; i < 8; ++i) {
        clients.push_back(RawClient::on_path(server.runtime_dir()));
        REQUIRE(clients.back().get("/healthz").status == 200);
    }
    RawClient late = RawClient::on_path(server.runtime_dir());
    const RawResponse refused = late.receive();
    CHECK(refused.status == 503);
    CHECK_THAT(refused.body, ContainsSubstring("too_many_connections"));
    CHECK(late.closed_by_server());
    CHECK(clients.back().ask("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n").status == 200);
    CHECK(clients.back().closed_by_server());
    CHECK(RawClient::on_path(server.runtime_dir()).get("/healthz").status == 200);
}

TEST_CASE("clients that come all at once are all served", "[http]") {
    ControlServer server;
    std::list<RawClient> clients;
    for (int i = 0; i < 60; ++i) {  // before the server looks for the first time
        clients.push_back(RawClient::on_path(server.runtime_dir()));
        clients.back().send("GET /healthz HTTP/1.1\r\n\r\n");
    }
    server.start();
    for (RawClient& client : clients) {
        REQUIRE(client.receive().status == 200);
    }
}

TEST_CASE("a client that has left makes room at once", "[http]") {
    control::HttpServer::Options options;
    options.max_connections = 2;
    ControlServer server(options);
    server.start();
    RawClient stays = RawClient::on_path(server.runtime_dir());
    REQUIRE(stays.get("/healthz").status == 200);
    for (int i = 0; i < 200; ++i) {
        RawClient leaves = RawClient::on_path(server.runtime_dir());
        REQUIRE(leaves.ask("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n").status == 200);
        REQUIRE(leaves.closed_by_server());
    }
}

TEST_CASE("over TCP one may look and not touch", "[http]") {
    control::HttpServer::Options options;
    options.listen = "127.0.0.1:0";
    ControlServer server(options);
    const std::string address = *server.server().tcp_address();
    server.start();
    RawClient client = RawClient::on_port(address);
    CHECK(client.get("/status").status == 200);
    CHECK(client.get("/metrics").status == 200);
    for (const char* path : {"/stop", "/reload", "/pools/reports/jobs", "/pools/reports/recycle"}) {
        const RawResponse response = client.post(path);
        CHECK(response.status == 405);
        CHECK_THAT(response.body, ContainsSubstring("read-only"));
    }
    CHECK(client.post("/status").status == 405);
    CHECK(client.get("/nonsense").status == 404);
    CHECK(server.api.calls().empty());
}

namespace {

/// The status that a process of another user gets.
unsigned status_as_user(uid_t user, const std::string& runtime_dir) {
    const pid_t child = ::fork();
    if (child == 0) {
        unsigned status = 0;
        if (::setresuid(user, user, user) == 0) {
            try {
                status = RawClient::on_path(runtime_dir).get("/status").status;
            } catch (const std::exception&) {
            }
        }
        ::_exit(static_cast<int>(status / 100));
    }
    int status = 0;
    ::waitpid(child, &status, 0);
    return WEXITSTATUS(status) * 100U;
}

}  // namespace

TEST_CASE("only root, the supervisor's user and operators may use the socket", "[http]") {
    if (::geteuid() != 0) {
        SUPERVISE_SKIP("needs root, to become another user");
    }
    ControlServer closed;
    std::filesystem::permissions(closed.runtime_dir(), std::filesystem::perms(0755));
    closed.start();
    CHECK(status_as_user(0, closed.runtime_dir()) == 200);
    CHECK(status_as_user(12'345, closed.runtime_dir()) == 0);  // may not even connect

    control::HttpServer::Options options;
    options.operators = {12'345};
    ControlServer open(options);
    std::filesystem::permissions(open.runtime_dir(), std::filesystem::perms(0755));
    open.start();
    CHECK(status_as_user(12'345, open.runtime_dir()) == 200);
    CHECK(status_as_user(12'346, open.runtime_dir()) == 400);
    CHECK(status_as_user(0, open.runtime_dir()) == 200);
}
