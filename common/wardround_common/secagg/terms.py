"""What all hospitals of a sum must agree on before any of them masks a number (docs/secagg.md, section 3)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, Literal, TypeVar

from wardround_common.canonical import Reader, joined
from wardround_common.errors import MessageError
from wardround_common.keys.identity import DOMAIN, KEY_BYTES, SIGNATURE_BYTES, Identity, Roster, check_signature
from wardround_common.messages.rounds import SUMS_FORM
from wardround_common.secagg.expander import CIRCLE_UP_TO, STRETCH
from wardround_common.secagg.neighbours import Graph, written_places
from wardround_common.secagg.thresholds import LARGEST_COHORT

What = Literal["train", "evaluate"]
T = TypeVar("T")
LARGEST_NAME_BYTES = 1000


@dataclass(frozen=True)
class Member:
    """A hospital of a cohort: its name, its key for this run, and its signature that the key is its own."""

    name: str
    agreement: bytes
    signature: bytes

    @classmethod
    def signed(cls, name: str, identity: Identity, agreement: bytes, study: str, run: bytes) -> Member:
        """Sign a public key for agreeing on secrets in one run of one study."""
        return cls(name, agreement, identity.sign(b"key", study.encode(), run, name.encode(), agreement))

    def check(self, roster: Roster, study: str, run: bytes) -> None:
        """Check that the hospital is in our roster and that the key is its own, for this run of this study.

        Raises:
            MessageError: it is not.
        """
        if self.name not in roster.keys:
            raise MessageError("a hospital of the cohort is not in the roster")
        parts = (study.encode(), run, self.name.encode(), self.agreement)
        check_signature(roster.keys[self.name], self.signature, b"key", *parts)


@dataclass(frozen=True)
class Terms:
    """One sum: over which hospitals, in answer to which question, of which round, run and study.

    Every secret and every signature of a sum is bound to :attr:`digest`. So hospitals that were told different things
    make masks that do not cancel, and seal shares that the others cannot open.
    """

    study: str
    run: bytes
    what: What
    round: int
    question: bytes
    """SHA-256 of what is asked, the model's parameters among it: the same for all, or there is no sum."""
    roster: bytes
    """Digest of the roster."""
    members: tuple[Member, ...]
    threshold: int
    colluders: int = 0
    """What the study states, and so its digest: the graph of a large cohort needs it, as it does the drop-outs."""
    dropouts: int = 0
    form: int = SUMS_FORM
    """Of the sum's messages (section 8). In an earlier one nothing is answered, but signatures can be checked."""

    def in_earlier_forms(self) -> list[Terms]:
        """Return the same sum as earlier versions of Wardround have it."""
        return [replace(self, form=form) for form in range(1, SUMS_FORM)]

    @cached_property
    def digest(self) -> bytes:
        """SHA-256 of all of the above."""
        members = [part for member in self.members for part in (member.name.encode(), member.agreement)]
        numbers = (str(self.round).encode(), str(self.threshold).encode())
        parts = (self.study.encode(), self.run, self.what.encode(), *numbers, self.question, self.roster, *members)
        named = f"terms {self.form}" if self.form > 1 else "terms"  # the first form had no number
        return hashlib.sha256(joined(DOMAIN, named.encode(), *parts)).digest()

    @cached_property
    def graph(self) -> Graph:
        """Who shares secrets with whom: in a large cohort, as a seed draws it that all of them made and none chose."""
        seed = b""
        if len(self.members) > CIRCLE_UP_TO:
            seed = _graph_seed(self.study, self.run, self.roster, self.members)
        return Graph(len(self.members), self.threshold, self.colluders, self.dropouts, seed)

    def places(self, *places: int) -> bytes:
        """Return places of the cohort in the one form in which they are hashed, signed and sent."""
        written = self._written
        return b"".join([written[place] for place in places])

    @cached_property
    def _written(self) -> list[bytes]:
        count = len(self.members)
        return [written_places(count, place) for place in range(count)]

    @cached_property
    def cohort(self) -> bytes:
        """The cohort in its wire form."""
        return write_members(self.members)

    def place(self, name: str) -> int:
        """Return a hospital's place in the cohort, counted from 0.

        Raises:
            MessageError: it is not in it.
        """
        if name not in self._places:
            raise MessageError("the hospital is not in the cohort of this sum")
        return self._places[name]

    @cached_property
    def _places(self) -> dict[str, int]:
        return {member.name: place for place, member in reversed([*enumerate(self.members)])}

    def once(self, kind: str, what: tuple[object, ...], check: Callable[[], T]) -> T:
        """Return what a check of the very same objects, which nobody changes, gave last time; or check them.

        Hospitals in one process check the same lists one after the other; a list is as long as the cohort.
        """
        before = self._checked.get(kind)
        if (
            before is None
            or len(before[0]) != len(what)
            or any(a is not b for a, b in zip(before[0], what, strict=True))
        ):
            before = self._checked[kind] = (what, check())
        result: T = before[1]
        return result

    @cached_property
    def _checked(self) -> dict[str, tuple[tuple[object, ...], Any]]:
        return {}

    def check_members(self, roster: Roster) -> None:
        """Check the cohort: in order, nobody twice, everybody in our roster and with a key of their own.

        Raises:
            MessageError: it is not so.
        """
        self.once("members", (roster,), lambda: self._check_members(roster))

    def _check_members(self, roster: Roster) -> None:
        names = [member.name for member in self.members]
        if names != sorted(set(names)) or len({member.agreement for member in self.members}) != len(names):
            raise MessageError("the cohort is out of order, or names a hospital or a key twice")
        if self.roster != roster.digest:
            raise MessageError("the roster differs from ours")
        for member in self.members:
            member.check(roster, self.study, self.run)


