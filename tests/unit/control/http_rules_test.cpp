// What the server puts up with, and how it refuses the rest.
#include <fcntl.h>
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

/// What a process of another user is told; 0 where it may not connect.
RawResponse told_user(uid_t user, const std::string& runtime_dir, bool post,
                      const std::string& path, const std::string& body = "") {
    int ends[2];
    REQUIRE(::pipe2(ends, O_CLOEXEC) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        std::string answer = "0";
        if (::setresuid(user, user, user) == 0) {
            try {
                RawClient client = RawClient::on_path(runtime_dir);
                const RawResponse response = post ? client.post(path, body) : client.get(path);
                answer = std::to_string(response.status) + ' ' + response.body;
            } catch (const std::exception&) {
            }
        }
        [[maybe_unused]] const auto sent = ::write(ends[1], answer.data(), answer.size());
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string answer(4096, '\0');
    const ssize_t got = ::read(ends[0], answer.data(), answer.size());
    ::close(ends[0]);
    ::waitpid(child, nullptr, 0);
    answer.resize(static_cast<std::size_t>(std::max<ssize_t>(got, 0)));
    RawResponse response;
    response.status = static_cast<unsigned>(std::atoi(answer.c_str()));
    response.body = answer;
    return response;
}

unsigned status_as_user(uid_t user, const std::string& runtime_dir) {
    return told_user(user, runtime_dir, false, "/status").status / 100 * 100;
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

TEST_CASE("a pool's own user may ask for this pool alone", "[http]") {
    if (::geteuid() != 0) {
        SUPERVISE_SKIP("needs root, to become another user");
    }
    control::HttpServer::Options options;
    options.for_owners = true;
    ControlServer server(options);
    std::filesystem::permissions(server.runtime_dir(), std::filesystem::perms(0755));
    server.api.owner = 12'345;
    PoolSnapshot other;
    other.name = "mail";
    server.api.current.pools.push_back(other);
    server.start();
    const std::string& folder = server.runtime_dir();

    const RawResponse status = told_user(12'345, folder, false, "/status");
    CHECK(status.status == 200);
    CHECK_THAT(status.body, ContainsSubstring("\"reports\""));
    CHECK_THAT(status.body, !ContainsSubstring("\"mail\""));
    const auto post = [&](const char* path, const char* body = "") {
        return told_user(12'345, folder, true, path, body);
    };
    CHECK(post("/pools/reports/scale", R"({"max": 3})").status == 200);
    CHECK(post("/pools/reports/recycle").status == 200);
    CHECK(post("/pools/reports/pause").status == 200);
    CHECK(post("/pools/reports/resume").status == 200);
    const std::vector<std::string> allowed = server.api.calls();
    CHECK(allowed.size() == 4);
    for (const char* path : {"/stop", "/reload", "/pools/reports/jobs", "/pools/mail/scale",
                             "/pools/mail/recycle", "/pools/mail/pause", "/pools/%6dail/resume"}) {
        const RawResponse refused = post(path, R"({"max": 3})");
        CHECK(refused.status == 403);
        CHECK_THAT(refused.body, ContainsSubstring("of pool reports") ||
                                     ContainsSubstring("pause and resume pool reports"));
    }
    for (const char* path : {"/", "/metrics", "/why/812", "/why/reports/1", "/healthz"}) {
        CHECK(told_user(12'345, folder, false, path).status == 403);
    }
    CHECK(server.api.calls() == allowed);
    CHECK(told_user(12'346, folder, false, "/status").status == 403);
}
