"""What a coordinator holds, even with colluding hospitals, is independent of one hospital's update.

The randomness is fixed, so these tests give the same numbers in every run: they hold or they do not.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from consortium import QUESTION, RUN, identity, roster
from wardround_client.hospital import secure_sum
from wardround_client.hospital.secure_sum import Participant
from wardround_common.randomness import insecure_stream
from wardround_common.secagg import shamir
from wardround_common.secagg.agreement import AgreementKey
from wardround_common.secagg.exchange import Masked
from wardround_common.secagg.masks import add_masks
from wardround_common.secagg.sealing import unseal
from wardround_common.secagg.terms import Member, Terms

STUDY = "0" * 64
NAMES = "abc"
THRESHOLD = 2
RUNS, SIZE = 150, 64
RING = 16  # the masked numbers modulo 16: a ring small enough to count in
ONCE_IN_A_MILLION = {15: 58.0, 63: 133.0}
"""By degrees of freedom, what a chi-square exceeds with a chance below 10^-6."""


def drawn(*names: str | int) -> Callable[[int], bytes]:
    """Return a generator whose bytes are the same in every run of the tests."""
    stream = insecure_stream(5, *names)
    return lambda size: stream.words((size + 7) // 8).tobytes()[:size]


def held(update: NDArray[np.uint16], run: str) -> NDArray[np.int64]:
    """Return what the coordinator knows of hospital a after a round in which both others collude with it.

    (runs * size, 2): a number of the masked vector, from which the pairs' masks were taken, modulo 16; and four bits of
    the t - 1 shares of the self-mask that a colluder holds.
    """
    seen = []
    for number in range(RUNS):
        random = drawn(run, number)
        who = {name: Participant(name, identity(name), AgreementKey(random(32)), roster(NAMES)) for name in NAMES}
        members = tuple(Member.signed(w.name, w.identity, w.key.public, STUDY, RUN) for w in who.values())
        terms = Terms(STUDY, RUN, "train", 1 + number, QUESTION, roster(NAMES).digest, members, THRESHOLD)
        upload = who["a"].upload(terms, Masked(update.copy(), np.zeros(3, "<u8")), random)
        left = upload.masked.update.copy()
        pairs = [
            who[name].key.derive(members[0].agreement, b"mask", terms.digest, bytes((0, place)))
            for place, name in ((1, "b"), (2, "c"))
        ]
        add_masks(left, [], pairs, 0)
        key = who["c"].key.derive(members[0].agreement, b"seal", terms.digest, bytes((0, 2)))
        shares = unseal(key, upload.dealt.sealed[2], terms.digest + bytes((0, 2)))
        share = shares[: shamir.SHARE_BYTES][-1] % RING
        seen.append(np.stack([left % RING, np.full(SIZE, share)], axis=1))
    return np.concatenate(seen).astype(np.int64)


def chi_square(one: NDArray[np.int64], other: NDArray[np.int64], cells: int) -> float:
    """Compare two samples of equal size: near ``cells`` - 1 if they come from one distribution."""
    counts = np.stack([np.bincount(sample, minlength=cells) for sample in (one, other)])
    expected = counts.sum(0) / 2
    return float(((counts - expected)[:, expected > 0] ** 2 / expected[expected > 0]).sum())


def views() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return what is held if the hospital's update is all zeros, and if it is the ramp 0, 1, 2, 3."""
    zeros, ramp = np.zeros(SIZE, "<u2"), (np.arange(SIZE) % 4).astype("<u2")
    return held(zeros, "zeros"), held(ramp, "ramp")


def test_what_a_coordinator_and_two_colluders_hold_is_independent_of_the_update() -> None:
    zeros, ramp = views()
    assert chi_square(zeros[:, 0], ramp[:, 0], RING) < ONCE_IN_A_MILLION[15]
    # And together with the shares: eight values of the number by eight of the share.
    joint = [sample[:, 0] % 8 * 8 + sample[:, 1] % 8 for sample in (zeros, ramp)]
    for place in range(4):  # numbers that carry the same value in the ramp; one a run, since a run has one share
        one, other = (sample.reshape(RUNS, SIZE)[:, place] for sample in joint)
        assert chi_square(one, other, 64) < ONCE_IN_A_MILLION[63]


def test_without_the_self_mask_the_same_measure_finds_the_update(monkeypatch: pytest.MonkeyPatch) -> None:
    """The measure is worth something: it fails as soon as the defence is taken out."""
    own: set[bytes] = set()

    def without_own(vector: NDArray[np.uint16], added: list[bytes], taken: list[bytes], segment: int) -> None:
        add_masks(vector, [seed for seed in added if seed not in own], taken, segment)

    def logged(*names: str | int) -> Callable[[int], bytes]:
        random = original(*names)

        def draw(size: int) -> bytes:
            content = random(size)
            own.add(content)
            return content

        return draw

    original = drawn
    monkeypatch.setattr(secure_sum, "add_masks", without_own)
    monkeypatch.setitem(globals(), "drawn", logged)
    zeros, ramp = views()
    assert chi_square(zeros[:, 0], ramp[:, 0], RING) > 10 * ONCE_IN_A_MILLION[15]


def shares_of(secret: int, coefficients: tuple[int, ...], holders: int, prime: int) -> tuple[float, ...]:
    polynomial = np.array([secret, *coefficients], np.float64)[None, :, None]
    return tuple(shamir.evaluate(polynomial, range(holders), prime)[0, :, 0].tolist())


@pytest.mark.parametrize("threshold", [2, 3])
def test_fewer_shares_than_the_threshold_are_exactly_uniform_whatever_the_secret(threshold: int) -> None:
    """In a field of 11 every choice of coefficients can be counted: t - 1 shares take each value equally often."""
    prime, holders = 11, 5
    draws = list(itertools.product(range(prime), repeat=threshold - 1))
    for secret in range(prime):
        dealt = [shares_of(secret, draw, holders, prime) for draw in draws]
        for few in itertools.combinations(range(holders), threshold - 1):
            counted = Counter(tuple(shares[holder] for holder in few) for shares in dealt)
            assert len(counted) == prime ** (threshold - 1)
            assert set(counted.values()) == {1}
        enough = {shares[:threshold] for shares in dealt}
        for other in range(secret):  # and t of them tell every secret from every other
            assert not enough & {shares_of(other, draw, holders, prime)[:threshold] for draw in draws}
