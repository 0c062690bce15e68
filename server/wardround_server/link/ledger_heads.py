"""The heads of the hospitals' ledgers that this coordinator was told last: each hospital is given its own back."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from wardround_common.errors import StorageError
from wardround_common.messages.ledger_header import LEDGER_HEADER, Kept, read_told, write_kept
from wardround_common.storage import write_atomically

KEEP_S = 30.0


@dataclass(eq=False)
class LedgerHeads:
    """By hospital: the head that it told last, and when that was first heard; also by processes before this one."""

    path: Path
    clock: Callable[[], float] = time.time
    _heads: dict[str, tuple[str, float]] = field(default_factory=dict)
    _kept: dict[str, tuple[str, float]] = field(default_factory=dict)
    _at: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        """Read what was kept; if that cannot be read, nothing was told before."""
        with suppress(OSError, ValueError, TypeError, AttributeError):
            kept = json.loads(self.path.read_bytes())
            self._kept = {str(name): (read_told(head), float(at)) for name, (head, at) in kept.items()}
        self._heads = self._kept.copy()

    def hears(self, hospital: str, headers: Mapping[str, str]) -> dict[str, str]:
        """Return the header with the head that was told before, and note the one that is told now, if one is."""
        told = read_told(headers.get(LEDGER_HEADER, ""))
        with self._lock:
            before, at = self._heads.get(hospital, ("", 0.0))
            if told and told != before:
                self._heads[hospital] = told, self.clock()
        return write_kept(Kept(before, max(0, int(self.clock() - at))) if before else None)

    def forget(self, hospital: str) -> None:
        """Forget what a hospital told that is revoked: who has its name next is another one."""
        with self._lock:
            self._heads.pop(hospital, None)

    def keep(self, *, now: bool = False) -> None:
        """Keep them on the disk, at most every half a minute unless it must be now; a full disk ends nothing."""
        with self._lock:
            heads = self._heads.copy()
        if heads != self._kept and (now or abs(self.clock() - self._at) >= KEEP_S):
            self._at = self.clock()
            with suppress(StorageError):
                write_atomically(self.path, json.dumps(heads).encode())
                self._kept = heads
