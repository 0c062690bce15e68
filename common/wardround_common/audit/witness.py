"""Each end tells the other how far its audit log has come, with each sign of life, and notes what it is told.

So neither can write its log anew from before the last hour without the other's log saying so: people need not exchange
heads by hand. The head travels beside the messages, in a header of a heartbeat and of its answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping

from wardround_common.audit.entries import AuditHead
from wardround_common.audit.log import AuditLog
from wardround_common.errors import MessageError, StorageError

log = logging.getLogger(__name__)

HEAD_HEADER = "x-wardround-audit-head"
STANDING_HEADER = "x-wardround-standing"
"""A hospital's sign of life says ``paused`` here as long as that is so."""
PAUSED = "paused"
IMAGES_AWAY = "images-away"
"""It says this as long as its images are not there, if it missed them."""
EVERY_S = 3600.0
"""A head of the other end is noted so often; the first after a start at once, and one that went back at once."""


class Witness:
    """Says this end's head, and notes the other's."""

    def __init__(self, own: AuditLog, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._own = own
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._last: dict[tuple[str, bytes], tuple[int, float]] = {}

    def says(self) -> dict[str, str]:
        """Give the header for the other end."""
        head = self._own.head()
        return {HEAD_HEADER: head.text()} if head else {}

    def hears(self, peer: str, public: bytes, headers: Mapping[str, str]) -> None:
        """Note the head that the other end said, if it is its own and it is time to; what cannot be noted is let be."""
        try:
            head = AuditHead.parse(headers.get(HEAD_HEADER, ""))
            head.check(public)
        except (StorageError, MessageError):
            return
        with self._lock:
            number, noted = self._last.get((peer, public), (0, float("-inf")))
            back, now = head.number < number, self._monotonic()
            due = back or now - noted >= EVERY_S
            self._last[peer, public] = head.number, now if due else noted
            if not due:
                return
            try:
                self._own.note("head went back" if back else "head received", {"with": peer, "head": head.text()})
            except StorageError as error:
                log.warning("the head of %s could not be noted: %s", peer, error)
