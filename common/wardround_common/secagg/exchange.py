"""The messages of a sum after its question: upload, confirmation, opening (docs/secagg.md, sections 4, 5 and 8).

Each has one strict form whose length follows from the number of hospitals; no length stands in a message. ``circle`` is
how many secrets a hospital deals and to how many, its neighbours and itself (section 6).
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_common.canonical import Reader, joined
from wardround_common.errors import MessageError
from wardround_common.keys.identity import DOMAIN, SIGNATURE_BYTES, Identity, Roster, check_signature
from wardround_common.secagg.neighbours import Graph, place_bytes, written_places
from wardround_common.secagg.sealing import OVERHEAD_BYTES
from wardround_common.secagg.shamir import SHARE_BYTES
from wardround_common.secagg.tags import SEED_BYTES, TAG_BYTES
from wardround_common.secagg.terms import Terms

DIGEST_BYTES = 32
TAGGED_BYTES = SHARE_BYTES + TAG_BYTES
"""A share with its tags, as its holder has it."""


def digest(*parts: bytes) -> bytes:
    """SHA-256 of parts that cannot be cut in another way."""
    return hashlib.sha256(joined(DOMAIN, *parts)).digest()


def seed_commitment(terms: Terms, dealer: int, place: int, seed: bytes) -> bytes:
    """Return the hash by which a seed is known when it is put together again."""
    return digest(b"seed", terms.digest, terms.places(dealer, place), seed)


@dataclass(frozen=True, eq=False)
class Masked:
    """A masked vector: the update in the study's ring, counts and score sums in the ring 2^64."""

    update: NDArray[Any]
    counts: NDArray[np.uint64]

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of both."""
        update, counts = (np.ascontiguousarray(array) for array in (self.update, self.counts))
        parts = [hashlib.sha256(array.data).digest() for array in (update, counts)]
        return digest(b"vector", self.update.dtype.str.encode(), *parts)


@dataclass(frozen=True)
class Dealt:
    """What comes with a masked vector: for each holder its sealed shares, and what tells true from false.

    The holders are the hospitals of the dealer's circle. One of its secrets belongs to each of them: the seed that the
    two share, and to the dealer itself its self-mask.
    """

    sealed: tuple[bytes, ...] = field(repr=False)
    """By holder, in the circle's order."""
    check: bytes = field(repr=False)
    """The seed of the coordinator's :class:`CheckKeys` to the shares."""
    seeds: tuple[bytes, ...] = field(repr=False)
    """Commitments to the secrets."""

    def written(self) -> bytes:
        """Return the wire form."""
        return b"".join((*self.sealed, self.check, *self.seeds))

    @classmethod
    def read(cls, reader: Reader, circle: int) -> Dealt:
        """Read the wire form.

        Raises:
            MessageError: it is truncated.
        """
        sealed = tuple(reader.take(sealed_bytes(circle)) for _ in range(circle))
        check = reader.take(SEED_BYTES)
        return cls(sealed, check, tuple(reader.take(DIGEST_BYTES) for _ in range(circle)))


@dataclass(frozen=True)
class Head:
    """A hospital's signature under its upload: what the others see of it before they confirm."""

    content: bytes
    signature: bytes

    @classmethod
    def signed(cls, identity: Identity, terms: Terms, place: int, masked: Masked, dealt: Dealt) -> Head:
        """Sign an upload."""
        content = digest(b"upload", masked.digest, dealt.written())
        return cls(content, identity.sign(b"upload", terms.digest, terms.places(place), content))

    def check(self, public: bytes, terms: Terms, place: int) -> None:
        """Check that this hospital made an upload for this sum.

        Raises:
            MessageError: it did not.
        """
        check_signature(public, self.signature, b"upload", terms.digest, terms.places(place), self.content)


@dataclass(frozen=True, eq=False)
class Upload:
    """One hospital's part of a sum, unreadable until enough of the others open the sum as a whole."""

    masked: Masked
    dealt: Dealt
    head: Head

    def envelope(self) -> bytes:
        """Return the wire form of all but the vector."""
        return self.dealt.written() + self.head.content + self.head.signature

    @classmethod
    def read(cls, masked: Masked, envelope: bytes, circle: int) -> Upload:
        """Read the wire form.

        Raises:
            MessageError: the bytes are not exactly an envelope.
        """
        reader = Reader(envelope, "an upload")
        dealt = Dealt.read(reader, circle)
        head = Head(reader.take(DIGEST_BYTES), reader.take(SIGNATURE_BYTES))
        reader.end()
        return cls(masked, dealt, head)

    def check(self, public: bytes, terms: Terms, place: int) -> None:
        """Check that these are the bytes that the hospital signed, for this sum.

        Raises:
            MessageError: they are not.
        """
        if self.head.content != digest(b"upload", self.masked.digest, self.dealt.written()):
            raise MessageError("an upload does not match its signature")
        self.head.check(public, terms, place)


