"""A process that says that it is there: what is compared with spawn to ready."""

from typing import Any


def say_ready(connection: Any) -> None:
    connection.send_bytes(b"ready")


def import_and_say_ready(connection: Any) -> None:
    import heavy  # noqa: F401

    connection.send_bytes(b"ready")
