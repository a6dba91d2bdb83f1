"""Tasks that are revoked, or expire, when supervise has them and they have not begun."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from celery.worker import state as worker_state
from test_desk import Bench
from test_desk import bench as bench

from supervise import _messages as m


def test_a_task_that_is_revoked_in_supervises_queue_is_taken_back(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_state, "revoked", set())
    request = bench.submit()
    bench.supervise.accepted(bench.supervise.call(), 7)
    bench.desk.read()
    assert bench.desk.recall() and bench.supervise.nothing()
    worker_state.revoked.add("t1")
    request.is_revoked = True
    assert bench.desk.recall() and bench.desk.recall()
    assert bench.supervise.receive()[0] == m.Cancel(False, (7,))
    assert bench.supervise.nothing()  # once
    bench.supervise.lost(7, "revoked", "cancelled")
    bench.desk.read()
    assert bench.told == ["released"]  # Celery's Request has told the rest
    assert not bench.desk.recall()


def test_a_task_that_begins_all_the_same_goes_on(bench: Bench) -> None:
    request = bench.submit()
    request.expires = datetime.now(timezone.utc) - timedelta(seconds=1)
    bench.supervise.accepted(bench.supervise.call(), 7)
    bench.desk.read()
    assert bench.desk.recall()
    assert bench.supervise.receive()[0] == m.Cancel(False, (7,))
    bench.supervise.begun(7)
    bench.supervise.done(7)
    bench.desk.read()
    assert [told[0] for told in bench.told if told != "released"] == ["accepted", "success"]
