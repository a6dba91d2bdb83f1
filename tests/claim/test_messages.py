"""The two serializers by themselves, without a broker."""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import sys
import textwrap
from types import SimpleNamespace

import pytest
from celery import Celery
from celery.signals import task_received
from kombu import serialization
from kombu.exceptions import ContentDisallowed, DecodeError, EncodeError
from processes import SECONDS

from supervise.claim import Claim, ClaimCorrupt, ClaimError, ClaimMissing, Store, resolve
from supervise.claim import _loading as loading
from supervise.claim._serializer import CLAIM_JSON, CLAIM_PICKLE

BIG = "big " * 100
EMBED = {"callbacks": None, "errbacks": None, "chain": None, "chord": None}


@pytest.fixture(params=["claim-json", "claim-pickle"])
def name(request):
    return request.param


def dumps(name, args=(), kwargs=None, **embed):
    return serialization.dumps((args, kwargs or {}, {**EMBED, **embed}), name)


def loads(message):
    content_type, encoding, data = message
    return serialization.loads(data, content_type, encoding, accept={content_type})


def test_small_calls_travel_as_kombu_would_send_them(register, entries):
    register()
    assert dumps("claim-json", [1, "a"])[2] == serialization.dumps(([1, "a"], {}, EMBED), "json")[2]
    assert dumps("claim-pickle", [1, "a"])[2] == serialization.dumps(([1, "a"], {}, EMBED), "pickle")[2]
    assert entries() == []


def test_an_argument_at_the_threshold_travels_and_one_byte_more_does_not(register, entries):
    register(threshold=100)
    args, _, _ = loads(dumps("claim-json", ["x" * 98]))  # and two quotation marks
    assert (args, entries()) == (["x" * 98], [])
    args, _, _ = loads(dumps("claim-json", ["x" * 99]))
    assert [(claim.size, claim.id) for claim in args] == [(101, entries()[0])]


def test_a_threshold_of_0_stores_every_value(register, entries):
    register(threshold=0)
    message = dumps("claim-json", [1], {"a": None})
    assert len(entries()) == 2
    assert resolve(*loads(message)[:2]) == ([1], {"a": None})


def test_the_largest_go_first_until_the_others_fit_together(register, name):
    register(threshold=1000)
    values = ["a" * 550, "b" * 900, "c" * 300, "d" * 50]
    args, kwargs, _ = loads(dumps(name, values, {"e": "e" * 700, "f": 1}))
    assert [isinstance(value, Claim) for value in args] == [False, True, False, False]
    assert isinstance(kwargs["e"], Claim) and kwargs["f"] == 1
    assert resolve(args, kwargs) == (values, {"e": "e" * 700, "f": 1})


def test_decoding_never_asks_the_store(register, name):
    class Sealed(Store):
        def put(self, id, data):
            pass

        def get(self, id):
            raise AssertionError("the store was asked")

        remove = sweep = link = get

    register(store=Sealed())
    args, _, _ = loads(dumps(name, [BIG]))
    assert repr(args) == f"[<claim of {args[0].size} bytes>]"
    with pytest.raises(AssertionError):
        resolve(args, {})


@pytest.mark.parametrize(
    "body",
    [
        {"method": "shutdown", "arguments": {"filler": BIG}, "destination": None},
        [[BIG], {}],
        [[BIG], {}, {"other": 1}],
        {"task": "t", "id": "1", "args": [BIG], "kwargs": {}, "callbacks": None},
        BIG,
        None,
    ],
    ids=["control", "eager call", "three things", "protocol 1", "text", "nothing"],
)
def test_what_is_no_call_travels_inline(register, entries, name, body):
    register()
    assert loads(serialization.dumps(body, name)) == body
    assert entries() == []


def test_claims_are_found_beside_deep_data(register):
    register(threshold=20_000)
    deep = "x"
    for _ in range(400):
        deep = [{"deeper": deep}]
    args, _, _ = loads(dumps("claim-json", [BIG * 100, deep]))
    assert isinstance(args[0], Claim) and args[1] == deep


def test_data_that_looks_like_a_claim_stays_data(register):
    register()
    message = dumps("claim-json", [BIG])
    envelope = json.loads(message[2])
    ((mark, reference),) = envelope["body"][0][0].items()
    forged = [{mark: reference}, {"supervise.claim": mark, "body": reference}, BIG]
    args, kwargs = resolve(*loads(dumps("claim-json", forged))[:2])
    assert (args, kwargs) == (forged, {})


