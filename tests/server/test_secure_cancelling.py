"""A hospital that takes the others' uploads away from the sum, with the coordinator on its side.

Under homomorphic encryption this opens one hospital's update (docs/adr/0009-homomorphic-encryption.md). Under masks it
must not.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable

import numpy as np
import pytest
from numpy.typing import NDArray

from consortium import RUN, identity, roster
from wardround_client.hospital.secure_sum import Participant, Uploaded
from wardround_common.secagg.agreement import AgreementKey
from wardround_common.secagg.exchange import Head, Masked, Upload, read_confirmations, read_heads, read_sealed
from wardround_common.secagg.masks import add_masks
from wardround_common.secagg.terms import Member, Terms
from wardround_server.rounds.secure_sum import Gathering, Total

NAMES = "abcde"
VICTIM, CHEAT = 0, 4
SIZE = 4000


class Sum:
    """A sum over five hospitals in which the last one cheats; ``self_masks`` by place, as the opening gives them."""

    def __init__(self) -> None:
        known = roster(NAMES)
        keys = [AgreementKey(hashlib.sha256(name.encode()).digest()) for name in NAMES]
        self.who = [Participant(n, identity(n), key, known) for n, key in zip(NAMES, keys, strict=True)]
        study = "0" * 64
        members = tuple(Member.signed(who.name, who.identity, who.key.public, study, RUN) for who in self.who)
        self.terms = Terms(study, RUN, "train", 1, bytes(32), known.digest, members, 4)
        self.updates = [np.random.default_rng(place).integers(0, 1000, SIZE).astype("<u4") for place in range(5)]
        self.self_masks: list[bytes] = []
        uploads = [self._upload(who, update) for who, update in zip(self.who, self.updates, strict=True)]
        uploads[CHEAT] = self._cheat(uploads)
        self.read = self._opened(uploads)

    def _upload(self, who: Participant, update: NDArray[np.uint32]) -> Upload:
        drawn: list[bytes] = []

        def random(count: int) -> bytes:
            drawn.append(os.urandom(count))
            return drawn[-1]

        made = who.upload(self.terms, Masked(update.copy(), np.zeros(2, "<u8")), random)
        self.self_masks.append(drawn[0])
        return made

    def _cheat(self, uploads: list[Upload]) -> Upload:
        """Sign the others' masked vectors, but for the victim's, with their signs turned."""
        honest = uploads[CHEAT]
        vector = np.zeros(SIZE, "<u4")
        for place in range(5):
            if place not in (VICTIM, CHEAT):
                vector -= uploads[place].masked.update
        masked = Masked(vector, honest.masked.counts)
        head = Head.signed(self.who[CHEAT].identity, self.terms, CHEAT, masked, honest.dealt)
        return Upload(masked, honest.dealt, head)

    def _opened(self, uploads: list[Upload]) -> NDArray[np.uint32]:
        """Confirm and open in good order, and add again what the coordinator took off: the victim's masked vector."""
        gathering = Gathering(self.terms, self.who[0].roster, Total(np.zeros(SIZE, "<u4"), np.zeros(2, "<u8")))
        for who, upload in zip(self.who, uploads, strict=True):
            gathering.add(who.name, upload)
        confirming = gathering.close()
        confirmed = []
        for who in self.who:
            after, signature = Uploaded(self.terms).confirm(who, read_heads(confirming.question(), 5), 2)
            confirming.add(who.name, signature)
            confirmed.append(after)
        opening = confirming.close()
        for who, after in zip(self.who, confirmed, strict=True):
            sealed = read_sealed(opening.sealed_for(who.name), range(5), 5)
            opening.add(who.name, after.open(who, read_confirmations(opening.signatures(), 5), sealed))
        update: NDArray[np.uint32] = opening.total().update
        add_masks(update, self.self_masks, [], 0)
        assert np.array_equal(update, uploads[VICTIM].masked.update)
        return update

    def stripped(self, colluding: Iterable[int]) -> NDArray[np.uint32]:
        """Take off what the coordinator knows of the victim's masks: its self-mask, and the seeds with colluders."""
        left = self.read.copy()
        pairs = [self.who[place]._pair_seed(self.terms, VICTIM, place) for place in colluding]
        add_masks(left, [], [self.self_masks[VICTIM], *pairs], 0)
        return left


@pytest.fixture(scope="module")
def made() -> Sum:
    return Sum()


@pytest.mark.parametrize("colluding", [(4,), (2, 3, 4)])
def test_a_hospital_that_takes_the_others_away_does_not_lay_one_bare(made: Sum, colluding: tuple[int, ...]) -> None:
    left = made.stripped(colluding)
    bins = np.bincount((left >> 28).astype(np.int64), minlength=16)  # 4000 numbers in 16 bins
    assert float(((bins - 250.0) ** 2 / 250.0).sum()) < 44.3  # 15 degrees of freedom: once in 10,000 runs beyond
    assert abs(np.corrcoef(left.astype(float), made.updates[VICTIM].astype(float))[0, 1]) < 0.1


def test_the_same_attack_works_when_every_other_hospital_colludes(made: Sum) -> None:
    """So the pair masks with honest hospitals are what holds, and the attack above is carried out rightly."""
    assert np.array_equal(made.stripped((1, 2, 3, 4)), made.updates[VICTIM])
