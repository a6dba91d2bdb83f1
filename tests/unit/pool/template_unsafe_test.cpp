#include <csignal>

#include "ipc/channel.hpp"
#include "tests/unit/pool/template_stage.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

namespace {

const std::vector<std::string> findings{"2 threads run: Thread-1 of module pools",
                                        "a connection to 127.0.0.1:5432 is open"};

std::vector<std::string> named(const Stage& stage) {
    std::vector<std::string> texts;
    for (const LogLine& line : stage.logged("template.unsafe")) {
        texts.push_back(line.fields.at("finding"));
    }
    return texts;
}

struct RefusingStage : TemplateStage {
    RefusingStage() {
        settings.on_unsafe_fork = OnUnsafeFork::refuse;
        settings.restart.burst = 2;
        start();
    }
    const std::string what =
        "forking is unsafe and on_unsafe_fork = \"refuse\": " + findings[0] + "; " + findings[1];
};

}  // namespace

TEST_CASE("where forking is unsafe workers are spawned, and each finding is named once",
          "[pool][template][unsafe]") {
    TemplateStage stage(2);
    stage.start();
    FakeWorker& parent = stage.imports(1, findings);
    CHECK(named(stage) == findings);
    CHECK(stage.logged("template.falls_back").size() == 1);
    FakeWorker& worker = stage.ready(1, 1);
    stage.ready(2, 1);
    CHECK(worker.parent == nullptr);
    CHECK_FALSE(worker.is_template());
    stage.does_a_job(worker);
    stage.retires(parent);  // without a single FORK
    CHECK(stage.status().state == "running");
    CHECK(stage.status().generation == 1);
    CHECK(stage.trouble().state == "unsafe");
    CHECK(stage.trouble().findings == findings);
    CHECK(stage.trouble().error.empty());

    stage.dies(worker, SIGKILL);
    REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 2); }));
    stage.does_a_job(stage.ready(1, 2));
    stage.pass(60s);
    CHECK_FALSE(stage.has_template(2));
    CHECK(named(stage).size() == 2);
    CHECK(stage.status().template_forks == 0);
}

TEST_CASE("what was unsafe is forked again when a new template finds it mended",
          "[pool][template][unsafe]") {
    TemplateStage stage;
    stage.start();
    stage.retires(stage.imports(1, findings));
    FakeWorker& spawned = stage.ready(1, 1);
    CHECK(stage.pool().renew_template().value() == 2);
    stage.launched(2);
    stage.dies(spawned, SIGKILL);
    REQUIRE(stage.pass_until(1s, [&] { return stage.has(1, 2); }));
    FakeWorker& second = stage.ready(1, 2);  // spawned: the pool does not wait for the import
    SECTION("it is") {
        FakeWorker& parent = stage.imports(2);
        stage.forks_ready(parent);
        stage.retires(second);
        CHECK(stage.current(1).parent == &parent);
        CHECK(stage.trouble().state.empty());
        CHECK(stage.row(2).findings.empty());
    }
    SECTION("it is not") {
        FakeWorker& parent = stage.imports(2, {findings[0]});
        stage.ready(1, 3);
        stage.retires(second);
        stage.retires(parent);
        CHECK(stage.trouble().findings == std::vector<std::string>{findings[0]});
    }
    SECTION("it cannot be imported") {
        stage.fails_to_import(2, "no module named app");
        CHECK(stage.trouble().state == "failed");
        CHECK_THAT(stage.status().advice, ContainsSubstring("no module named app"));
        CHECK_THAT(stage.status().advice, ContainsSubstring("workers are spawned"));
        stage.does_a_job(second);
        stage.pool().recycle(1).value();
        stage.ready(1, 3);  // spawned, as before
        stage.retires(second);
    }
}

TEST_CASE("what was unsafe is forgotten where preload is turned off", "[pool][template][unsafe]") {
    TemplateStage stage;
    stage.start();
    stage.retires(stage.imports(1, findings));
    stage.ready(1, 1);
    stage.settings.preload = false;
    stage.pool().apply(stage.settings);
    CHECK(stage.status().templates.empty());
    stage.ready(1, 2);
    stage.retires(stage.worker(1, 1));
    stage.settings.preload = true;
    stage.pool().apply(stage.settings);
    stage.launched(3);
    CHECK(stage.trouble().state.empty());
}

