"""The ledger as a signed chain (``documents.signed_chain``): what follows what, and how far it has come."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import ClassVar

from wardround_client.spending.ledger.entries import Entry, Opened, read_entry
from wardround_common.documents.signed_chain import FIRST_LINK, SignedHead, SignedRow
from wardround_common.errors import MessageError, StorageError

__all__ = ["FIRST_LINK", "Head", "Row", "broken", "check_end", "check_head", "follow"]


class Row(SignedRow):
    """One entry as it is kept."""

    LINK: ClassVar[bytes] = b"wardround ledger link 1"
    ROLE: ClassVar[bytes] = b"ledger entry"


class Head(SignedHead):
    """How far a ledger had come, signed by the hospital."""

    ROLE: ClassVar[bytes] = b"ledger head"
    WHAT: ClassVar[str] = "a ledger"
    COMMAND: ClassVar[str] = "wardround hospital ledger head"


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
        raise broken(head.number, "is not the one that the head was signed for: the ledger was rewritten")


WAYS_OUT = (
    "No study is trained with it. Stop the service and restore the newest copy: wardround hospital ledger restore "
    "COPY. Without one, or with new keys: wardround hospital ledger rebuild. Find out who could write here."
)
"""What to do about a ledger that cannot be trusted."""


def broken(number: int, what: str) -> StorageError:
    """Name the entry at which a ledger cannot be trusted."""
    return StorageError(
        f"entry {number} of the ledger {what}",
        do=WAYS_OUT,
    )
