"""The serializers that kombu calls."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Union

from supervise.claim import _celery, _settings
from supervise.claim._claim import Claim, ClaimedArgs, arriving, revive
from supervise.claim._errors import ClaimError
from supervise.claim._formats import JSON, PICKLE, Format
from supervise.claim._loading import load, resolves_here
from supervise.claim._outgoing import Outgoing, signatures

_ENVELOPE = "supervise.claim"  # the key that a JSON message with claims has and no other


class Serializer:
    """One flavour: `name` and `content_type` are what users write into `accept_content`."""

    def __init__(self, format: Format, content_encoding: str) -> None:
        self.name = f"claim-{format.name}"
        self.content_type = f"application/x-supervise-claim+{format.name}"
        self.content_encoding = content_encoding
        self._format = format

    def encode(self, body: Any) -> Union[str, bytes]:
        """Only a call of a task (protocol 2) is looked into. All else, control messages first of all, is
        encoded as it is."""
        if not _is_call(body):
            return self._format.dumps(body)
        current = _settings.settings()
        outgoing = Outgoing(self._format, _settings.store(), current.threshold)
        with outgoing.encoding():
            data = self._format.dumps(body)
            if len(data) > current.threshold:
                args, kwargs = outgoing.check_in(body[0], body[1])
                embed = body[2]
                if self._serves(embed):
                    embed = {name: outgoing.check_in_embedded(value) for name, value in embed.items()}
                data = self._format.dumps((args, kwargs, embed))
            if outgoing.claims and isinstance(data, str):
                data = f'{{"{_ENVELOPE}": "{outgoing.mark}", "body": {data}}}'
        return data

    def decode(self, data: Any) -> Any:
        """Never touches the store, unless resolve_in_this_process() was called."""
        entries: list[str] = []
        token = arriving.set(entries)
        try:
            body: Any = self._format.loads(data)
            if self._format is JSON and isinstance(body, dict) and _ENVELOPE in body:
                mark, body = str(body[_ENVELOPE]), body.get("body")
                _put_claims_in([body], mark)
        finally:
            arriving.reset(token)
        if not entries or not _is_call(body):
            return body
        _celery.connect_if_loaded()
        args, kwargs, embed = body
        args = ClaimedArgs(list(args), entries)
        if resolves_here():
            load(args, kwargs)
        return [args, kwargs, embed]

    def _serves(self, embed: Mapping[str, Any]) -> bool:
        """Whether all messages of the workflow will be ours: others cannot carry claims on."""
        return all(_celery.serializer_of(each) == self.name for each in signatures(list(embed.values())))

    def register(self) -> None:
        """In kombu, as an insecure one: without accept_content nobody decodes pickles."""
        registry = import_module("kombu.serialization").registry
        registry.register(self.name, self.encode, self.decode, self.content_type, self.content_encoding)
        if self._format is PICKLE:
            registry.disable(self.content_type)


def _is_call(body: Any) -> bool:
    return (
        isinstance(body, (tuple, list))
        and len(body) == 3
        and isinstance(body[0], (tuple, list))
        and isinstance(body[1], Mapping)
        and isinstance(body[2], Mapping)
        and "callbacks" in body[2]
    )


def _put_claims_in(body: Any, mark: str) -> None:
    containers = [body]
    while containers:
        container = containers.pop()
        for key, value in container.items() if isinstance(container, dict) else enumerate(container):
            if not isinstance(value, (dict, list)):
                continue
            if len(value) == 1 and isinstance(value, dict) and mark in value:
                container[key] = _claim(value[mark])
            else:
                containers.append(value)


def _claim(reference: Any) -> Claim:
    if not isinstance(reference, list) or len(reference) != 3:
        raise ClaimError("the message has a malformed claim")
    return revive(reference[0], reference[1], reference[2], JSON.name)


CLAIM_JSON = Serializer(JSON, "utf-8")
CLAIM_PICKLE = Serializer(PICKLE, "binary")
