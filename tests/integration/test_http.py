"""The control plane over HTTP: on its socket for operators, over TCP for whoever reads metrics."""

import http.client
import json
import socket

import pytest


@pytest.fixture
def port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def tcp(port, method, path, body=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(method, path, body)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, text


@pytest.mark.parametrize(
    "method, path, body, code",
    [
        ("GET", "/nonsense", None, 404),
        ("POST", "/status", None, 405),
        ("GET", "/pools/p/recycle", None, 405),
        ("POST", "/pools/q/pause", None, 404),
        ("POST", "/pools/p/scale", {"workers": "many"}, 400),
        ("POST", "/pools/p/scale", {"worker": 1}, 400),
        ("POST", "/pools/p/jobs", {"task": "suite.echo", "ids": [1.5]}, 400),
        ("GET", "/why/999999", None, 404),
    ],
)
def test_errors_are_json_with_a_code_and_a_message(shared, method, path, body, code):
    status, answer = shared.http(method, path, body)
    assert status == code
    assert answer["error"]["code"] and answer["error"]["message"]


def test_a_job_over_http_waits_for_its_result(shared):
    body = {"task": "suite.add", "ids": [40, 2], "wait": True}
    status, answer = shared.http("POST", "/pools/p/jobs", body)
    assert status == 200
    assert answer["state"] == "done" and answer["result"] == 42 and answer["attempts"] == 1


def test_tcp_may_look_and_not_touch(start, port):
    sv = start(supervisor={"listen": f"127.0.0.1:{port}"})
    with sv.client() as client:
        list(client.map("suite.echo", range(10)))
    status, metrics = tcp(port, "GET", "/metrics")
    assert status == 200 and "supervise_" in metrics and 'pool="p"' in metrics
    assert json.loads(tcp(port, "GET", "/status")[1])["pools"]["p"]["jobs"]["done"] == 10
    assert tcp(port, "GET", "/healthz") == (200, "ok\n")
    for path in ("/stop", "/pools/p/recycle", "/pools/p/jobs", "/reload"):
        assert tcp(port, "POST", path, "{}")[0] in (403, 405), path
    assert sv.status()["supervisor"]["stopping"] is False


def test_health_tells_of_a_degraded_pool(make):
    sv = make(
        app="broken_import",
        restart={"backoff": {"first": "10ms", "most": "100ms"}, "burst": 2, "period": "60s"},
    ).start(ready=False)
    sv.wait_pool(lambda p: p["state"] == "degraded", "the breaker")
    status, answer = sv.http("GET", "/healthz")
    assert status == 503 and answer["error"]["code"] == "degraded"
