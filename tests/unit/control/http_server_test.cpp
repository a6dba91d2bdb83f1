// What each route answers, through a real server and a real socket.
#include "control_server.hpp"
#include "raw_client.hpp"
#include "supervisor/control/json.hpp"
#include "tests/support/catch.hpp"

using namespace supervise;
using namespace supervise::test;

namespace {

boost::json::value parsed(const RawResponse& response) {
    const auto value = control::parse_json(response.body);
    return value ? *value : boost::json::value(nullptr);
}

std::string code_of(const RawResponse& response) {
    return std::string(parsed(response).at("error").at("code").as_string());
}

}  // namespace

TEST_CASE("GET /status is the snapshot as JSON", "[http]") {
    ControlServer server;
    server.start();
    const RawResponse response = RawClient::on_path(server.runtime_dir()).get("/status?now");
    CHECK(response.status == 200);
    CHECK_THAT(response.head, ContainsSubstring("Content-Type: application/json"));
    CHECK(parsed(response).at("pools").at("reports").at("jobs").at("done") == 81'234);
}

TEST_CASE("GET / lists the routes for people", "[http]") {
    ControlServer server;
    server.start();
    const RawResponse response = RawClient::on_path(server.runtime_dir()).get("/");
    CHECK(response.status == 200);
    CHECK_THAT(response.body, ContainsSubstring("POST /pools/{pool}/scale"));
}

TEST_CASE("health is ok until a pool is degraded", "[http]") {
    ControlServer healthy;
    healthy.start();
    const RawResponse ok = RawClient::on_path(healthy.runtime_dir()).get("/healthz");
    CHECK(ok.status == 200);
    CHECK(ok.body == "ok\n");

    ControlServer degraded;
    degraded.api.current.pools[0].state = "degraded";
    degraded.api.current.pools[0].advice = "10 deaths in 60 s";
    degraded.start();
    const RawResponse bad = RawClient::on_path(degraded.runtime_dir()).get("/healthz");
    CHECK(bad.status == 503);
    CHECK(code_of(bad) == "degraded");
    CHECK_THAT(bad.body, ContainsSubstring("pool reports: 10 deaths in 60 s"));

    ControlServer stopping;
    stopping.api.current.stopping = true;
    stopping.start();
    CHECK(code_of(RawClient::on_path(stopping.runtime_dir()).get("/healthz")) == "stopping");
}

TEST_CASE("GET /metrics says that it is Prometheus' text", "[http]") {
    ControlServer server;
    server.start();
    const RawResponse response = RawClient::on_path(server.runtime_dir()).get("/metrics");
    CHECK_THAT(response.head, ContainsSubstring("text/plain; version=0.0.4"));
    CHECK_THAT(response.body, ContainsSubstring("# TYPE supervise_jobs_total counter"));
}

TEST_CASE("why answers for a job and for a slot", "[http]") {
    ControlServer server;
    server.start();
    RawClient client = RawClient::on_path(server.runtime_dir());
    CHECK(parsed(client.get("/why/812")).at("subject") == "job 812");
    CHECK(parsed(client.get("/why/reports/2")).at("subject") == "worker reports/2");
    CHECK(code_of(client.get("/why/813")) == "unknown_job");
    CHECK(code_of(client.get("/why/mail/1")) == "unknown_pool");
    for (const char* path : {"/why/x", "/why/-1", "/why/99999999999999999999", "/why/reports/x"}) {
        const RawResponse response = client.get(path);
        CHECK(response.status == 400);
        CHECK(code_of(response) == "bad_request");
    }
}

TEST_CASE("a submit is accepted with its job's ID", "[http]") {
    ControlServer server;
    server.start();
    const RawResponse response =
        RawClient::on_path(server.runtime_dir())
            .post("/pools/reports/jobs",
                  R"({"task": "reports.tasks.build", "ids": [42, "x"], "priority": 3})");
    CHECK(response.status == 202);
    CHECK(response.body == "{\"job_id\": 812}\n");
    CHECK(server.api.calls() ==
          std::vector<std::string>{"submit reports reports.tasks.build 0:42 2:x priority 3"});
}

TEST_CASE("a submit that waits is answered with the end", "[http]") {
    ControlServer server;
    server.api.end.report = ipc::encode_report(ipc::Value{ipc::encode_id(std::int64_t{7})});
    server.start();
    const RawResponse response =
        RawClient::on_path(server.runtime_dir())
            .post("/pools/reports/jobs", R"({"task": "reports.tasks.build", "wait": true})");
    CHECK(response.status == 200);
    CHECK(response.body ==
          "{\"job_id\": 812, \"state\": \"done\", \"attempts\": 1, \"result\": 7}\n");
}

TEST_CASE("a refused submit has the status and words of the refusal, waiting or not", "[http]") {
    const std::string wait = GENERATE("false", "true");
    ControlServer server;
    server.api.queue_full = true;
    server.start();
    RawClient client = RawClient::on_path(server.runtime_dir());
    const auto submit = [&](const std::string& pool, const std::string& task) {
        return client.post("/pools/" + pool + "/jobs",
                           "{\"task\": \"" + task + "\", \"wait\": " + wait + "}");
    };
    const RawResponse full = submit("reports", "reports.tasks.build");
    CHECK(full.status == 429);
    CHECK(code_of(full) == "queue_full");
    CHECK(code_of(submit("reports", "reports.tasks.bild")) == "unknown_task");
    CHECK(code_of(submit("mail", "reports.tasks.build")) == "unknown_pool");
}

TEST_CASE("when the client leaves, nobody waits for its job any more", "[http]") {
    ControlServer server;
    server.api.hold_jobs = true;
    server.start();
    RawClient client = RawClient::on_path(server.runtime_dir());
    const std::string body = R"({"task": "reports.tasks.build", "wait": true})";
    client.send("POST /pools/reports/jobs HTTP/1.1\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
    REQUIRE(server.api.wait_for("waiting"));
    client.close();
    CHECK(server.api.wait_for("waiter left"));
}

TEST_CASE("a client that only sends no more still gets its job's end", "[http]") {
    ControlServer server;
    server.start();
    RawClient client = RawClient::on_path(server.runtime_dir());
    const std::string body = R"({"task": "reports.tasks.build", "wait": true})";
    client.send("POST /pools/reports/jobs HTTP/1.1\r\nContent-Length: " +
                std::to_string(body.size()) + "\r\n\r\n" + body);
    client.send_no_more();
    CHECK(client.receive().status == 200);
}

TEST_CASE("the server ends at once, whoever waits", "[http]") {
    ControlServer server;
    server.api.hold_jobs = true;
    server.start();
    RawClient idle = RawClient::on_path(server.runtime_dir());
    RawClient waiting = RawClient::on_path(server.runtime_dir());
    const std::string body = R"({"task": "reports.tasks.build", "wait": true})";
    waiting.send("POST /pools/reports/jobs HTTP/1.1\r\nContent-Length: " +
                 std::to_string(body.size()) + "\r\n\r\n" + body);
    REQUIRE(server.api.wait_for("waiting"));
    server.stop();
    CHECK(waiting.closed_by_server());
    CHECK(idle.closed_by_server());
    CHECK(server.api.wait_for("waiter left"));
}

TEST_CASE("each change reaches the supervisor once", "[http]") {
    ControlServer server;
    server.start();
    RawClient client = RawClient::on_path(server.runtime_dir());
    CHECK(client.post("/pools/reports/recycle").body == "{\"pool\": \"reports\", \"asked\": 2}\n");
    CHECK(client.post("/pools/reports/recycle", R"({"slot": 2})").body ==
          "{\"pool\": \"reports\", \"asked\": 1}\n");
    CHECK(client.post("/pools/reports/recycle", R"({"template": true})").body ==
          "{\"pool\": \"reports\", \"generation\": 4}\n");
    CHECK(client.post("/pools/reports/recycle", R"({"front": true})").body ==
          "{\"pool\": \"reports\", \"front\": 3}\n");
    CHECK(client.post("/pools/reports/scale", R"({"workers": 6})").status == 200);
    CHECK(client.post("/pools/reports/scale", R"({"max": 7})").status == 200);
    CHECK(client.post("/pools/reports/pause").status == 200);
    CHECK(client.post("/pools/reports/resume", "{}").status == 200);
    CHECK_THAT(client.post("/reload").body, ContainsSubstring("1000 -> 500"));
    CHECK(client.post("/stop").status == 202);
    CHECK(server.api.calls() ==
          std::vector<std::string>{"recycle reports", "recycle reports/2", "renew_template reports",
                                   "recycle_front reports", "scale reports 6", "set_max reports 7",
                                   "pause reports", "resume reports", "reload", "stop"});
}

TEST_CASE("a change that cannot be made is refused and says why", "[http]") {
    ControlServer server;
    server.api.has_template = server.api.has_front = false;
    server.start();
    RawClient client = RawClient::on_path(server.runtime_dir());
    CHECK(code_of(client.post("/pools/reports/recycle", R"({"slot": 9})")) == "unknown_slot");
    const RawResponse spawned = client.post("/pools/reports/recycle", R"({"template": true})");
    CHECK(spawned.status == 409);
    CHECK(code_of(spawned) == "no_template");
    CHECK(code_of(client.post("/pools/reports/recycle", R"({"front": true})")) == "no_front");
    for (const char* change : {"recycle", "pause", "resume"}) {
        const RawResponse response = client.post(std::string("/pools/mail/") + change);
        CHECK(response.status == 404);
        CHECK(code_of(response) == "unknown_pool");
    }
    CHECK(code_of(client.post("/pools/mail/scale", R"({"workers": 1})")) == "unknown_pool");
    CHECK(code_of(client.post("/stop", R"({"now": true})")) == "bad_request");
    CHECK(code_of(client.post("/pools/reports/scale", "{")) == "bad_json");
    for (const std::string& call : server.api.calls()) {
        CHECK(call != "stop");
    }
}
