"""Check a whole ledger and name every entry that was edited, removed, moved or inserted.

What it cannot find: a state folder that was rolled back as a whole to an older copy, since every head in it is older
too. A head that was given out before (``wardround hospital ledger head``) finds that as well. Nor can it find a forgery
by somebody who has the hospital's private key: they can write another ledger from the first entry on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from wardround_client.spending.ledger.books import Books
from wardround_client.spending.ledger.chain import FIRST_LINK, Head, Row
from wardround_client.spending.ledger.entries import Approved, Charged, Entry, Opened, read_entry
from wardround_client.spending.ledger.patients import Cohort
from wardround_common.documents.signed_chain import gap, head_faults
from wardround_common.errors import MessageError, StorageError

Columns = tuple[object, ...]


@dataclass(frozen=True)
class Verified:
    """What was found."""

    entries: int
    cohorts: int
    faults: tuple[str, ...]
    """None if the ledger is whole."""


def verify(entries: Iterable[Columns], cohorts: Iterable[Columns], public: bytes, heads: Iterable[Head]) -> Verified:
    """Check every entry, every cohort, and that the chain goes through ``heads``, as rows of the tables give them.

    ``heads``: the one that is kept next to the ledger, and any that were given out.
    """
    faults: list[str] = []
    links: dict[int, bytes] = {}
    used: set[str] = set()
    count = 0
    books = Books()
    number, link = 0, FIRST_LINK
    for columns in entries:
        count += 1
        row = _row_of(columns)
        if row is None:
            faults.append(f"entry {columns[0]!r} has something else in it than bytes: it was edited")
            continue
        faults += gap(row.number, number)
        try:
            row.check_signature(public)
        except MessageError:
            faults.append(f"entry {row.number} is not what this hospital signed: it was edited, moved or put in")
        else:
            if row.previous != link:
                faults.append(f"entry {row.number} follows another entry than the one before it")
            faults += _fits(row, books, used)
        number, link = row.number, row.link
        links[number] = link
    faults += head_faults(heads, public, links, "ledger", "this hospital")
    kept = 0
    for digest, tags in cohorts:
        kept += 1
        if not isinstance(tags, bytes) or Cohort(tags).digest != digest:
            faults.append(f"the patients of cohort {str(digest)[:12]} were changed")
        elif digest not in used:
            faults.append(f"cohort {digest[:12]} is in no entry: it was put in")
        used.discard(str(digest))
    faults += [f"the patients of cohort {digest[:12]} were removed" for digest in sorted(used)]
    return Verified(count, kept, tuple(faults))


def _row_of(columns: Columns) -> Row | None:
    match columns:
        case (int(number), bytes(body), bytes(previous), bytes(signature)):
            return Row(number, body, previous, signature)
    return None


def _fits(row: Row, books: Books, used: set[str]) -> Iterator[str]:
    """Read a signed entry and see whether it can follow those before it."""
    try:
        entry: Entry = read_entry(row.body)
        if isinstance(entry, Opened) != (row.number == 1):
            raise StorageError("stands where it cannot")
        books.add(entry)
    except StorageError as error:
        yield f"entry {row.number}: {error.what}"
        return
    if isinstance(entry, Approved | Charged):
        used.add(entry.cohort)
