#include <sys/stat.h>

#include "tests/unit/pool/client.hpp"

using namespace supervise;
using namespace supervise::test;
using namespace std::chrono_literals;

TEST_CASE("a client is welcomed when the pool knows its tasks, not before", "[pool][client]") {
    Stage stage;
    stage.settings.jobs.queue_limit = 77;
    stage.start();
    Client client(stage);
    client.send(ipc::Hello{});
    client.submit(1);  // it need not wait
    CHECK(client.hears_nothing());
    FakeWorker& worker = stage.ready(1, 1);
    CHECK(client.next<ipc::Welcome>().limit == 77);
    CHECK(client.next<ipc::Accepted>().first_id == 1);
    CHECK(stage.job(worker) == 1);
    CHECK(stage.status().clients == 1);
}

TEST_CASE("a client of a pool that cannot start is welcomed and told why", "[pool][client]") {
    Stage stage;
    stage.settings.restart.burst = 1;
    stage.start();
    Client client(stage);
    client.send(ipc::Hello{});
    stage.worker(1, 1).send(ipc::Hello{1, 1, ipc::Role::worker, 1, "a test"});
    stage.worker(1, 1).send(ipc::StartFailed{"ImportError", "no module named app"});
    stage.worker(1, 1).exit(1);
    client.next<ipc::Welcome>();
    client.submit(2);
    const auto refused = client.next<ipc::Refused>();
    CHECK(refused.count == 2);
    CHECK(refused.reason == ipc::Refusal::degraded);
    CHECK_THAT(std::string(refused.message), ContainsSubstring("no module named app"));
}

TEST_CASE("a batch that does not fit is accepted in part, the rest is refused by its tags",
          "[pool][client]") {
    Stage stage;
    stage.settings.jobs.queue_limit = 3;
    stage.start_ready();
    Client client(stage);
    client.greet();
    client.submit(5, "app.work", 100);
    const auto accepted = client.next<ipc::Accepted>();
    CHECK(accepted.first_tag == 100);
    CHECK(accepted.count == 3);
    CHECK(accepted.first_id == 1);
    const auto refused = client.next<ipc::Refused>();
    CHECK(refused.first_tag == 103);
    CHECK(refused.count == 2);
    CHECK(refused.reason == ipc::Refusal::queue_full);
    client.submit(1, "app.wrok");
    CHECK(client.next<ipc::Refused>().reason == ipc::Refusal::unknown_task);
    CHECK(stage.status().refused == 2);  // the first of each batch: what refuses one refuses all
}

TEST_CASE("each accepted job has one result, after its ACCEPTED", "[pool][client]") {
    Stage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    Client client(stage);
    client.greet();
    client.submit(2);
    stage.done(worker, stage.job(worker));
    stage.failed(worker, stage.job(worker));
    CHECK(client.next<ipc::Accepted>().count == 2);
    const auto first = client.next<ipc::ResultBatch>();
    REQUIRE(first.entries.size() == 1);
    CHECK(first.entries[0].id == 1);
    CHECK(first.entries[0].state == JobState::done);
    CHECK(first.entries[0].attempts == 1);
    const auto second = client.next<ipc::ResultBatch>();
    REQUIRE(second.entries.size() == 1);
    CHECK(second.entries[0].state == JobState::failed);
    CHECK(second.entries[0].report == failed_report());
    CHECK(client.hears_nothing());
}

TEST_CASE("results of one turn of the loop travel together, as many as a frame holds",
          "[pool][client]") {
    Stage stage;
    stage.start_ready();
    Client client(stage);
    client.greet();
    client.submit(50);
    CHECK(client.next<ipc::Accepted>().count == 50);
    stage.pool().stop();  // ends 49 at once
    std::size_t results = 0;
    std::size_t frames = 0;
    for (; results < 49; ++frames) {
        results += client.next<ipc::ResultBatch>().entries.size();
    }
    CHECK(results == 49);
    CHECK(frames < 10);
    stage.done(stage.worker(1, 1), stage.job(stage.worker(1, 1)));
    CHECK(client.next<ipc::ResultBatch>().entries[0].state == JobState::done);
    stage.retires(stage.worker(1, 1));
    REQUIRE(stage.pass_until(1s, [&] { return stage.ended(); }));
    client.is_closed_for(ipc::Refusal::stopping);
}

