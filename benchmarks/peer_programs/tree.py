"""The processes of one run, found by their environment: also those that left its group or its session."""

from __future__ import annotations

import os
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


def marked(mark: str) -> list[int]:
    """Number the processes that have this in their environment, as ``NAME=value``, and that this user may read."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if mark.encode() in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


def processor_s(mark: str) -> float:
    """Return the processor time of these processes so far, s, and of their children that have ended."""
    ticks = 0
    for number in marked(mark):
        try:
            fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        ticks += sum(int(field) for field in fields[11:15])  # user, system, and both of children that were waited for
    return ticks / TICKS


def memory_mb(mark: str) -> float:
    """Return the memory of these processes now, MB; what several share counts once."""
    total = 0
    for number in marked(mark):
        try:
            lines = Path(f"/proc/{number}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1e3
