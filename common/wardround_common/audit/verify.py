"""Checks an audit log and names every entry that was edited, removed, moved or inserted.

What it cannot find: that anyone who has both the key and the disk rewrote everything since the last head that was given
out, or since what the other side's log has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from wardround_common.audit.entries import OPENED, AuditHead, Entry, key_of, read_line
from wardround_common.documents.signed_chain import FIRST_LINK, gap, head_faults
from wardround_common.errors import MessageError


@dataclass(frozen=True)
class Verified:
    """What was found."""

    entries: tuple[Entry, ...]
    """Those that are whole, in the order of the file."""
    faults: tuple[str, ...]
    """None if the log is whole."""
    links: Mapping[int, bytes] = field(repr=False)
    """By number."""
    torn: bool = False
    """Whether the last line is half of one, as a power cut leaves it: the next entry sets it aside."""


def verify(
    lines: Iterable[bytes], public: bytes, heads: Iterable[AuditHead], who: str, *, kept: AuditHead | None = None
) -> Verified:
    """Check every line of the log of ``who``, whose key is ``public``, and that it goes through ``heads``.

    ``kept``: the head next to the log, where this is a log on its owner's disk and no export. A last line that is no
    entry, and that this head does not speak of, is what a power cut left.
    """
    found = _Reading(public, who)
    entries = tuple(found.entries(lines))
    torn = kept is not None and found.last_is_none and kept.number <= found.number
    faults = found.faults[:-1] if torn else found.faults
    faults = [*faults, *head_faults([*heads, *([kept] if kept else [])], public, found.links, "log", who)]
    if not entries and not faults:
        faults.append("the log is empty")
    return Verified(entries, tuple(faults), found.links, torn)


class _Reading:
    def __init__(self, public: bytes, who: str) -> None:
        self.faults: list[str] = []
        self.links: dict[int, bytes] = {}
        self.number = 0
        """Of the last entry that was read."""
        self.last_is_none = False
        """Whether the last line was no entry: the last fault speaks of it."""
        self._public = public
        self._who = who

    def entries(self, lines: Iterable[bytes]) -> Iterator[Entry]:
        number, link = 0, FIRST_LINK
        for place, line in enumerate(lines, start=1):
            self.last_is_none = False
            try:
                entry = read_line(line)
            except MessageError:
                self.last_is_none = True
                self.faults.append(f"line {place}, after entry {number}, is not an entry: it was edited, added or cut")
                continue
            row = entry.row
            self.faults += gap(row.number, number)
            try:
                row.check_signature(self._public)
            except MessageError:
                self.faults.append(
                    f"entry {row.number} is not what {self._who} signed: it was edited, moved, put in, or is another's"
                )
            else:
                if row.previous != link:
                    self.faults.append(f"entry {row.number} follows another entry than the one before it")
                self.faults += _first(entry, self._public)
                self.links[row.number] = row.link
                yield entry
            self.number = number = row.number
            link = row.link


def _first(entry: Entry, public: bytes) -> Iterator[str]:
    if (entry.what == OPENED) != (entry.number == 1):
        yield f"entry {entry.number} stands where it cannot"
    elif entry.number == 1 and key_of(entry) != public:
        yield "the log says that it is of another key"
