"""What the coordinator's people read when hospitals are refused for their clocks: whose is wrong, if that shows."""

from __future__ import annotations

from collections.abc import Mapping

CLOCK_S = 300.0
"""By how many seconds a hospital's clock may differ from the coordinator's."""
_SET = "set it, preferably by NTP"


def clock_warning(behind_s: Mapping[str, float]) -> str | None:
    """Say which hospitals are refused for their clocks, and whose clock to set; None if none is.

    ``behind_s``: by hospital, how many seconds its clock is behind ours; negative if it is ahead. Several that differ
    from ours and not from one another have right clocks, most likely.
    """
    if not behind_s:
        return None
    if len(behind_s) > 1 and max(behind_s.values()) - min(behind_s.values()) <= CLOCK_S:
        names = ", ".join(sorted(behind_s))
        return (
            f"Refused for their clocks, which are all {_off(min(behind_s.values()))} this machine's: {names}. This "
            f"machine's own clock is probably wrong: {_SET}; the hospitals then come back by themselves."
        )
    each = "; ".join(f"{name}, {_off(seconds)} this machine's" for name, seconds in sorted(behind_s.items()))
    return (
        f"Refused for the clock: {each}. Compare both clocks with one that you trust. Where the wrong one is: {_SET}; "
        "the hospital then comes back by itself."
    )


def _off(behind_s: float) -> str:
    minutes = round(abs(behind_s) / 60)
    size = f"{minutes} min" if minutes < 120 else f"{round(minutes / 60)} h"
    return f"{size} {'behind' if behind_s > 0 else 'ahead of'}"
