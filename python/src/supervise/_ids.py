"""IDs: the only kinds of argument and of result. Checked here, encoded as ipc/PROTOCOL.md says."""

from __future__ import annotations

import struct
import uuid
from typing import Optional, Union

from supervise._errors import NotAnId, TooLarge

Id = Union[int, uuid.UUID, str]

MAX_ARGS = 960  # bytes of one job's encoded arguments
MAX_IDS = 100
MAX_TEXT = 255  # bytes of a text ID

KIND_NONE, KIND_INT, KIND_UUID, KIND_TEXT = 0, 1, 2, 3
NONE = b"\x00"

_INT = struct.Struct("<Bq")
_ONE_INT = struct.Struct("<BBq")
_pack_int = _INT.pack
_pack_one_int = _ONE_INT.pack
_unpack_q = struct.Struct("<q").unpack_from

_ALLOWED = f"an ID is an int of 64 bits, a uuid.UUID or a str of at most {MAX_TEXT} bytes"
_WAY_OUT = "Keep the data in a store (a database row, a file, a cache key) and pass its ID."


def encode_args(ids: tuple[object, ...], most: int = MAX_ARGS) -> bytes:
    """One job's arguments. `most` is smaller than MAX_ARGS for a task with a very long name."""
    if len(ids) == 1 and type(ids[0]) is int:
        try:
            return _pack_one_int(1, KIND_INT, ids[0])
        except struct.error:
            pass  # falls through to the error that explains
    if len(ids) > MAX_IDS:
        raise TooLarge(
            f"{len(ids)} IDs for one job; the limit is {MAX_IDS}. Submit several jobs (see "
            "Client.map), or keep the list in a store and pass its ID."
        )
    parts = [bytes((len(ids),))]
    for position, value in enumerate(ids, 1):
        parts.append(encode_id(value, position))
    encoded = b"".join(parts)
    if len(encoded) > most:
        raise TooLarge(
            f"the IDs of one job take {len(encoded)} bytes; the limit is {most} (a frame has at "
            f"most 1,024 bytes, of which {MAX_ARGS} are for IDs). {_WAY_OUT}"
        )
    return encoded


def encode_id(value: object, position: Optional[int] = None) -> bytes:
    """One ID. `position` counts the arguments from 1; without it the value is a task's result."""
    if isinstance(value, int) and not isinstance(value, bool):
        try:
            return _pack_int(KIND_INT, value)
        except struct.error:
            raise TooLarge(
                f"{_subject(position)} is an int of {value.bit_length()} bits; the limit is a "
                "signed 64-bit int. Pass it as a str, or as a uuid.UUID."
            ) from None
    if isinstance(value, uuid.UUID):
        return b"\x02" + value.bytes
    if isinstance(value, str):
        return _encode_text(value, position)
    raise NotAnId(_explain(value, position))


def _encode_text(value: str, position: Optional[int]) -> bytes:
    try:
        text = value.encode()
    except UnicodeEncodeError:
        raise NotAnId(
            f"{_subject(position)} is a str with lone surrogates, which UTF-8 has no bytes for. "
            "Pass an ID of the store instead (for a file: a number, or its name escaped)."
        ) from None
    if len(text) > MAX_TEXT:
        raise TooLarge(
            f"{_subject(position)} is a str of {len(text)} bytes in UTF-8; the limit of an ID is "
            f"{MAX_TEXT}. {_WAY_OUT}"
        )
    if b"\x00" in text:
        raise NotAnId(
            f"{_subject(position)} is a str with a NUL character, which an ID cannot have. "
            "Leave it out, or pass a number."
        )
    return bytes((KIND_TEXT, len(text))) + text


def _subject(position: Optional[int]) -> str:
    return "the result" if position is None else f"argument {position}"


def _explain(value: object, position: Optional[int]) -> str:
    kind = type(value)
    name = "None" if value is None else f"a {kind.__qualname__}"
    text = f"{_subject(position)} is {name}, which is not an ID; {_ALLOWED}. "
    if position is None:
        return text + "Put the result in a store and return its ID, or return None."
    if value is None:
        return text + "Leave the argument out, or give the task a default."
    if isinstance(value, bool):
        return text + "Pass 0 or 1."
    if isinstance(value, float):
        return text + "Pass an int (of a smaller unit), or str(value)."
    if isinstance(value, (bytes, bytearray, memoryview)) and len(value) == 16:
        return text + "If these bytes are a UUID, pass uuid.UUID(bytes=...)."
    for attribute in ("pk", "id"):
        if isinstance(getattr(value, attribute, None), (int, str, uuid.UUID)):
            return text + f"Pass its .{attribute}, and let the task load it."
    return text + _WAY_OUT


class BadId(ValueError):
    """Bytes that are no ID. Never leaves the package: the frame that held them is malformed."""


def id_end(data: bytes, at: int) -> int:
    """Where the ID that starts at `at` ends; IndexError or BadId if there is none."""
    kind = data[at]
    if kind == KIND_INT:
        end = at + 9
    elif kind == KIND_UUID:
        end = at + 17
    elif kind == KIND_TEXT:
        end = at + 2 + data[at + 1]
    else:
        raise BadId(f"an ID of kind {kind}")
    if end > len(data):
        raise BadId("an ID that is cut short")
    return end


def decode_id(data: bytes, at: int = 0) -> Id:
    """The ID at `at`; the caller has checked with id_end() that it is whole."""
    kind = data[at]
    if kind == KIND_INT:
        number: int = _unpack_q(data, at + 1)[0]
        return number
    if kind == KIND_UUID:
        return uuid.UUID(bytes=data[at + 1 : at + 17])
    text = data[at + 2 : at + 2 + data[at + 1]]
    if b"\x00" in text:
        raise BadId("a text ID with a NUL byte")
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise BadId("a text ID that is not UTF-8") from None


def args_end(data: bytes, at: int) -> int:
    """Where the arguments that start at `at` end; IndexError or BadId if they are malformed."""
    count = data[at]
    if count > MAX_IDS:
        raise BadId(f"{count} IDs for one job")
    end = at + 1
    for _ in range(count):
        end = id_end(data, end)
    if end - at > MAX_ARGS:
        raise BadId(f"arguments of {end - at} bytes")
    return end


def decode_args(data: bytes, at: int = 0) -> tuple[Id, ...]:
    """The arguments that start at `at` and end with `data`."""
    if len(data) - at == 10 and data[at] == 1 and data[at + 1] == KIND_INT:
        return _unpack_q(data, at + 2)
    try:
        end = args_end(data, at)
    except IndexError:
        raise BadId("arguments that are cut short") from None
    if end != len(data):
        raise BadId(f"{len(data) - end} bytes after the last ID")
    ids = []
    place = at + 1
    for _ in range(data[at]):
        ids.append(decode_id(data, place))
        place = id_end(data, place)
    return tuple(ids)
