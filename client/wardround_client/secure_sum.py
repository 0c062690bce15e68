"""A hospital's part of a secure sum, as states without IO (docs/secagg.md, sections 4 to 6).

::

    Participant ── upload ──► Uploaded ── confirm ──► Confirmed ── open ──► its shares

What must not happen has no method: only a confirmed list can be opened, and a confirmed sum confirms no other list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from wardround_common.errors import MessageError
from wardround_common.secagg.agreement import AgreementKey
from wardround_common.secagg.exchange import (
    Dealt,
    Head,
    Masked,
    Upload,
    opened_places,
    seed_commitment,
    share_commitment,
    survivors_statement,
)
from wardround_common.secagg.identity import Identity, Roster, check_signature
from wardround_common.secagg.masks import add_masks
from wardround_common.secagg.sealing import seal, unseal
from wardround_common.secagg.shamir import SHARE_BYTES, RandomBytes, split
from wardround_common.secagg.terms import Terms


@dataclass(frozen=True)
class Participant:
    """A hospital that takes part in a run: who it is, its key for this run, and whom it knows."""

    name: str
    identity: Identity
    key: AgreementKey
    roster: Roster

    def upload(self, terms: Terms, vector: Masked, random: RandomBytes) -> Upload:
        """Mask ``vector`` in place, which is not yet masked, and deal the shares that open it.

        ``terms`` were checked. The masks are one fresh seed's and one for each other hospital; ``random`` must be the
        operating system's generator.
        """
        ours, count = terms.place(self.name), len(terms.members)
        seeds = [
            random(32) if place == ours else self._pair_seed(terms, place, ours) for place in range(count)
        ]  # by place; our own is the self-mask
        # Of each pair the first adds and the second takes away, so that the pair's masks cancel in the sum.
        added, taken = seeds[ours:], seeds[:ours]
        add_masks(vector.update, added, taken, 0)
        add_masks(vector.counts, added, taken, 1)
        dealt = self._deal(terms, ours, seeds, random)
        return Upload(vector, dealt, Head.signed(self.identity, terms, ours, vector, dealt))

    def _pair_seed(self, terms: Terms, other: int, ours: int) -> bytes:
        pair = bytes((min(ours, other), max(ours, other)))
        return self.key.derive(terms.members[other].agreement, b"mask", terms.digest, pair)

    def _deal(self, terms: Terms, ours: int, seeds: list[bytes], random: RandomBytes) -> Dealt:
        holders = range(len(terms.members))
        shares = [split(seed, terms.threshold, len(holders), random) for seed in seeds]  # by place, then holder
        sealed = []
        for holder in holders:
            key = self.key.derive(terms.members[holder].agreement, b"seal", terms.digest, bytes((ours, holder)))
            bundle = b"".join(shares[place][holder] for place in holders)
            sealed.append(seal(key, bundle, terms.digest + bytes((ours, holder)), random))
        commitments = b"".join(
            share_commitment(terms, ours, holder, place, shares[place][holder])
            for holder in holders
            for place in holders
        )
        return Dealt(
            tuple(sealed),
            commitments,
            tuple(seed_commitment(terms, ours, place, seed) for place, seed in enumerate(seeds)),
        )


@dataclass(frozen=True)
class Uploaded:
    """Our upload left, or may have left; no list of survivors is confirmed."""

    terms: Terms

    def confirm(self, who: Participant, heads: Mapping[int, Head], min_hospitals: int) -> tuple[Confirmed, bytes]:
        """Sign the coordinator's list of survivors: we shall open the sum over these and over no others.

        Raises:
            MessageError: we are not on it, it is too short, or somebody on it did not sign an upload for this sum.
        """
        terms = self.terms
        if terms.place(who.name) not in heads:
            raise MessageError("the list of survivors does not have this hospital on it")
        if len(heads) < max(terms.threshold, min_hospitals):
            raise MessageError("the list of survivors is shorter than the study allows")
        for place, head in heads.items():
            head.check(who.roster.keys[terms.members[place].name], terms, place)
        statement = survivors_statement(terms, heads)
        return Confirmed(terms, tuple(sorted(heads)), statement), sign_survivors(who.identity, statement)


@dataclass(frozen=True)
class Confirmed:
    """We signed one list of survivors; nothing else of this sum can be opened with our help."""

    terms: Terms
    survivors: tuple[int, ...]
    statement: bytes = field(repr=False)

    def open(self, who: Participant, confirmations: Mapping[int, bytes], sealed: Mapping[int, bytes]) -> bytes:
        """Give our shares of the survivors' self-masks and of the seeds that they share with the dropped.

        ``sealed``: by survivor, what it dealt to us.

        Raises:
            MessageError: fewer than the threshold signed our list, a signature is of another list, or sealed shares
                were changed.
        """
        terms, ours = self.terms, self.terms.place(who.name)
        if len(confirmations) < terms.threshold or not set(confirmations) <= set(self.survivors):
            raise MessageError("too few survivors confirmed the list")
        for place, signature in confirmations.items():
            check_signature(who.roster.keys[terms.members[place].name], signature, b"survivors", self.statement)
        shares = {}
        for dealer in self.survivors:
            key = who.key.derive(terms.members[dealer].agreement, b"seal", terms.digest, bytes((dealer, ours)))
            shares[dealer] = unseal(key, sealed[dealer], terms.digest + bytes((dealer, ours)))
        opened = opened_places(self.survivors, len(terms.members))
        return b"".join(shares[dealer][place * SHARE_BYTES : (place + 1) * SHARE_BYTES] for dealer, place in opened)


def sign_survivors(identity: Identity, statement: bytes) -> bytes:
    """Sign a list of survivors; the same list gives the same bytes (RFC 8032 signatures are deterministic)."""
    return identity.sign(b"survivors", statement)
