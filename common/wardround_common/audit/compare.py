"""Holds the log of one end against the log of the other: each message that both must know of is in both, the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from wardround_common.audit.entries import Entry

CLOCKS = timedelta(seconds=300)
"""By how much two clocks may differ before the link is refused. So near to the beginning or end of a log it cannot be
told whether a message is missing, or only not yet, or no more, in it."""


@dataclass(frozen=True)
class Side:
    """One end: whose log it is, in words; how it calls the other end; its entries."""

    who: str
    peer: str
    entries: tuple[Entry, ...] = field(repr=False)

    def messages(self, what: str) -> dict[str, Entry]:
        """Give its messages with the other end of one kind of entry, by the digest of their content."""
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
    """So many are in one log only, too near to where the other begins or ends to say that one is missing."""
    faults: tuple[str, ...]


def compare(one: Side, other: Side) -> Compared:
    """Check, both ways, that what one received the other sent, and that what one confirmed to have is in its log."""
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
    return Compared(matched, undecided, tuple(fault for _, fault in sorted(faults)))


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
