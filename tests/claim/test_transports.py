"""Transports without Celery's event loop, and plain kombu consumers."""

from __future__ import annotations

import pytest
from kombu import Connection, Consumer, Exchange, Producer, Queue
from processes import SECONDS

from supervise.claim import Claim, resolve

BIG = "big " * 1000
BODY = ([BIG, 1], {"note": "small"}, {"callbacks": None, "errbacks": None, "chain": None, "chord": None})


@pytest.mark.parametrize("serializer", ["claim-json", "claim-pickle"])
def test_a_consumer_of_kombu_gets_claims_and_resolves_them(register, serializer, entries):
    register()
    got = []
    with Connection("memory://") as connection, connection.channel() as channel:
        queue = Queue("q", Exchange("q"), routing_key="q")
        producer = Producer(channel, queue.exchange, routing_key="q", serializer=serializer)
        producer.publish(BODY, declare=[queue])
        take = lambda body, message: got.append((body, message))  # noqa: E731
        with Consumer(channel, [queue], accept=[serializer], callbacks=[take]):
            connection.drain_events(timeout=SECONDS)
    ((args, kwargs, embed), message), = got
    message.ack()
    assert isinstance(args[0], Claim) and embed == BODY[2]
    assert resolve(args, kwargs) == (BODY[0], BODY[1])
    assert len(entries()) == 1


@pytest.fixture
def folders(tmp_path):
    """Settings of a broker that is a folder, as kombu's filesystem transport wants them."""
    (tmp_path / "queue").mkdir()
    queue = str(tmp_path / "queue")
    return {
        "data_folder_in": queue,
        "data_folder_out": queue,
        "control_folder": str(tmp_path / "control"),
        "processed_folder": str(tmp_path / "processed"),
    }


@pytest.mark.parametrize("pool", [("prefork", "-c", "2"), ("solo",)], ids=["prefork", "solo"])
def test_a_worker_on_a_broker_of_files_leaves_nothing_behind(
    world, folders, pool, entries, leftovers, tmp_path
):
    app = world.producer(
        broker="filesystem://", conf={"broker_transport_options": folders, "task_acks_late": True}
    )
    results = [app.digest.delay(BIG, n) for n in range(5)] + [app.succeed_at.delay(BIG, 1)]
    assert len(entries()) == 6
    assert max(path.stat().st_size for path in (tmp_path / "queue").iterdir()) < 4000
    worker = world.worker("-P", *pool)
    got = [result.get(timeout=SECONDS)[:2] for result in results]
    assert got == [[app.short(BIG), app.short(n)] for n in range(5)] + [[1, app.short(BIG)]]
    worker.stop()
    assert leftovers(*(path.read_text() for path in (tmp_path / "queue").iterdir())) == []