@pytest.mark.parametrize(
    "reference",
    [
        ["../../../../etc/passwd", 1, "0" * 64],
        ["0" * 31 + "/", 1, "0" * 64],
        ["0" * 32 + "\n", 1, "0" * 64],
        ["0" * 32, -1, "0" * 64],
        ["0" * 32, "1", "0" * 64],
        ["0" * 32, 1, "x"],
        ["0" * 32, 1],
        "0" * 32,
    ],
)
def test_a_malformed_claim_is_not_decoded(register, reference):
    register()
    data = json.dumps({"supervise.claim": "mark", "body": [[{"mark": reference}], {}, EMBED]})
    with pytest.raises(DecodeError, match="malformed claim"):
        loads((CLAIM_JSON.content_type, "utf-8", data))


def test_pickles_are_decoded_only_where_they_are_accepted(register):
    register()
    content_type, encoding, data = dumps("claim-pickle", [BIG])
    for accept in (None, {"application/json", CLAIM_JSON.content_type}):
        with pytest.raises(ContentDisallowed):
            serialization.loads(data, content_type, encoding, accept=accept)


def test_a_json_message_cannot_have_a_pickle_loaded(register, entries, directory):
    register()
    (claim,), _, _ = loads(dumps("claim-pickle", [BIG]))
    reference = [claim.id, claim.size, claim.digest]
    data = json.dumps({"supervise.claim": "mark", "body": [[{"mark": reference}], {}, EMBED]})
    args, _, _ = loads((CLAIM_JSON.content_type, "utf-8", data))
    with pytest.raises(UnicodeDecodeError):  # read as JSON
        resolve(args, {})
    with pytest.raises(EncodeError, match="stored by claim-pickle"):
        dumps("claim-json", [claim])


def test_a_missing_entry_and_one_that_was_changed_are_told_apart(register, name, directory):
    register()
    args, _, _ = loads(dumps(name, [BIG]))
    entry = directory / args[0].id
    content = entry.read_bytes()
    entry.write_bytes(content.replace(b"big", b"BIG"))
    with pytest.raises(ClaimCorrupt, match=args[0].id):
        resolve(args, {})
    entry.write_bytes(content[:-1])
    with pytest.raises(ClaimCorrupt, match=f"{args[0].size - 1:,} bytes of {args[0].size:,}"):
        resolve(args, {})
    entry.unlink()
    with pytest.raises(ClaimMissing, match=args[0].id):
        resolve(args, {})


def test_errors_survive_a_result_backend():
    for kind in (ClaimError, ClaimMissing, ClaimCorrupt):
        error = pickle.loads(pickle.dumps(kind("what happened")))
        assert (type(error), error.args) == (kind, ("what happened",))


def signature(task, *args, **options):
    return {
        "task": task, "args": args, "kwargs": {}, "options": options, "subtask_type": None, "immutable": False
    }  # fmt: skip


@pytest.fixture
def celery_app(register, name):
    register()
    app = Celery("test", broker="memory://", set_as_current=True)
    app.conf.update(task_serializer=name)
    yield app
    app.close()


def test_embedded_signatures_keep_their_form_and_are_not_touched(celery_app, name, entries):
    inner = signature("inner", BIG, 1)
    group = {**signature("celery.group"), "kwargs": {"tasks": [inner]}, "subtask_type": "group"}
    outer = signature("outer", BIG, link_error=[inner], priority=3)
    before = pickle.dumps((group, outer))
    _, _, embed = loads(dumps(name, [], chain=[group, outer], errbacks=[inner], chord=inner))
    assert pickle.dumps((group, outer)) == before
    assert len(entries()) == 5

    group, outer = embed["chain"]
    inners = [group["kwargs"]["tasks"][0], outer["options"]["link_error"][0], embed["errbacks"][0]]
    for found in [*inners, embed["chord"]]:
        assert found["task"] == "inner"
        assert resolve(found["args"], found["kwargs"]) == ([BIG, 1], {})
    assert outer["options"]["priority"] == 3


def test_an_embedded_claim_is_passed_on_without_being_read(celery_app, name, entries, directory):
    _, _, embed = loads(dumps(name, [], callbacks=[signature("t", BIG)]))
    first = entries()
    (directory / first[0]).chmod(0)
    (callback,) = embed["callbacks"]
    args, _, _ = loads(dumps(name, [1, *callback["args"]]))
    assert len(entries()) == 2
    assert args[1].id not in first
    assert (directory / args[1].id).samefile(directory / first[0])


