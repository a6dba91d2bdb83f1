"""`python -m supervise.claim sweep`: removes what is older than the time-to-live, for cron.

The store and its time-to-live come from $CLAIM_CHECK_STORE and $CLAIM_CHECK_TTL.
"""

from __future__ import annotations

import sys

from supervise.claim import ClaimError, sweep


def main(arguments: list[str]) -> int:
    if arguments != ["sweep"]:
        print(__doc__, file=sys.stderr)
        return 64
    try:
        print(f"{sweep()} entries removed")
    except (ClaimError, ImportError, ValueError) as error:
        print(f"supervise.claim: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
