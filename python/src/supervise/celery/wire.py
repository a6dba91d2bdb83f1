"""What Celery has and a frame has not."""

from __future__ import annotations

from supervise import _frames as frames

_SIGINT, _SIGUSR1 = 2, 10


def text(of: str) -> str:
    """What a frame can carry of it."""
    if len(of) < 256 and of.isascii() and "\0" not in of:
        return of
    return frames.head_of(frames.clean(of), 255).decode()


def signal_frame(job: int, number: int) -> bytes:
    """By SIGUSR1 prefork's users interrupt a task: SoftTimeLimitExceeded. Our workers take it for a limit
    that is due, or ignore it; what interrupts them at any time is SIGINT."""
    return frames.send_signal(job, _SIGINT if number == _SIGUSR1 else number)
