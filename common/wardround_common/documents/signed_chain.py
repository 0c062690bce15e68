"""Chained records: each entry is signed with a link to the one before it, so none can be changed or moved.

The link of an entry is the SHA-256 of its number, its bytes, the link before it and its signature. The head is the
last link, signed once more by itself: anyone who keeps a head can tell a record that was truncated or rolled back. The
privacy ledger and the audit log are such chains; by their roles no entry of one passes for an entry of the other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

from wardround_common.canonical import joined
from wardround_common.errors import MessageError, StorageError
from wardround_common.keys.identity import Identity, check_signature

FIRST_LINK = bytes(32)


@dataclass(frozen=True)
class SignedRow:
    """One entry as it is kept."""

    LINK: ClassVar[bytes]
    """What links of this chain are hashed with."""
    ROLE: ClassVar[bytes]
    """What the signature of an entry is said to be for."""

    number: int
    """From 1."""
    body: bytes
    previous: bytes
    """The link of the entry before it."""
    signature: bytes = field(repr=False)

    @classmethod
    def signed(cls, identity: Identity, number: int, body: bytes, previous: bytes) -> Self:
        """Make the entry of that number."""
        return cls(number, body, previous, identity.sign(cls.ROLE, number.to_bytes(8, "big"), body, previous))

    @property
    def link(self) -> bytes:
        """The link that the next entry is signed with, 32 bytes."""
        number = self.number.to_bytes(8, "big")
        return hashlib.sha256(joined(self.LINK, number, self.body, self.previous, self.signature)).digest()

    def check_signature(self, public: bytes) -> None:
        """Check that the holder of ``public`` made this entry.

        Raises:
            MessageError: they did not.
        """
        check_signature(public, self.signature, self.ROLE, self.number.to_bytes(8, "big"), self.body, self.previous)


@dataclass(frozen=True)
class SignedHead:
    """How far a chain had come: its last entry's number and link, signed."""

    ROLE: ClassVar[bytes]
    """What its signature is said to be for."""
    WHAT: ClassVar[str]
    """What it is a head of, and the command that prints it."""
    COMMAND: ClassVar[str]

    number: int
    link: bytes
    signature: bytes = field(repr=False)

    @classmethod
    def signed(cls, identity: Identity, number: int, link: bytes) -> Self:
        """Sign how far the chain has come."""
        return cls(number, link, identity.sign(cls.ROLE, number.to_bytes(8, "big"), link))

    def check(self, public: bytes) -> None:
        """Check that the holder of ``public`` signed it.

        Raises:
            MessageError: they did not.
        """
        check_signature(public, self.signature, self.ROLE, self.number.to_bytes(8, "big"), self.link)

    def text(self) -> str:
        """Write the head on one line, to be given out."""
        return f"{self.number}:{self.link.hex()}:{self.signature.hex()}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a head from its line.

        Raises:
            StorageError: this is not one.
        """
        found = re.fullmatch(r"([1-9]\d{0,14}):([0-9a-f]{64}):([0-9a-f]{128})", text.strip())
        if not found:
            raise StorageError(f"this is not a head of {cls.WHAT}", do=f"It is one line, as '{cls.COMMAND}' prints it.")
        return cls(int(found[1]), bytes.fromhex(found[2]), bytes.fromhex(found[3]))


def gap(number: int, before: int) -> Iterator[str]:
    """Say what is wrong when entry ``number`` stands after entry ``before``."""
    if number == before + 1:
        return
    if number > before + 2:
        yield f"entries {before + 1} to {number - 1} were removed"
    elif number == before + 2:
        yield f"entry {before + 1} was removed"
    else:
        yield f"entry {number} stands where there can be none: it was put in"


def head_faults(
    heads: Iterable[SignedHead], public: bytes, links: Mapping[int, bytes], what: str, who: str
) -> Iterator[str]:
    """Say which of these heads the chain, its ``links`` by number, does not go through; ``what`` it is, and whose."""
    last = max(links, default=0)
    for head in heads:
        try:
            head.check(public)
        except MessageError:
            yield f"a head at entry {head.number} is not signed by {who}"
            continue
        if head.number > last:
            entries = f"entries {last + 1} to {head.number}" if head.number > last + 1 else f"entry {last + 1}"
            yield (
                f"the {what} ends with entry {last}, and a head says that there were {head.number}: {entries} "
                f"were cut off, or the {what} was rolled back"
            )
        elif links.get(head.number) != head.link:
            yield f"entry {head.number} is another one than when its head was signed: the {what} was rewritten"
