"""What a heartbeat says of the hospital's privacy ledger, so that a hospital can find out that its own was rolled back.

A hospital tells the coordinator the head of its ledger. The answer to each heartbeat carries the head that was told
**before**, and how long ago: to the coordinator it is a line that it keeps; the hospital checks that it signed it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

LEDGER_HEADER = "x-wardround-ledger"
_TOLD = re.compile(r"[0-9a-f:]{1,250}")
_KEPT = re.compile(r"([0-9a-f:]{1,250}) (\d{1,12})")


class Kept(NamedTuple):
    """A head that was told before, as its line, and how many seconds ago the coordinator first heard it."""

    head: str
    age_s: int


def read_told(header: str) -> str:
    """Read a hospital's header: a line to keep; nothing if it cannot be a head."""
    return header if _TOLD.fullmatch(header) else ""


def write_kept(kept: Kept | None) -> dict[str, str]:
    """Return the header of the answer; there is none where nothing was told before."""
    return {LEDGER_HEADER: f"{kept.head} {kept.age_s}"} if kept else {}


def read_kept(header: str) -> Kept | None:
    """Read the coordinator's header; None if it kept nothing."""
    found = _KEPT.fullmatch(header)
    return Kept(found[1], int(found[2])) if found else None
