#include <csignal>

#include "tests/unit/pool/client.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

TEST_CASE("a payload job is refused where workers take none", "[pool][client]") {
    Stage stage;
    stage.start_ready();
    Client client(stage);
    client.greet();
    client.call(9);
    const auto refused = client.next<ipc::Refused>();
    CHECK(refused.reason == ipc::Refusal::not_permitted);
    CHECK(refused.first_tag == 9);
    CHECK(refused.count == 1);
    CHECK(stage.status().jobs.queued + stage.status().jobs.running == 0);
    SECTION("a descriptor that is not announced ends the connection") {
        ipc::Submit submit;
        submit.task = "app.work";
        submit.jobs = {no_args};
        const UniqueFd null(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        client.send(submit, null.get());
        client.is_closed_for(ipc::Refusal::bad_frame);
    }
}

TEST_CASE("a call that a worker gets at once is accepted when it begins", "[pool][client]") {
    Stage stage;
    stage.settings.kind = PoolKind::celery;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    Client client(stage);
    client.greet();
    client.next<ipc::Size>();
    client.call(7);
    const JobId id = stage.job(worker);
    CHECK(client.hears_nothing());
    SECTION("it begins") { worker.send(ipc::Begun{id, 1234, 5678}); }
    SECTION("it does not begin for a while") { stage.pass(2s); }
    SECTION("its worker dies") {
        stage.dies(worker, SIGKILL);
        stage.gone(worker);
    }
    SECTION("another call waits for a worker") { client.call(8); }
    const auto accepted = client.next<ipc::Accepted>();
    CHECK(accepted.first_tag == 7);
    CHECK(accepted.count == 1);
    CHECK(accepted.first_id == id);
}

TEST_CASE("a client of a Celery pool is told how many tasks it runs at a time", "[pool][client]") {
    Stage stage(2);
    stage.settings.kind = PoolKind::celery;
    stage.start_ready();
    Client client(stage);
    client.greet();
    CHECK(client.next<ipc::Size>().workers == 2);
    stage.pool().scale(5).value();
    CHECK(client.next<ipc::Size>().workers == 5);
    stage.pool().scale(5).value();
    CHECK(client.hears_nothing());
}