TEST_CASE("a pool that refuses to fork unsafely is degraded, and says why",
          "[pool][template][unsafe]") {
    RefusingStage stage;
    FakeWorker& parent = stage.imports(1, findings);
    stage.retires(parent);
    CHECK(stage.status().state == "degraded");
    CHECK_THAT(stage.status().advice, ContainsSubstring(stage.what));
    CHECK_THAT(stage.status().advice, ContainsSubstring("supervise recycle p --template"));
    CHECK(stage.trouble().state == "refused");
    CHECK(stage.trouble().error == stage.what);
    CHECK(stage.trouble().findings == findings);
    CHECK(named(stage) == findings);
    CHECK(stage.logged("pool.degraded").size() == 1);
    CHECK(stage.refused().reason == ipc::Refusal::degraded);
    CHECK(stage.refused().message == stage.status().advice);
    stage.pass(300s);
    CHECK(stage.host().workers.size() == 1);  // nothing is tried again by itself

    SECTION("until the operator asks for a new template") {
        CHECK(stage.pool().renew_template().value() == 2);
        stage.does_a_job(stage.forks_ready(stage.imports(2)));
        CHECK(stage.status().state == "running");
        CHECK(stage.status().advice.empty());
    }
    SECTION("or resumes it") {
        stage.pool().resume();
        REQUIRE(stage.pass_until(1s, [&] { return stage.has_template(2); }));
        stage.does_a_job(stage.forks_ready(stage.imports(2)));
        CHECK(stage.status().advice.empty());
    }
    SECTION("or changes the config") {
        stage.settings.on_unsafe_fork = OnUnsafeFork::spawn;
        stage.pool().apply(stage.settings);
        stage.imports(2, findings);
        stage.does_a_job(stage.ready(1, 1));
        CHECK(stage.status().state == "running");
    }
    SECTION("and says what is wrong then, not what was") {
        stage.pool().renew_template().value();
        stage.fails_to_import(2, "no module named app");
        CHECK_THAT(stage.status().advice, ContainsSubstring("no module named app"));
    }
    SECTION("and is refused again") {
        stage.pool().renew_template().value();
        stage.retires(stage.imports(2, {findings[1]}));
        CHECK(stage.status().state == "degraded");
        CHECK_THAT(stage.status().advice, ContainsSubstring("\"refuse\": " + findings[1]));
    }
}

TEST_CASE("a client that waits for the first worker is told when there will be none",
          "[pool][template][unsafe]") {
    TemplateStage stage;
    stage.settings.on_unsafe_fork = OnUnsafeFork::refuse;
    stage.settings.restart.burst = 2;
    stage.start();
    ipc::Channel client(stage.loop().get_executor(), stage.connect());
    client.send(ipc::encode(ipc::Hello{}).bytes());
    stage.launched(1);
    stage.pass(1s);
    CHECK(client.receive().status == ipc::Channel::Received::Status::none);
    SECTION("forking is refused") { stage.imports(1, findings); }
    SECTION("the breaker has tripped") {
        stage.fails_to_import(1, "no module named app");
        REQUIRE(stage.pass_until(1s, [&] { return stage.has_template(2); }));
        CHECK(client.receive().status == ipc::Channel::Received::Status::none);
        stage.fails_to_import(2, "no module named app");
    }
    stage.pass(200ms);
    const ipc::Channel::Received received = client.receive();
    REQUIRE(received.status == ipc::Channel::Received::Status::frame);
    const auto decoded = ipc::decode(received.frame);
    CHECK(std::holds_alternative<ipc::Welcome>(std::get<ipc::Message>(decoded)));
}

TEST_CASE("a newer template that is refused leaves the older one serving",
          "[pool][template][unsafe]") {
    RefusingStage stage;
    FakeWorker& parent = stage.imports(1);
    FakeWorker& worker = stage.forks_ready(parent);
    stage.pool().renew_template().value();
    stage.retires(stage.imports(2, findings));
    CHECK(stage.status().state == "running");
    CHECK(stage.status().generation == 1);
    CHECK_THAT(stage.status().advice, ContainsSubstring(stage.what));
    CHECK(stage.trouble().generation == 2);
    stage.does_a_job(worker);
    stage.pool().recycle(1).value();
    stage.forks_ready(parent);
    stage.retires(worker);
}

TEST_CASE("a pool that forks in spite of findings names them, and goes on",
          "[pool][template][unsafe]") {
    TemplateStage stage;
    stage.settings.on_unsafe_fork = OnUnsafeFork::fork;
    stage.start();
    FakeWorker& parent = stage.imports(1, findings);
    stage.does_a_job(stage.forks_ready(parent));
    CHECK(named(stage) == findings);
    CHECK(stage.row(1).findings == findings);
    CHECK(stage.status().state == "running");
    CHECK(stage.status().advice.empty());
    CHECK(stage.trouble().state.empty());
}
