"""With each heartbeat, each end tells the other how far its audit log has come, and notes what it is told.

So neither can write its log anew from before the last hour without the other's log saying so: people need not exchange
heads by hand. The head travels with the messages, in a header of a heartbeat and of its answer.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from wardround_common.audit.entries import HEADS, AuditHead, read_line
from wardround_common.audit.log import AuditLog, lines
from wardround_common.errors import MessageError, StorageError

log = logging.getLogger(__name__)

HEAD_HEADER = "x-wardround-audit-head"
STANDING_HEADER = "x-wardround-standing"
"""A hospital's heartbeat says ``paused`` here as long as that is so."""
PAUSED = "paused"
IMAGES_AWAY = "images-away"
"""It says this as long as its images are not there, if it missed them."""
SPLIT_HEADER = "x-wardround-audit-split"
"""Tells the other end since when its audit log is not the one that it was: it went back, or there are two of them."""
EVERY_S = 3600.0
"""A head of the other end is noted at this interval; immediately if it is the first after a start or went back, unless
that was noted within the hour: of two copies that both serve, each other head goes back."""


class _Last(NamedTuple):
    """The head that was heard last, and when one was noted last, and one that did not follow."""

    number: int
    link: bytes
    noted: float
    split: float


class Witness:
    """Says this end's head, and notes the other's; finds a log that was rolled back, or of which there are two.

    What it heard before a restart it finds in its own log. One end cannot see of itself that a copy of its folder
    serves as well: each tells the other.
    """

    def __init__(
        self,
        own: AuditLog,
        monotonic: Callable[[], float] = time.monotonic,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._own = own
        self._monotonic = monotonic
        self._clock = clock
        self._lock = threading.Lock()
        self._last: dict[tuple[str, bytes], _Last] = {}
        self._split: dict[str, tuple[datetime, float]] = {}
        self._told: dict[str, datetime] = {}
        self._before: dict[str, str] | None = None

    def says(self, peer: str) -> dict[str, str]:
        """Return the headers for the other end."""
        head = self._own.head()
        said = {HEAD_HEADER: head.text()} if head else {}
        if since := self.split(peer):
            said[SPLIT_HEADER] = since.isoformat(timespec="seconds")
        return said

    def split(self, peer: str) -> datetime | None:
        """Say since when the other end's log is not the one that it was; None unless that was seen within the hour."""
        since, seen = self._split.get(peer, (None, 0.0))
        return since if since and self._monotonic() - seen < EVERY_S else None

    def told(self, peer: str) -> datetime | None:
        """Say since when, as the other end tells, this end's own log has not been the one that it was."""
        return self._told.get(peer)

    def hears(self, peer: str, public: bytes, headers: Mapping[str, str]) -> None:
        """Note the head that the other end said, if it is its own and it is time to; what cannot be noted is let be."""
        self._hear_of_us(peer, headers.get(SPLIT_HEADER, ""))
        try:
            head = AuditHead.parse(headers.get(HEAD_HEADER, ""))
            head.check(public)
        except (StorageError, MessageError):
            return
        with self._lock:
            if (peer, public) not in self._last:
                self._last[peer, public] = self._remembered(peer, public)
            last, now = self._last[peer, public], self._monotonic()
            back = head.number < last.number
            split = back or (head.number == last.number and head.link != last.link)
            if split:
                since, seen = self._split.get(peer, (self._clock(), -math.inf))
                self._split[peer] = (since if now - seen < EVERY_S else self._clock(), now)
            due = now - (last.split if split else last.noted) >= EVERY_S
            noted, split_at = (now if due else last.noted), (now if due and split else last.split)
            self._last[peer, public] = _Last(head.number, head.link, noted, split_at)
            if not due:
                return
            what = "head went back" if back else "head split" if split else "head received"
            try:
                self._own.note(what, {"with": peer, "head": head.text()})
            except StorageError as error:
                log.warning("the head of %s could not be noted: %s", peer, error)

    def _hear_of_us(self, peer: str, said: str) -> None:
        with suppress(ValueError):
            since = datetime.fromisoformat(said[:40])
            if since.tzinfo is not None:
                self._told[peer] = since
                return
        self._told.pop(peer, None)

    def _remembered(self, peer: str, public: bytes) -> _Last:
        """Find the head of another end that this end's own log was told last."""
        if self._before is None:
            self._before = _told_last(self._own)
        found = _Last(0, b"", -math.inf, -math.inf)
        with suppress(StorageError, MessageError):
            head = AuditHead.parse(self._before.get(peer, ""))
            head.check(public)
            found = found._replace(number=head.number, link=head.link)
        return found


def _told_last(own: AuditLog) -> dict[str, str]:
    """Read from a log the head that each other end told last; what cannot be read is not remembered."""
    found: dict[str, str] = {}
    with suppress(StorageError):
        for line in lines(own.folder):
            if b'"head ' in line:  # to parse every line takes seconds
                with suppress(MessageError):
                    entry = read_line(line)
                    if entry.what in HEADS:
                        found[entry.text("with")] = entry.text("head")
    return found
