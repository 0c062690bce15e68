"""Compares one end's log with the other's: each message that both must know of is in both, and the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wardround_common.audit.entries import HEADS, AuditHead, Entry
from wardround_common.audit.verify import Verified
from wardround_common.errors import MessageError, StorageError

CLOCKS = timedelta(seconds=300)
"""By how much two clocks may differ before the link is refused. So near to the beginning or end of a log it cannot be
told whether a message is missing, or only not yet, or no more, in it."""


@dataclass(frozen=True)
class Side:
    """One end: whose log it is, in words, and by which key; how it calls the other end; what is in it."""

    who: str
    public: bytes
    peer: str
    log: Verified = field(repr=False)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Its entries."""
        return self.log.entries

    def heads(self, of: Side) -> Iterator[tuple[Entry, AuditHead]]:
        """Return the heads that it was told of the other end's log, as far as that key signed them."""
        for entry in self.entries:
            if entry.what in HEADS and entry.text("with") == self.peer:
                with suppress(StorageError, MessageError):
                    head = AuditHead.parse(entry.text("head"))
                    head.check(of.public)
                    yield entry, head

    def messages(self, what: str) -> dict[str, Entry]:
        """Return its messages with the other end of one kind of entry, by the digest of their content."""
        return {
            entry.text("content"): entry
            for entry in reversed(self.entries)
            if entry.what == what and entry.text("with") == self.peer
        }


@dataclass(frozen=True)
class Compared:
    """What was found."""

    matched: int
    """So many messages are in both logs, as sent and as received, with the same digest and size."""
    undecided: int
    """So many are in one log only, before the other begins, after it ends, or too near to say that one is missing."""
    faults: tuple[str, ...]


def compare(one: Side, other: Side) -> Compared:
    """Check, both ways: what one received the other sent, what one confirmed to have is in its log, and each log goes
    through the heads of it that the other end was told.
    """
    begin = max(side.entries[0].time for side in (one, other)) + CLOCKS
    end = min(side.entries[-1].time for side in (one, other)) - CLOCKS
    matched, undecided, faults = 0, 0, list[tuple[datetime, str]]()
    for sender, receiver in ((one, other), (other, one)):
        sent, received = sender.messages("message out"), receiver.messages("message in")
        delivered = sender.messages("message delivered")
        matched += len(sent.keys() & received.keys())
        missing = [*_not_sent(sender, receiver, sent, received), *_not_received(sender, receiver, delivered, received)]
        undecided += sum(not begin <= entry.time <= end for entry, _ in missing)
        faults += [(entry.time, fault) for entry, fault in missing if begin <= entry.time <= end]
        for content in sent.keys() & received.keys():
            if sent[content].text("bytes") != received[content].text("bytes"):
                fault = f"{_named(sent[content])} has another size in the log of {receiver.who}"
                faults.append((sent[content].time, fault))
        faults += _other_way(sender, receiver)
    return Compared(matched, undecided, tuple(fault for _, fault in sorted(faults)))


def _other_way(side: Side, witness: Side) -> Iterator[tuple[datetime, str]]:
    """Say which heads that the witness was told the log does not go through."""
    begin, end = side.entries[0].time - CLOCKS, side.entries[-1].time - CLOCKS
    for entry, head in witness.heads(side):
        told = f"{witness.who} was told of entry {head.number} of it ({entry.time:%Y-%m-%d %H:%M:%S} UTC)"
        if entry.what == "head went back":
            yield entry.time, f"the log of {side.who} had gone back when {told}"
        elif entry.time < begin:
            yield entry.time, f"the log of {side.who} is not the first: {told} before it begins"
        elif head.number in side.log.links and side.log.links[head.number] != head.link:
            yield entry.time, f"the log of {side.who} was rewritten since {told}"
        elif head.number not in side.log.links and entry.time <= end:
            yield entry.time, f"the log of {side.who} was cut off since {told}"


def _not_sent(
    sender: Side, receiver: Side, sent: dict[str, Entry], received: dict[str, Entry]
) -> Iterator[tuple[Entry, str]]:
    for content, entry in received.items():
        if content not in sent:
            yield entry, f"{_named(entry)} came in at {receiver.who}; the log of {sender.who} has not sent it"


def _not_received(
    sender: Side, receiver: Side, delivered: dict[str, Entry], received: dict[str, Entry]
) -> Iterator[tuple[Entry, str]]:
    for content, entry in delivered.items():
        if content not in received:
            yield (
                entry,
                f"{_named(entry)} was confirmed by {receiver.who}, says the log of {sender.who}; "
                f"it is missing in the log of {receiver.who}",
            )


def _named(entry: Entry) -> str:
    of = f" of round {entry.text('round')}" if entry.text("round") else ""
    return f"{entry.text('kind')}{of}, content {entry.text('content')[:12]} ({entry.time:%Y-%m-%d %H:%M:%S} UTC),"
