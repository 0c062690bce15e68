"""The vote on a round's next model: each hospital tries it on its own validation patients before it is accepted.

A ballot is one bit in the clear, signed if the study's sums are secure (docs/secagg.md, section 14). It is not masked,
on purpose: in a secure sum a hospital that lies could take the others' ballots away, and nobody would see whose.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from numpy.typing import NDArray

from wardround_common.canonical import cut, joined
from wardround_common.errors import MessageError
from wardround_common.keys.identity import SIGNATURE_BYTES, Identity, check_signature
from wardround_common.messages.parameters import Vector, vector_digest
from wardround_common.messages.rounds import (
    Parts,
    as_array,
    optional_bytes,
    read_vector,
    round_number,
    scalar,
    study_digest,
)


@dataclass(frozen=True)
class VoteRequest:
    """Is the next model worse on this hospital's validation patients than the accepted one, by more than the margin?"""

    study: str
    round: int
    accepted: Vector = field(repr=False)
    following: Vector = field(repr=False)
    kind = "vote"

    def parts(self) -> Parts:
        """Return the wire form."""
        return Parts({"study": self.study, "round": self.round}, {"accepted": self.accepted, "next": self.following})

    @classmethod
    def parse(cls, parts: Parts, size: int) -> VoteRequest:
        """Parse the wire form; ``size`` is the number of parameters of the study's model."""
        accepted, following = read_vector(parts, "accepted", size), read_vector(parts, "next", size)
        return cls(study_digest(parts), round_number(parts), accepted, following)

    def models(self) -> bytes:
        """Return what names both models, in their order."""
        return b"".join(bytes.fromhex(vector_digest(vector)) for vector in (self.accepted, self.following))


@dataclass(frozen=True)
class Ballot:
    """One hospital's vote."""

    study: str
    round: int
    worse: bool
    """Whether the next model is worse by more than the study's margin."""
    signature: bytes = b""
    """Under :func:`sign_ballot`'s statement; empty if the study's sums are not secure."""

    def parts(self) -> Parts:
        """Return the wire form."""
        arrays: dict[str, NDArray[Any]] = {"signature": as_array(self.signature)} if self.signature else {}
        return Parts({"study": self.study, "round": self.round, "worse": int(self.worse)}, arrays)

    @classmethod
    def parse(cls, parts: Parts) -> Ballot:
        """Parse the wire form; the signature is checked by :func:`check_ballot`."""
        worse, signature = scalar(parts, "worse", int), optional_bytes(parts, "signature") or b""
        if worse not in (0, 1) or len(signature) not in (0, SIGNATURE_BYTES):
            raise MessageError("a ballot is not one bit, or its signature is malformed")
        return cls(study_digest(parts), round_number(parts), bool(worse), signature)


def sign_ballot(identity: Identity, study: str, run: bytes, number: int, models: bytes, *, worse: bool) -> bytes:
    """Sign a vote in one round of one run of a study, about these two models."""
    return identity.sign(b"ballot", *_statement(study, run, number, models, worse=worse))


def check_ballot(public: bytes, ballot: Ballot, run: bytes, models: bytes) -> None:
    """Check that the hospital with this key voted so, about these models.

    Raises:
        MessageError: it did not.
    """
    statement = _statement(ballot.study, run, ballot.round, models, worse=ballot.worse)
    check_signature(public, ballot.signature, b"ballot", *statement)


def read_ballots(content: bytes) -> dict[str, tuple[bool, bytes]]:
    """Read the ballots that a coordinator kept of a round: each hospital's vote and its signature.

    Raises:
        MessageError: the bytes are not exactly such ballots.
    """
    parts = cut(content)
    if len(parts) % 3:
        raise MessageError("the ballots of a round are truncated")
    return {parts[place].decode(): (parts[place + 1] == b"\1", parts[place + 2]) for place in range(0, len(parts), 3)}


def write_ballots(ballots: dict[str, tuple[bool, bytes]]) -> bytes:
    """Write the ballots of a round, by the hospitals' names."""
    listed = sorted(ballots.items())
    return joined(*(part for name, (worse, signature) in listed for part in (name.encode(), bytes([worse]), signature)))


def _statement(study: str, run: bytes, number: int, models: bytes, *, worse: bool) -> tuple[bytes, ...]:
    return study.encode(), run, str(number).encode(), models, bytes([worse])