def test_a_signature_as_an_argument_passes_its_claims_on(celery_app, name, entries):
    _, _, embed = loads(dumps(name, [], chord=signature("t", BIG)))
    args, kwargs, _ = loads(dumps(name, [], {"callback": embed["chord"], "other": BIG}))
    assert isinstance(kwargs["other"], Claim)
    assert resolve(kwargs["callback"]["args"], {}) == ([BIG], {})


def test_a_workflow_with_another_serializer_travels_inline(celery_app, name, entries):
    @celery_app.task(name="plain", serializer="yaml", shared=False)
    def plain():
        pass

    group = {**signature("celery.group"), "kwargs": {"tasks": [signature("plain")]}, "subtask_type": "group"}
    for other in (signature("plain"), signature("t", serializer="yaml"), group, signature("t", link=[group])):
        _, _, embed = loads(dumps(name, [], chain=[signature("t", BIG), other]))
        assert embed["chain"][0]["args"][0] == BIG
    assert entries() == []


def test_a_claim_is_not_sent_as_json_without_a_store(celery_app, name):
    @celery_app.task(name="plain", serializer="json", shared=False)
    def plain(value):
        pass

    (claim,), _, _ = loads(dumps(name, [BIG]))
    with pytest.raises(EncodeError, match="this call is sent by a serializer that knows nothing of stores"):
        plain.delay(claim)
    task_received.send(None, request=SimpleNamespace(request_dict={}))  # the front goes on after the failure
    assert serialization.dumps({"args": [claim]}, "json")[2] == f'{{"args": ["{claim!r}"]}}'


def test_nothing_is_left_of_a_message_that_cannot_be_encoded(register, name, entries):
    class Unwritable:
        def __reduce__(self):
            raise TypeError("not this one")

    register()
    (claim,), _, _ = loads(dumps(name, [BIG]))
    with pytest.raises(EncodeError):
        dumps(name, [claim, BIG * 2, "x" * 5000], callbacks=[Unwritable()])
    assert entries() == [claim.id]


def test_a_consumer_that_is_not_celery_may_have_values_decoded(register, name, monkeypatch):
    register()
    monkeypatch.setattr(loading, "_resolves_here", False)  # put back after the test
    loading.resolve_in_this_process()
    args, kwargs, _ = loads(dumps(name, [BIG], {"small": 1, "big": BIG}))
    assert (list(args), kwargs) == ([BIG], {"small": 1, "big": BIG})


def test_where_decoding_loads_the_use_of_arguments_that_are_gone_raises(
    register, name, monkeypatch, directory
):
    register()
    monkeypatch.setattr(loading, "_resolves_here", True)
    message = dumps(name, [1], {"big": BIG})
    shutil.rmtree(directory)
    directory.mkdir(mode=0o700)
    args, kwargs, _ = loads(message)
    with pytest.raises(ClaimMissing):
        (lambda *args, **kwargs: None)(*args, **kwargs)


def test_compression_and_the_two_serializers_go_together(register, name):
    from kombu.compression import compress, decompress

    register()
    content_type, encoding, data = dumps(name, [BIG, 1])
    body, compression = compress(data, "zlib")
    args, _, _ = loads((content_type, encoding, decompress(body, compression)))
    assert resolve(args, {}) == ([BIG, 1], {})


ENTRY_POINTS = textwrap.dedent("""
    import sys
    import supervise.claim
    assert not {"kombu", "celery", "redis", "fsspec"} & set(sys.modules), "imported with the package"
    from kombu import serialization
    from kombu.exceptions import ContentDisallowed
    body = (["x" * 2000], {}, {"callbacks": None})
    for name in ("claim-json", "claim-pickle"):
        message = serialization.dumps(body, name)
        assert len(message[2]) < 1000, message
        accept = serialization.prepare_accept_content([name])
        args, _, _ = serialization.loads(message[2], message[0], message[1], accept=accept)
        assert supervise.claim.resolve(args, {}) == (["x" * 2000], {})
    try:
        serialization.loads(message[2], message[0], message[1])
    except ContentDisallowed:
        print("fine")
""")


def test_an_installed_package_needs_no_call(installed, directory):
    done = subprocess.run(
        [sys.executable, "-c", ENTRY_POINTS],
        env={**installed, "CLAIM_CHECK_STORE": str(directory), "CLAIM_CHECK_THRESHOLD": "1000"},
        capture_output=True, text=True, timeout=SECONDS,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("fine\n", "")


def test_the_flavours_have_the_names_that_the_documentation_says():
    assert [CLAIM_JSON.name, CLAIM_PICKLE.name] == ["claim-json", "claim-pickle"]