@lru_cache(maxsize=16)
def _graph_seed(study: str, run: bytes, roster: bytes, members: tuple[Member, ...]) -> bytes:
    """Return the seed of a cohort's graph: a slow hash of what everybody in it contributed.

    Each honest hospital's key is fresh and signed, so the seed is known to nobody before the last of them is. Neither
    round nor question is in it: they would be further tries.
    """
    parts = [part for member in members for part in (member.name.encode(), member.agreement)]
    content = hashlib.sha256(joined(DOMAIN, b"graph", study.encode(), run, roster, *parts)).digest()
    return hashlib.pbkdf2_hmac("sha256", content, DOMAIN + b" graph", STRETCH)


@lru_cache(maxsize=8)
def terms_of(
    study: str,
    run: bytes,
    what: What,
    number: int,
    question: bytes,
    roster: bytes,
    cohort: bytes,
    threshold: int,
    colluders: int,
    dropouts: int,
) -> Terms:
    """Return the terms of a sum over a cohort in its wire form: the same object to all hospitals of one process.

    Raises:
        MessageError: the bytes are not exactly a cohort.
    """
    members = read_members(cohort)
    return Terms(study, run, what, number, question, roster, members, threshold, colluders, dropouts)


def write_members(members: Sequence[Member]) -> bytes:
    """Return the wire form of a cohort."""
    written = [len(members).to_bytes(2, "big")]
    for member in members:
        name = member.name.encode()
        written += [len(name).to_bytes(2, "big"), name, member.agreement, member.signature]
    return b"".join(written)


@lru_cache(maxsize=8)
def read_members(content: bytes) -> tuple[Member, ...]:
    """Read a cohort; the signatures are checked by :meth:`Terms.check_members`.

    Raises:
        MessageError: the bytes are not exactly a cohort.
    """
    reader = Reader(content, "a cohort")
    members = []
    for _ in range(reader.number(LARGEST_COHORT)):
        name = reader.take(reader.number(LARGEST_NAME_BYTES))
        try:
            word = name.decode()
        except UnicodeDecodeError:
            raise MessageError("a hospital's name is not UTF-8 text") from None
        members.append(Member(word, reader.take(KEY_BYTES), reader.take(SIGNATURE_BYTES)))
    reader.end()
    return tuple(members)
