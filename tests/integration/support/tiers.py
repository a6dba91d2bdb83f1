"""The same on every kind of host: SUPERVISE_TIER asks for a lesser tier than this one's."""

import pytest

TIERS = ["A", "B", "C", "D"]


def start_on_tier(make, tier, **pool):
    """A started Daemon on that tier; skips the test where the host does not give it."""
    sv = make(**pool).start(env={"SUPERVISE_TIER": tier})
    supervisor = sv.status()["supervisor"]
    if supervisor["tier"] != tier:
        assert supervisor["tier"] > tier, f"asked for {tier}, got {supervisor['tier']}"
        pytest.skip(f"this host gives tier {supervisor['tier']}: {supervisor['tier_reason']}")
    return sv