TEST_CASE("a result waits for others while many jobs are open, a millisecond at most",
          "[pool][client]") {
    Stage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    Client client(stage);
    client.greet();
    client.submit(25);
    client.next<ipc::Accepted>();
    stage.done(worker, stage.job(worker));  // leaves 24: results go when they are three
    CHECK(client.hears_nothing());
    SECTION("then it goes alone") {
        stage.pass(999us);
        CHECK(client.hears_nothing());
        stage.pass(1us);
        CHECK(client.next<ipc::ResultBatch>().entries.size() == 1);
        stage.done(worker, stage.job(worker));
        CHECK(client.hears_nothing());
        stage.pass(1ms);
        CHECK(client.next<ipc::ResultBatch>().entries.size() == 1);
    }
    SECTION("but goes with others as soon as they are enough") {
        stage.done(worker, stage.job(worker));
        CHECK(client.next<ipc::ResultBatch>().entries.size() == 2);  // 23 are open now
    }
    SECTION("or not at all when its client has left") {
        client.leave();
        stage.until("the client's end", [&] { return stage.status().clients == 0; });
        stage.pass(1ms);
        stage.done(worker, stage.job(worker));
        CHECK(stage.status().jobs.done == 2);
    }
    SECTION("or at the pool's end, when nothing else is to come") {
        stage.pool().stop();
        std::size_t results = 0;
        while (results < 24) {
            results += client.next<ipc::ResultBatch>().entries.size();
        }
    }
}

TEST_CASE("a result does not wait when few jobs are open", "[pool][client]") {
    Stage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    Client client(stage);
    client.greet();
    client.submit(16);
    client.next<ipc::Accepted>();
    for (int i = 0; i < 16; ++i) {
        stage.done(worker, stage.job(worker));
        CHECK(client.next<ipc::ResultBatch>().entries.size() == 1);
    }
}

TEST_CASE("jobs go on when their client leaves", "[pool][client]") {
    Stage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    {
        Client client(stage);
        client.greet();
        client.submit(2);
        client.next<ipc::Accepted>();
        client.leave();
    }
    stage.until("the client's end", [&] { return stage.status().clients == 0; });
    for (const JobId id : {1U, 2U}) {
        CHECK(stage.job(worker) == id);
        stage.done(worker, id);
    }
    CHECK(stage.status().jobs.done == 2);
}

TEST_CASE("a connection without HELLO is closed after ten seconds", "[pool][client]") {
    Stage stage;
    stage.start_ready();
    Client client(stage);
    stage.turn();
    stage.pass(10s);
    CHECK(client.hears_nothing());
    stage.pass(200ms);
    client.is_closed_for(ipc::Refusal::no_hello);
    stage.until("its session's end", [&] { return stage.status().clients == 0; });
}

TEST_CASE("what is no greeting of a client closes the connection with the reason",
          "[pool][client]") {
    Stage stage;
    stage.start_ready();
    Client client(stage);
    SECTION("another message first") {
        client.submit(1);
        client.is_closed_for(ipc::Refusal::no_hello);
    }
    SECTION("a version that we do not speak") {
        client.send(ipc::Hello{2, 9, ipc::Role::client, 1, "x"});
        client.is_closed_for(ipc::Refusal::version);
    }
    SECTION("a worker's role") {
        client.send(ipc::Hello{1, 1, ipc::Role::worker, 1, "x"});
        client.is_closed_for(ipc::Refusal::bad_frame);
    }
    SECTION("a second HELLO") {
        client.greet();
        client.send(ipc::Hello{});
        client.is_closed_for(ipc::Refusal::bad_frame);
    }
    SECTION("a worker's message") {
        client.greet();
        client.send(ipc::Ready{});
        client.is_closed_for(ipc::Refusal::bad_frame);
    }
    SECTION("rubbish") {
        client.send_bytes("GET / HTTP/1.1\r\n\r\n");
        client.is_closed_for(ipc::Refusal::bad_frame);
    }
    SECTION("a frame that is too long") {
        client.greet();
        client.send_bytes(std::string(1025, 'x'));
        client.is_closed_for(ipc::Refusal::bad_frame);
    }
    Client other(stage);
    other.greet();  // nobody else has noticed
    stage.does_a_job(stage.worker(1, 1));
}

