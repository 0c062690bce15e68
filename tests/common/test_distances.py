"""How unlike an image is, from sums alone: the sums add exactly, and the threshold lets through what it promises."""

from __future__ import annotations

import numpy as np
import pytest

from wardround_common.errors import MessageError
from wardround_common.metrics.unlike import (
    BINS,
    FEATURE_NUMBERS,
    FEATURES,
    LEAST_IMAGES,
    DistanceSums,
    FeatureSums,
    Usual,
    jackknifed,
)


def features(count: int, seed: int, moved: float = 0.0) -> np.ndarray:
    """Return vectors of length 1 that spread in a few directions more than in others."""
    drawn = np.random.default_rng(seed).normal(size=(count, FEATURES)) * np.geomspace(1, 0.05, FEATURES)
    drawn[:, 0] += 3
    drawn[:, -1] += moved
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def test_sums_of_hospitals_are_those_of_all_images_together_and_survive_a_message() -> None:
    first, second = features(30, 1), features(40, 2)
    together = FeatureSums.of(first) + FeatureSums.of(second)
    whole = FeatureSums.of(np.concatenate([second, first]))
    assert np.array_equal(together.to_vector(), whole.to_vector())
    read = FeatureSums.from_vector(together.to_vector())
    assert np.allclose(read.mean(), np.concatenate([first, second]).mean(axis=0), atol=1e-6)
    assert np.array_equal((read - FeatureSums.of(second)).to_vector(), FeatureSums.of(first).to_vector())


def test_a_distance_is_mahalanobis_and_its_root_mean_square_is_one() -> None:
    usual = features(4000, 3)
    known = Usual(FeatureSums.of(usual))
    near = known.distances(usual)
    assert np.sqrt((near**2).mean()) == pytest.approx(1, rel=0.05)  # shrinking takes a little of it
    mean, covariance = usual.mean(axis=0), np.cov(usual.T, bias=True)
    plain = np.sqrt(np.einsum("ij,jk,ik->i", usual - mean, np.linalg.inv(covariance), usual - mean) / FEATURES)
    assert np.corrcoef(plain, near)[0, 1] > 0.98
    assert known.distances(features(100, 4, moved=2)).min() > near.max()


def test_a_threshold_lets_through_the_stated_part_of_new_images_though_few_patients_gave_it() -> None:
    passed = []
    for seed in range(5):
        some, patients = features(60, seed), np.arange(60) // 2
        everybody = FeatureSums.of(some)
        limit = DistanceSums.of(jackknifed(some, patients, everybody)).threshold(0.9)
        assert limit is not None
        passed.append((Usual(everybody).distances(features(500, 100 + seed)) < limit).mean())
        own = DistanceSums.of(Usual(everybody).distances(some)).threshold(0.9)  # with each image in its own mean
        assert own is not None
        assert own < limit
    assert 0.85 <= np.mean(passed) <= 0.96


def test_too_few_images_give_no_threshold_and_the_last_bin_is_none() -> None:
    assert DistanceSums.of(np.ones(LEAST_IMAGES - 1)).threshold(0.95) is None
    assert DistanceSums.of(np.ones(LEAST_IMAGES)).threshold(0.95) == pytest.approx(1 + 1 / 64)
    assert DistanceSums.of(np.full(50, 1e6)).threshold(0.95) is None


def test_images_that_are_all_alike_have_finite_distances() -> None:
    same = np.repeat(features(1, 1), 30, axis=0)
    known = Usual(FeatureSums.of(same))
    assert np.isfinite(known.distances(same)).all()
    assert known.distances(features(1, 2))[0] > known.distances(same)[0] + 100


@pytest.mark.parametrize(
    "vector",
    [
        np.zeros(FEATURE_NUMBERS - 1, np.int64),
        np.zeros(FEATURE_NUMBERS),
        np.full(FEATURE_NUMBERS, -1),
        np.r_[1, np.full(FEATURE_NUMBERS - 1, 2**40)],
        np.r_[1, np.full(FEATURE_NUMBERS - 1, 2**21)],  # products of 1 with everything: no vector of length 1
    ],
)
def test_sums_that_no_images_have_are_refused(vector: np.ndarray) -> None:
    with pytest.raises(MessageError):
        FeatureSums.from_vector(vector)
    with pytest.raises(MessageError):
        DistanceSums.from_vector(np.zeros(BINS - 1, np.int64))
    with pytest.raises(MessageError):
        jackknifed(features(2, 1), np.arange(2), FeatureSums.of(features(2, 1)))
