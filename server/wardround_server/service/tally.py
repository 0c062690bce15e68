"""Totals over the rounds of all runs since this process started, as counters."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from wardround_common.results import RoundRecord

BUCKETS_S = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)


@dataclass(eq=False)
class Tally:
    """Counts complete rounds; read and written by several threads."""

    _lock: threading.Lock = field(default_factory=threading.Lock)
    _within: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))
    _seconds: float = 0.0
    _absences: Counter[str] = field(default_factory=Counter)
    _refused: Counter[str] = field(default_factory=Counter)
    _last: dict[str, tuple[float, int]] = field(default_factory=dict)

    def add(self, run: str, record: RoundRecord) -> None:
        """Take in a round that is complete."""
        with self._lock:
            self._within[sum(record.seconds > bucket for bucket in BUCKETS_S)] += 1
            self._seconds += record.seconds
            self._absences.update(absence.hospital for absence in record.absent)
            self._refused[run] += bool(record.refused)
            self._last[run] = (time.time(), len(record.absent))

    def durations(self) -> tuple[list[tuple[float, int]], float]:
        """Return the rounds that took up to each bound in seconds, cumulative, the last unbounded; and their time."""
        with self._lock:
            bounds, total = (*BUCKETS_S, float("inf")), 0
            cumulative = []
            for bound, count in zip(bounds, self._within, strict=True):
                total += count
                cumulative.append((bound, total))
            return cumulative, self._seconds

    def absences(self) -> dict[str, int]:
        """Count the rounds in which each hospital was missing."""
        with self._lock:
            return dict(self._absences)

    def refused(self) -> dict[str, int]:
        """Count the rounds of each run that were refused."""
        with self._lock:
            return dict(self._refused)

    def last_rounds(self) -> dict[str, tuple[float, int]]:
        """Say of each run when its last round ended, in seconds since 1970, and how many hospitals were missing."""
        with self._lock:
            return dict(self._last)
