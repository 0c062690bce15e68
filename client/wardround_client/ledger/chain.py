"""How entries hold together: each is signed with the link of the one before it, so that none can change, go or move.

The link of an entry is the SHA-256 of its number, its bytes, the link before it and its signature. The head is the
last link, signed once more by itself: whoever keeps a head can tell a ledger that was cut short or set back.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from wardround_client.ledger.entries import Entry, Opened, read_entry
from wardround_common.errors import MessageError, StorageError
from wardround_common.secagg.canonical import joined
from wardround_common.secagg.identity import Identity, check_signature

FIRST_LINK = bytes(32)
_LINK = b"wardround ledger link 1"
_ENTRY = b"ledger entry"
_HEAD = b"ledger head"


@dataclass(frozen=True)
class Row:
    """One entry as it is kept."""

    number: int
    body: bytes
    previous: bytes
    """The link of the entry before it."""
    signature: bytes = field(repr=False)

    @classmethod
    def signed(cls, identity: Identity, number: int, body: bytes, previous: bytes) -> Row:
        """Make the entry of that number."""
        return cls(number, body, previous, identity.sign(_ENTRY, number.to_bytes(8, "big"), body, previous))

    @property
    def link(self) -> bytes:
        """The link that the next entry is signed with, 32 bytes."""
        number = self.number.to_bytes(8, "big")
        return hashlib.sha256(joined(_LINK, number, self.body, self.previous, self.signature)).digest()

    def check_signature(self, public: bytes) -> None:
        """Check that the holder of ``public`` made this entry.

        Raises:
            MessageError: they did not.
        """
        check_signature(public, self.signature, _ENTRY, self.number.to_bytes(8, "big"), self.body, self.previous)


@dataclass(frozen=True)
class Head:
    """How far a ledger had come: its last entry's number and link, signed by the hospital."""

    number: int
    link: bytes
    signature: bytes = field(repr=False)

    @classmethod
    def signed(cls, identity: Identity, number: int, link: bytes) -> Head:
        """Sign how far the ledger has come."""
        return cls(number, link, identity.sign(_HEAD, number.to_bytes(8, "big"), link))

    def check(self, public: bytes) -> None:
        """Check that the hospital signed it.

        Raises:
            MessageError: it did not.
        """
        check_signature(public, self.signature, _HEAD, self.number.to_bytes(8, "big"), self.link)

    def text(self) -> str:
        """Write the head on one line, to be given out."""
        return f"{self.number}:{self.link.hex()}:{self.signature.hex()}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Read a head from its line.

        Raises:
            StorageError: this is none.
        """
        found = re.fullmatch(r"([1-9]\d{0,14}):([0-9a-f]{64}):([0-9a-f]{128})", text.strip())
        if not found:
            raise StorageError(
                "this is no head of a ledger", do="It is one line, as 'wardround hospital ledger head' prints it."
            )
        return cls(int(found[1]), bytes.fromhex(found[2]), bytes.fromhex(found[3]))


def follow(rows: Iterable[Row], number: int, link: bytes) -> Iterator[tuple[Row, Entry]]:
    """Go along the chain from the entry after ``number``, whose link is ``link``, and read each entry.

    Signatures are not checked here: :func:`check_end` does, for the last, whose signature covers all before it.

    Raises:
        StorageError: an entry does not follow the one before it, or cannot be read.
    """
    for row in rows:
        number += 1
        if row.number != number:
            raise broken(number, "is missing" if row.number > number else "stands twice")
        if row.previous != link:
            raise broken(number, "does not follow the entry before it: one of the two was changed, removed or moved")
        entry = read_entry(row.body)
        if isinstance(entry, Opened) != (number == 1):
            raise broken(number, "stands where it cannot")
        link = row.link
        yield row, entry


def check_end(last: Row, public: bytes) -> None:
    """Check the signature of the last entry of a chain.

    Raises:
        StorageError: it is not this hospital's.
    """
    try:
        last.check_signature(public)
    except MessageError:
        raise broken(last.number, "is not signed by this hospital: it was changed, or is of another ledger") from None


def check_head(head: Head, public: bytes, links: dict[int, bytes]) -> None:
    """Check that the chain, its ``links`` by number, goes through ``head``.

    Raises:
        StorageError: the head is not this hospital's, the chain ends before it, or went another way.
    """
    try:
        head.check(public)
    except MessageError:
        raise StorageError("the head of the ledger is not signed by this hospital") from None
    if head.number not in links:
        raise StorageError(
            f"the ledger ends with entry {max(links, default=0)}, and its head says that there were {head.number}: "
            f"entry {max(links, default=0) + 1} and all after it were removed"
        )
    if links[head.number] != head.link:
        raise broken(head.number, "is not the one that the head was signed for: the ledger was written anew")


def broken(number: int, what: str) -> StorageError:
    """Name the entry at which a ledger cannot be trusted."""
    return StorageError(
        f"entry {number} of the ledger {what}",
        do="No study is trained with it: restore it from your newest backup, and find out who could write here.",
    )
