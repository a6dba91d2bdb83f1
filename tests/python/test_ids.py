"""IDs: what is one, and what the errors say about what is not."""

from __future__ import annotations

import enum
import uuid
from typing import Any

import pytest

import supervise
from supervise import _ids


class Colour(enum.IntEnum):
    red = 1


class Model:
    pk = 5


@pytest.mark.parametrize(
    "ids", [(), (1,), (-(2**63), 2**63 - 1), (uuid.uuid4(),), ("", "é" * 127), ("a", 1) * 50]
)
def test_ids_come_back_as_they_were(ids: tuple[Any, ...]) -> None:
    assert _ids.decode_args(_ids.encode_args(ids)) == ids


def test_subclasses_arrive_as_the_plain_type() -> None:
    class Name(str):
        pass

    args = _ids.decode_args(_ids.encode_args((Colour.red, Name("n"))))
    assert args == (1, "n")
    assert [type(value) for value in args] == [int, str]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, "Pass 0 or 1"),
        (1.5, "str(value)"),
        (None, "Leave the argument out"),
        (b"bytes", "Keep the data in a store"),
        (b"b" * 16, "uuid.UUID(bytes=...)"),
        ({"a": 1}, "Keep the data in a store"),
        ([1, 2], "Keep the data in a store"),
        (Model(), "Pass its .pk"),
        ("a\0b", "NUL"),
        ("\udc80", "surrogates"),
    ],
)
def test_what_is_no_id_is_refused_with_the_way_out(value: Any, words: str) -> None:
    with pytest.raises(supervise.NotAnId) as caught:
        _ids.encode_args((1, value))
    assert "argument 2 is" in str(caught.value)
    assert words in str(caught.value)
    assert isinstance(caught.value, TypeError)
    assert isinstance(caught.value, supervise.SuperviseError)


def test_a_single_argument_is_checked_as_well() -> None:
    with pytest.raises(supervise.NotAnId, match="argument 1 is a bool"):
        _ids.encode_args((False,))


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1])
def test_an_int_of_more_than_64_bits_is_too_large(value: int) -> None:
    for ids in ((value,), (1, value)):
        with pytest.raises(supervise.TooLarge, match="64 bits.*64-bit.*Pass it as a str"):
            _ids.encode_args(ids)


def test_a_text_of_more_than_255_bytes_is_too_large() -> None:
    with pytest.raises(supervise.TooLarge, match=r"256 bytes.*255.*store.*pass its ID"):
        _ids.encode_args(("é" * 128,))


def test_too_many_ids_say_how_many_and_the_limit() -> None:
    assert len(_ids.encode_args((1,) * 100)) == 901
    with pytest.raises(supervise.TooLarge, match=r"101 IDs.*limit is 100"):
        _ids.encode_args((1,) * 101)


def test_ids_of_more_than_960_bytes_say_their_size_and_the_limits() -> None:
    most = ("x" * 255, "x" * 255, "x" * 255, "x" * 186)
    assert len(_ids.encode_args(most)) == 960
    with pytest.raises(supervise.TooLarge, match=r"961 bytes.*960.*1,024.*pass its ID") as caught:
        _ids.encode_args((*most[:3], "x" * 187))
    assert isinstance(caught.value, ValueError)
