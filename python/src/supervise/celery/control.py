"""The control plane of a supervise, over its Unix socket (docs/OPERATING.md)."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, Optional

from supervise import _address

_SECONDS = 2.0  # at most, for each step: the front's loop waits


class ControlError(Exception):
    """supervise refused, or did not answer."""


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(_SECONDS)
        _address._connect_to(self.sock, self._path)


class Control:
    def __init__(self, path: str, pool: str) -> None:
        self._path = path
        self._pool = pool

    def status(self) -> dict[str, Any]:
        """Of this pool alone."""
        pools: dict[str, dict[str, Any]] = self._ask("GET", "/status")["pools"]
        return pools.get(self._pool, {})

    def set_max(self, workers: int) -> None:
        """A pool of fixed size has so many; an elastic one at most."""
        self._ask("POST", f"/pools/{self._pool}/scale", {"max": workers})

    def recycle(self, template: bool) -> None:
        """With a template: the application is imported anew, for all workers."""
        self._ask("POST", f"/pools/{self._pool}/recycle", {"template": True} if template else {})

    def _ask(self, method: str, path: str, body: Optional[dict[str, Any]] = None) -> Any:
        connection = _UnixConnection(self._path)
        try:
            connection.request(method, path, None if body is None else json.dumps(body))
            response = connection.getresponse()
            answer = json.loads(response.read())
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise ControlError(f"no answer from supervise at {self._path}: {error}") from None
        finally:
            connection.close()
        if response.status >= 400:
            raise ControlError(f"supervise refused {method} {path}: {answer['error']['message']}")
        return answer
