"""The same on every kind of host: SUPERVISE_TIER asks for a lesser tier than this one's.

Where SUPERVISE_TEST_TIER says what this host is, that tier alone is tried, as the supervisor finds it.
"""

import os

import pytest

_THE_HOSTS = os.environ.get("SUPERVISE_TEST_TIER")
TIERS = [_THE_HOSTS] if _THE_HOSTS else ["A", "B", "C", "D"]


def start_on_tier(make, tier, **pool):
    """A started Daemon on that tier; skips the test where the host does not give it."""
    sv = make(**pool).start(env={} if _THE_HOSTS else {"SUPERVISE_TIER": tier})
    supervisor = sv.status()["supervisor"]
    if supervisor["tier"] != tier:
        said = f"asked for {tier}, got {supervisor['tier']}: {supervisor['tier_reason']}"
        assert not _THE_HOSTS and supervisor["tier"] > tier, said
        pytest.skip(said)
    return sv