def checked_list(terms: Terms, roster: Roster, heads: Mapping[int, Head]) -> bytes:
    """Check that each survivor of a list signed an upload for this sum; return what is signed to confirm the list.

    Raises:
        MessageError: one did not, or the list leaves one without enough of its neighbours (section 15).
    """

    def check() -> bytes:
        if terms.graph.deserted(heads):
            raise MessageError("the list of survivors leaves a hospital without enough of its neighbours")
        for place, head in heads.items():
            head.check(roster.keys[terms.members[place].name], terms, place)
        return survivors_statement(terms, heads)

    return terms.once("heads", (roster, heads), check)


def check_confirmations(terms: Terms, roster: Roster, signatures: Mapping[int, bytes], statement: bytes) -> None:
    """Check signatures under a list of survivors.

    Raises:
        MessageError: one is of another list, or of somebody else.
    """

    def check() -> bytes:
        for place, signature in signatures.items():
            check_signature(roster.keys[terms.members[place].name], signature, b"survivors", statement)
        return statement

    if terms.once("confirmations", (roster, signatures), check) != statement:
        raise MessageError("a signature of the survivors is not valid")


def survivors_statement(terms: Terms, heads: Mapping[int, Head]) -> bytes:
    """Return what a hospital signs when it confirms: this list of survivors, for this sum."""
    parts = [part for place in sorted(heads) for part in (terms.places(place), heads[place].content)]
    return digest(b"survivors", terms.digest, *parts)


def write_signed(entries: Mapping[int, tuple[bytes, ...]], hospitals: int) -> bytes:
    """Write what belongs to hospitals of a cohort, by their places, in order."""
    listed = [written_places(hospitals, place) + b"".join(entries[place]) for place in sorted(entries)]
    return len(entries).to_bytes(2, "big") + b"".join(listed)


@lru_cache(maxsize=4)
def read_heads(content: bytes, hospitals: int) -> Mapping[int, Head]:
    """Read a list of survivors: the heads of their uploads by place.

    Raises:
        MessageError: the bytes are not exactly such a list, in order.
    """
    entries = _entries(content, hospitals, (DIGEST_BYTES, SIGNATURE_BYTES))
    return MappingProxyType({place: Head(head, signature) for place, (head, signature) in entries.items()})


@lru_cache(maxsize=4)
def read_confirmations(content: bytes, hospitals: int) -> Mapping[int, bytes]:
    """Read the signatures under a list of survivors, by place.

    Raises:
        MessageError: the bytes are not exactly such signatures, in order.
    """
    entries = _entries(content, hospitals, (SIGNATURE_BYTES,))
    return MappingProxyType({place: signature for place, (signature,) in entries.items()})


def read_sealed(content: bytes, dealers: Sequence[int], circle: int) -> dict[int, bytes]:
    """Read the sealed shares that the survivors of a hospital's circle dealt to it.

    Raises:
        MessageError: the bytes are not exactly these.
    """
    reader = Reader(content, "an opening")
    sealed = {place: reader.take(sealed_bytes(circle)) for place in dealers}
    reader.end()
    return sealed


def read_opened(content: bytes, opened: Sequence[tuple[int, int]]) -> dict[tuple[int, int], bytes]:
    """Read one hospital's shares of these secrets with their tags, by dealer and place.

    Raises:
        MessageError: the bytes are not exactly these.
    """
    reader = Reader(content, "an opening's answer")
    shares = {secret: reader.take(TAGGED_BYTES) for secret in opened}
    reader.end()
    return shares


def dealers_of(graph: Graph, survivors: Collection[int], holder: int) -> list[int]:
    """Name the survivors whose shares a hospital holds."""
    return [place for place in graph.circle_of(holder) if place in survivors]


def opened_places(graph: Graph, survivors: Collection[int], holder: int) -> list[tuple[int, int]]:
    """Name the secrets, by dealer and place, of which a hospital gives its shares to open a sum.

    Of each survivor the self-mask, and the seeds that it shares with the dropped: never both of one hospital.
    """
    here = frozenset(survivors)
    opened = graph.opened(here)
    return [(dealer, place) for dealer in dealers_of(graph, here, holder) for place in opened[dealer]]


def sealed_bytes(circle: int) -> int:
    """Say how long one hospital's sealed shares for another one are."""
    return circle * TAGGED_BYTES + OVERHEAD_BYTES


def _entries(content: bytes, hospitals: int, sizes: tuple[int, ...]) -> dict[int, tuple[bytes, ...]]:
    reader = Reader(content, "a list of hospitals")
    entries: dict[int, tuple[bytes, ...]] = {}
    last, width = -1, place_bytes(hospitals)
    for _ in range(reader.number(hospitals)):
        place = int.from_bytes(reader.take(width), "big")
        if not last < place < hospitals:
            raise MessageError("a list of hospitals is out of order, or names one that is not in the cohort")
        entries[place] = tuple(reader.take(size) for size in sizes)
        last = place
    reader.end()
    return entries
