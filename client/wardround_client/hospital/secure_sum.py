"""A hospital's part of a secure sum, as states without IO (docs/secagg.md, sections 4 to 6).

::

    Participant ── upload ──► Uploaded ── confirm ──► Confirmed ── open ──► its shares

What must not happen has no method: only a confirmed list can be opened, and a confirmed sum confirms no other list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from wardround_common.errors import MessageError
from wardround_common.keys.identity import Identity, Roster
from wardround_common.secagg.agreement import AgreementKey
from wardround_common.secagg.exchange import (
    TAGGED_BYTES,
    Dealt,
    Head,
    Masked,
    Upload,
    check_confirmations,
    checked_list,
    dealers_of,
    opened_places,
    seed_commitment,
)
from wardround_common.secagg.masks import add_masks
from wardround_common.secagg.sealing import seal, unseal
from wardround_common.secagg.shamir import RandomBytes, split_many, write_shares
from wardround_common.secagg.tags import CheckKeys, tags
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

        ``terms`` were checked. The masks are one fresh seed's and one for each neighbour; ``random`` must be the
        operating system's generator.
        """
        ours = terms.place(self.name)
        circle = terms.graph.circle_of(ours)
        seeds = {
            place: random(32) if place == ours else self._pair_seed(terms, place, ours) for place in circle
        }  # our own is the self-mask
        # Of each pair the first adds and the second takes away, so that the pair's masks cancel in the sum.
        added = [seed for place, seed in seeds.items() if place >= ours]
        taken = [seed for place, seed in seeds.items() if place < ours]
        add_masks(vector.update, added, taken, 0)
        add_masks(vector.counts, added, taken, 1)
        dealt = self._deal(terms, ours, seeds, random)
        return Upload(vector, dealt, Head.signed(self.identity, terms, ours, vector, dealt))

    def _pair_seed(self, terms: Terms, other: int, ours: int) -> bytes:
        pair = terms.places(min(ours, other), max(ours, other))
        return self.key.derive(terms.members[other].agreement, b"mask", terms.digest, pair)

    def _deal(self, terms: Terms, ours: int, seeds: Mapping[int, bytes], random: RandomBytes) -> Dealt:
        circle, needed = tuple(seeds), terms.graph.share_threshold
        shares = split_many(list(seeds.values()), needed, circle, random)  # (holders, secrets, 16)
        check, keys = CheckKeys.drawn(len(circle), random)
        bundles = np.concatenate([write_shares(shares), tags(shares, keys.factors, keys.pads)], axis=2)
        sealed = []
        for holder, bundle in zip(circle, bundles, strict=True):
            pair = terms.places(ours, holder)
            key = self.key.derive(terms.members[holder].agreement, b"seal", terms.digest, pair)
            sealed.append(seal(key, bundle.tobytes(), terms.digest + pair, random))
        return Dealt(
            tuple(sealed),
            check,
            tuple(seed_commitment(terms, ours, place, seed) for place, seed in seeds.items()),
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
            raise MessageError("this hospital is not on the list of survivors")
        if len(heads) < max(terms.threshold, min_hospitals):
            raise MessageError("the list of survivors is shorter than the study allows")
        statement = checked_list(terms, who.roster, heads)
        return Confirmed(terms, tuple(sorted(heads)), statement), sign_survivors(who.identity, statement)


@dataclass(frozen=True)
class Confirmed:
    """We signed one list of survivors; nothing else of this sum can be opened with our help."""

    terms: Terms
    survivors: tuple[int, ...]
    statement: bytes = field(repr=False)

    def open(self, who: Participant, confirmations: Mapping[int, bytes], sealed: Mapping[int, bytes]) -> bytes:
        """Return our shares of the survivors' self-masks and of the seeds that they share with the dropped.

        ``sealed``: by survivor of our circle, what it dealt to us.

        Raises:
            MessageError: fewer than the threshold signed our list, or a signature is of another list.
        """
        terms, ours = self.terms, self.terms.place(who.name)
        if len(confirmations) < terms.threshold or not set(confirmations) <= set(self.survivors):
            raise MessageError("too few survivors confirmed the list")
        check_confirmations(terms, who.roster, confirmations, self.statement)
        shares, survivors = {}, frozenset(self.survivors)  # by dealer and place
        opened = terms.graph.opened(survivors)
        for dealer in dealers_of(terms.graph, survivors, ours):
            pair = terms.places(dealer, ours)
            key = who.key.derive(terms.members[dealer].agreement, b"seal", terms.digest, pair)
            try:
                bundle = unseal(key, sealed[dealer], terms.digest + pair)
            except MessageError:  # zeros do not have their tags: the coordinator sees who dealt garbage
                bundle = bytes(terms.graph.circle * TAGGED_BYTES)
            circle = terms.graph.circle_of(dealer)
            for place in opened[dealer]:
                k = circle.index(place)
                shares[dealer, place] = bundle[k * TAGGED_BYTES : (k + 1) * TAGGED_BYTES]
        return b"".join(shares[secret] for secret in opened_places(terms.graph, survivors, ours))


def sign_survivors(identity: Identity, statement: bytes) -> bytes:
    """Sign a list of survivors; the same list gives the same bytes (RFC 8032 signatures are deterministic)."""
    return identity.sign(b"survivors", statement)