TEST_CASE("a client that does not read is not read from, and is closed after 30 s",
          "[pool][client]") {
    Stage stage;
    stage.start_ready();
    Client client(stage);
    client.greet();
    std::uint64_t sent = 0;
    for (int rounds = 0; rounds < 200; ++rounds) {
        while (client.send(ipc::Ping{sent}) == ipc::Channel::SendStatus::sent) {
            ++sent;
        }
        stage.turn();
    }
    // What waits: 64 KiB of answers here, and a full socket both ways.
    REQUIRE(client.send(ipc::Ping{sent}) == ipc::Channel::SendStatus::full);
    CHECK(sent < 20'000);
    SECTION("when it reads in time, nothing is missing") {
        stage.pass(29s);
        for (std::uint64_t token = 0; token < sent; ++token) {
            REQUIRE(client.next<ipc::Pong>().token == token);
        }
        stage.pass(60s);
        CHECK(stage.status().clients == 1);
    }
    SECTION("when it does not, it is let go") {
        stage.pass(31s);
        stage.until("its session's end", [&] { return stage.status().clients == 0; });
        CHECK(client.frames_to_the_end() < sent);
    }
    stage.does_a_job(stage.worker(1, 1));
}

TEST_CASE("a client that reads gets every result of a stop, however long the queue was",
          "[pool][client]") {
    Stage stage;
    stage.settings.jobs.queue_limit = 100'000;
    stage.start_ready();
    Client client(stage);
    client.greet();
    constexpr unsigned batches = 500;  // their results have more than a mebibyte
    for (unsigned i = 0; i < batches; ++i) {
        client.submit(100);
        client.next<ipc::Accepted>();
    }
    stage.pool().stop();  // ends all but the one that runs
    std::size_t ends = 0;
    while (ends < batches * 100 - 1) {
        ends += client.next<ipc::ResultBatch>().entries.size();
    }
    CHECK(stage.status().jobs.lost == batches * 100 - 1);
}

TEST_CASE("a client takes back what is queued, its own jobs only", "[pool][client]") {
    Stage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    Client client(stage);
    client.greet();
    client.submit(2);
    client.next<ipc::Accepted>();
    CHECK(stage.job(worker) == 1);
    Client other(stage);
    other.greet();
    other.cancel(2);
    CHECK(other.hears_nothing());
    CHECK(stage.status().jobs.queued == 1);

    client.cancel(2);
    const auto taken_back = client.next<ipc::ResultBatch>();
    CHECK(taken_back.entries[0].id == 2);
    CHECK(taken_back.entries[0].state == JobState::lost);
    CHECK(taken_back.entries[0].attempts == 0);
    client.cancel(1);  // running, and not to be terminated
    CHECK(client.hears_nothing());
    CHECK_FALSE(worker.killed);
}

TEST_CASE("a job that is revoked with its worker is lost, whether it had begun or not",
          "[pool][client]") {
    Stage stage;
    stage.start_ready();
    FakeWorker& worker = stage.worker(1, 1);
    Client client(stage);
    client.greet();
    client.submit(1, "app.retry");
    client.next<ipc::Accepted>();
    const bool begun = GENERATE(true, false);
    if (begun) {
        stage.job(worker);
    }
    client.cancel(1, true);
    const auto result = client.next<ipc::ResultBatch>();
    CHECK(result.entries[0].state == JobState::lost);
    CHECK(result.entries[0].attempts == (begun ? 1 : 0));
    const auto loss = std::get<ipc::Loss>(*ipc::decode_report(result.entries[0].report));
    CHECK(loss.cause == Cause::revoked);
    CHECK(worker.killed);
    stage.gone(worker);
    CHECK(stage.status().jobs.queued == 0);
    stage.does_a_job(stage.ready(1, 2));
}

TEST_CASE("a connection over jobs.max_clients is refused with the number", "[pool][client]") {
    Stage stage;
    stage.settings.jobs.max_clients = 1;
    stage.start_ready();
    Client first(stage);
    first.greet();
    Client second(stage);
    const auto refusal = second.next<ipc::Close>();
    CHECK(refusal.reason == ipc::Refusal::too_many_clients);
    CHECK(refusal.message == "pool p has 1 clients, its limit (jobs.max_clients)");
    first.leave();
    stage.until("the first one's end", [&] { return stage.status().clients == 0; });
    Client third(stage);
    third.greet();
}

TEST_CASE("the socket is for all when other users may submit, and ours alone else",
          "[pool][client]") {
    Stage stage;
    stage.start_ready();
    const auto mode = [&] {
        struct stat found {};
        REQUIRE(::stat((stage.runtime_dir() + "/p.sock").c_str(), &found) == 0);
        return found.st_mode & 07777;
    };
    CHECK(mode() == 0600);
    stage.settings.clients = {"daemon"};
    stage.pool().apply(stage.settings);
    CHECK(mode() == 0666);
    CHECK(uids_of({"0", "root", "nobody-of-that-name"}) == std::vector<uid_t>{0, 0});
}
