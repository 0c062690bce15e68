"""Whether the ledger here is as far as this hospital once told the coordinator: else its folder was rolled back.

A folder that is restored as a whole looks intact from inside. What it cannot restore is the coordinator's memory. So a
service first **asks** which head of its ledger was told last; only when the ledger here goes through that head does it
train, and tell its own. Otherwise it notes that the ledger is behind, and nothing is trained until it is rebuilt.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from wardround_client.spending.ledger.chain import Head
from wardround_client.spending.ledger.past import ROLLED_BACK, check_not_behind, note_behind
from wardround_client.spending.ledger.store import existing_ledger, read_head
from wardround_common.errors import MessageError, StorageError
from wardround_common.keys.identity import Identity
from wardround_common.messages.ledger_header import LEDGER_HEADER, Kept, read_kept

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Elsewhere:
    """What the coordinator remembers of the ledger in a folder, compared with the ledger."""

    folder: Path
    identity: Callable[[], Identity]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    _told: str = ""
    _asked: bool = False
    _warned: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def says(self) -> dict[str, str]:
        """Return the header with this ledger's head; none before it was asked what was told before, or while behind.

        One that was exchanged for an older copy meanwhile is noted here: told, its head would take the later one's
        place at the coordinator, and another rolled back folder would be found by nobody.
        """
        with self._lock, suppress(StorageError):
            check_not_behind(self.folder)
            if self._asked and (head := read_head(self.folder)):
                if self._told and head.number < Head.parse(self._told).number:
                    self._note(self._told)
                    return {}
                self._told = head.text()
                return {LEDGER_HEADER: self._told}
        return {}

    def hears(self, header: str) -> None:
        """Compare what was told before with the ledger; one that is behind is noted in the folder, and said once.

        Raises:
            StorageError: that cannot be noted.
        """
        with self._lock:
            kept = read_kept(header)
            try:
                lost = kept is not None and kept.head != self._told and self._is_lost(kept)
            except StorageError:  # a ledger that cannot be read trains nothing; it is compared when it can
                return
            if kept is None or not lost:
                self._asked = True
                return
            self._note(kept.head)

    def _note(self, later: str) -> None:
        """Note that the ledger is behind, and say it once; ``later`` is a head that it does not go through."""
        note_behind(self.folder, later)
        if not self._warned:
            self._warned = True
            log.error(ROLLED_BACK)

    def _is_lost(self, kept: Kept) -> bool:
        """Tell whether this hospital signed a head that its ledger does not go through."""
        try:
            head = Head.parse(kept.head)
            head.check(self.identity().public)
        except (StorageError, MessageError):
            return False  # of keys that were replaced, or of nobody
        if read_head(self.folder) is None:
            return False  # whether there may be no ledger here is asked before one begins
        ledger = existing_ledger(self.folder, self.identity(), also_behind=True)
        if ledger.goes_through(head):
            return False
        carried = ledger.books.carried
        heard = self.clock() - timedelta(seconds=kept.age_s)
        return carried is None or datetime.fromisoformat(carried.at) < heard
