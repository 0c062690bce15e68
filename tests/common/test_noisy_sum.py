"""What one patient adds is bounded on integers, and the shares of the noise add up to what the accountant counts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from examples import DP, STUDY
from wardround_common.errors import PrivacyError
from wardround_common.privacy.noisy_sum import LEAST_VARIANCE, NoisySum, least_survivors
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd


def form(
    hospitals: int = 5, survivors: int = 4, colluders: int = 1, batch_size: int = 20, clip: float = 1.0
) -> NoisySum:
    return NoisySum(hospitals, survivors, colluders, batch_size, clip)


gradients = arrays(
    np.float32,
    st.integers(1, 300),
    elements=st.floats(width=32, allow_nan=True, allow_infinity=True),
)


@given(gradients, st.floats(1e-6, 1e6), st.integers(1, 65_536))
def test_no_gradient_whatever_its_numbers_adds_more_than_one_clip_norm(
    gradient: np.ndarray, clip: float, batch_size: int
) -> None:
    of = form(clip=clip, batch_size=batch_size)
    whole = of.cut(gradient)
    assert sum(int(value) ** 2 for value in whole) <= of.levels**2
    if not np.isfinite(gradient).all():
        assert not whole.any()


@given(st.integers(0, 2**32 - 1), st.integers(2, 4000), st.floats(0.01, 100))
def test_cutting_off_moves_a_clipped_gradient_by_less_than_a_level_and_never_outwards(
    seed: int, size: int, length: float
) -> None:
    direction = np.random.default_rng(seed).normal(size=size)
    gradient = (direction / np.linalg.norm(direction) * length).astype(np.float32)
    of = form()
    clipped = gradient.astype(np.float64) * min(1.0, 1.0 / np.linalg.norm(gradient.astype(np.float64)))
    whole = of.cut(gradient) / of.levels
    assert np.all(np.abs(whole) <= np.abs(clipped) * (1 + 1e-12))
    assert np.abs(whole - clipped).max() <= 1 / of.levels * (1 + 1e-6) + 1e-9


@given(st.integers(2, 100), st.data(), st.floats(0.5, 50), st.integers(1, 2000))
def test_the_honest_survivors_have_together_the_noise_that_is_counted(
    hospitals: int, data: st.DataObject, multiplier: float, batch_size: int
) -> None:
    survivors = data.draw(st.integers(2, hospitals))
    colluders = data.draw(st.integers(0, survivors - 1))
    of = form(hospitals, survivors, colluders, batch_size)
    try:
        share = of.share(multiplier)
    except PrivacyError:
        return  # the ring does not hold it; the next test says when
    assert (survivors - colluders) * share >= (multiplier * of.levels) ** 2 + 9
    assert (survivors - colluders) * (share - 1) < (multiplier * of.levels) ** 2 + 9 + 1e-3 * share


def test_noise_that_does_not_fit_the_ring_and_noise_that_is_too_little_are_refused() -> None:
    with pytest.raises(PrivacyError, match="cannot hold the noise of 100 hospitals"):
        form(hospitals=100, survivors=51, colluders=50).share(100.0)
    with pytest.raises(PrivacyError, match="too small to be accounted"):
        form().share(math.sqrt(LEAST_VARIANCE) / form().levels / 2)


@pytest.mark.parametrize("batch_size", [1, 20, 512, 513, 65_536])
def test_the_levels_leave_the_ring_the_stated_room(batch_size: int) -> None:
    levels = form(batch_size=batch_size).levels
    assert levels.bit_count() == 1
    assert levels * (8 * batch_size + 4096) <= 2**31
    assert levels == 2**18 or 2 * levels * (8 * batch_size + 4096) > 2**31


def test_a_sum_in_the_ring_is_the_sum_with_its_sign() -> None:
    of = form(clip=0.5)
    parts = [np.array([-3, 5, -(2**18)]), np.array([1, -5, 7])]
    total = of.in_ring(parts[0]) + of.in_ring(parts[1])
    assert of.decode(total).tolist() == [value * 0.5 / 2**18 for value in (-2, 0, 7 - 2**18)]


def test_the_least_noise_of_one_hospital_is_that_of_which_the_docs_argue() -> None:
    """docs/distributed-privacy.md, section 3: the sum of h shares is a discrete Gaussian to within exp(± λ₁)."""
    hospitals = 1000
    each = [-2 * math.pi**2 * LEAST_VARIANCE * k / (k + 1) / math.log(10) for k in range(1, hospitals)]
    assert math.log10(10 * hospitals) + max(each) < -17_000
    assert form(batch_size=100_000).levels == 2048
    with pytest.raises(PrivacyError, match="too small to be accounted as Gaussian noise"):
        form(hospitals=20, survivors=20, batch_size=100_000).share(0.136)  # 4,084 each
    assert form(hospitals=20, survivors=20, batch_size=100_000).share(0.137) == 4144


@pytest.mark.parametrize(
    ("threshold", "least", "dropouts", "survivors"), [(4, 3, 3, 4), (3, 5, 3, 5), (3, 3, 1, 5), (3, 3, 0, 6)]
)
def test_a_sum_of_six_hospitals_needs_the_most_of_what_asks_for_survivors(
    threshold: int, least: int, dropouts: int, survivors: int
) -> None:
    """docs/distributed-privacy.md, section 2: the noise of each is planned for that many, less the colluders."""
    privacy = DP | {"trust": "distributed", "sampling_rate": 0.5, "dropouts": dropouts, "colluders": 1}
    training = {key: value for key, value in STUDY["training"].items() if key != "local_epochs"}
    secure = {"secure": True, "min_hospitals": least}
    of = Study.model_validate(STUDY | {"privacy": privacy, "training": training, "aggregation": secure})
    assert least_survivors(of, 6, threshold) == survivors
    assert isinstance(of.privacy, DistributedDpSgd)
    shape = NoisySum.of(of, of.privacy, 6, threshold)
    assert shape.share(1.0) == math.ceil((shape.levels**2 + 9) / (survivors - 1))
