"""Integer noise against its law, and the argument of docs/distributed-privacy.md, section 3, against exact sums."""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal, localcontext

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from wardround_client.training import discrete_gaussian as noise
from wardround_common.randomness import insecure_stream

STREAM = insecure_stream(5, "noise")


def law(variance: float, most: int, centre: float = 0.0) -> np.ndarray:
    """Return the probabilities of -most … most."""
    weights = np.exp(-np.square(np.arange(-most, most + 1) - centre) / (2 * variance))
    return weights / weights.sum()


@pytest.mark.parametrize("variance", [1, 2, 7, 30])
def test_small_noise_has_the_law_that_is_written(variance: int) -> None:
    most = math.ceil(12 * math.sqrt(variance))
    drawn = noise.discrete_gaussian(variance, 200_000, STREAM.child(variance))
    expected = 200_000 * law(variance, most)
    seen = np.bincount(drawn + most, minlength=2 * most + 1)
    often = expected > 10
    observed = np.append(seen[often], seen[~often].sum())
    assert stats.chisquare(observed, np.append(expected[often], expected[~often].sum())).pvalue > 0.01


@pytest.mark.parametrize("variance", [2**20 + 1, 2**40 - 1, 2**60])
def test_large_noise_is_gaussian_to_the_eye_of_a_test(variance: int) -> None:
    drawn = noise.discrete_gaussian(variance, 100_000, STREAM.child("large", variance))
    assert stats.kstest(drawn / math.sqrt(variance), "norm").pvalue > 0.01
    assert np.bincount(drawn % 4).min() > 24_000  # no pattern in the last bits


def test_the_sum_of_shares_has_the_law_of_one_discrete_gaussian() -> None:
    shares = [noise.discrete_gaussian(5, 100_000, STREAM.child("share", k)) for k in range(4)]
    total, most = np.sum(shares, axis=0), 60
    expected = 100_000 * law(20, most)
    seen = np.bincount(total + most, minlength=2 * most + 1)
    often = expected > 10
    observed = np.append(seen[often], seen[~often].sum())
    assert stats.chisquare(observed, np.append(expected[often], expected[~often].sum())).pvalue > 0.01


def test_exact_arithmetic_decides_as_floating_point_does_where_that_is_in_no_doubt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(noise, "BLOCK", 400)
    for variance in (3, 2**36 + 5):
        usual = noise._candidates(variance, STREAM.child("both", variance))
        monkeypatch.setattr(noise, "LAPLACE_DOUBT", 1.0)
        monkeypatch.setattr(noise, "COIN_DOUBT", 2.0)
        exact = noise._candidates(variance, STREAM.child("both", variance))
        monkeypatch.undo()
        monkeypatch.setattr(noise, "BLOCK", 400)
        assert exact.tolist() == usual.tolist()


def test_a_word_on_the_edge_of_two_numbers_is_decided_by_the_bits_behind_it() -> None:
    edge = int(math.exp(-1) * 2**64)  # floor(scale · E) changes from scale - 1 to scale within the words near here
    scale = 1 << 20
    sizes = {noise._exact_size(edge + away, scale, STREAM) for away in (-5000, 5000)}
    assert sizes == {scale - 1, scale}
    assert noise._exact_size(0, 1, STREAM) >= 44  # the last word has no end of its own: more bits say how far out


@dataclass(frozen=True)
class Chosen:
    """A stream of words that a test chose; those behind them are of the usual one."""

    chosen: NDArray[np.uint64]

    def words(self, count: int) -> NDArray[np.uint64]:
        assert count == len(self.chosen)
        return self.chosen

    def child(self, *names: object) -> object:
        return STREAM.child(*names)


def candidates(words: list[int], coins: list[int], variance: int, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return those of candidates of these words that these coins accept."""
    monkeypatch.setattr(noise, "BLOCK", len(words))
    drawn: NDArray[np.int64] = noise._candidates(variance, Chosen(np.array(words + coins, np.uint64)))  # type: ignore[arg-type]
    return drawn.tolist()


def test_a_word_that_floating_point_puts_on_the_wrong_side_of_an_edge_is_decided_exactly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scale, near = 10**9, [away for away in range(-100_000, 100_001, 500) if away]
    whole = scale + 12_345
    with localcontext(prec=60):
        edge = int((Decimal(-whole) / scale).exp() * 2**64)  # larger words are smaller numbers
    right = [whole if away < 0 else whole - 1 for away in near]
    every = [0] * len(near)  # the sign is plus, and the chance of each is far above 2^-63
    words = [edge + away for away in near]
    assert candidates(words, every, (scale - 1) ** 2, monkeypatch) == right
    for name in ("LAPLACE_DOUBT", "COIN_DOUBT"):
        monkeypatch.setattr(noise, name, 0.0)
    assert candidates(words, every, (scale - 1) ** 2, monkeypatch) != right


def test_a_coin_that_floating_point_puts_on_the_wrong_side_of_a_chance_is_decided_exactly(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    scale, near = 10**9, [away for away in range(-3000, 3001, 15) if away]
    variance, size = (scale - 1) ** 2, scale // 3
    with localcontext(prec=60):
        word = int((Decimal(-2 * size - 1) / (2 * scale)).exp() * 2**64)  # in the middle of those of its size
        beyond = Decimal(size) - Decimal(variance) / scale
        chance = int((-beyond * beyond / (2 * variance)).exp() * 2**63)
    coins = [(chance + away) << 1 for away in near]
    right = [size for away in near if away < 0]
    assert candidates([word] * len(near), coins, variance, monkeypatch) == right
    monkeypatch.setattr(noise, "COIN_DOUBT", 0.0)
    assert candidates([word] * len(near), coins, variance, monkeypatch) != right


def test_zero_comes_once_and_not_once_for_each_sign() -> None:
    drawn = noise.discrete_gaussian(1, 200_000, STREAM.child("zero"))
    assert np.mean(drawn == 0) == pytest.approx(law(1, 12)[12], abs=0.005)
    assert np.mean(drawn > 0) == pytest.approx(np.mean(drawn < 0), abs=0.005)


def test_the_same_stream_gives_the_same_noise_and_another_one_other_noise() -> None:
    first, again, other = (noise.discrete_gaussian(2**30, 1000, STREAM.child(k)).tobytes() for k in (1, 1, 2))
    assert first == again != other


@pytest.mark.parametrize("variance", [0, -1, 2**62 + 1])
def test_a_variance_that_cannot_be_drawn_is_an_error(variance: int) -> None:
    with pytest.raises(ValueError, match="from 1 to 2"):
        noise.discrete_gaussian(variance, 1, STREAM)


@pytest.mark.parametrize("variance", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("hospitals", [2, 3, 5])
def test_a_sum_of_discrete_gaussians_is_within_the_stated_factor_of_one(variance: float, hospitals: int) -> None:
    most = 12
    total = law(variance, most)
    for _ in range(hospitals - 1):
        total = np.convolve(total, law(variance, most))
    one = law(hospitals * variance, most * hospitals)
    stated = 10 * sum(math.exp(-2 * math.pi**2 * variance * k / (k + 1)) for k in range(1, hospitals))
    near = np.abs(np.arange(len(one)) - len(one) // 2) <= 5  # beyond, what was cut off counts
    assert 0 < np.abs(np.log(total[near] / one[near])).max() <= stated


@pytest.mark.parametrize("rounding", [0.3, 0.5, 0.8])
def test_a_gaussian_rounded_at_random_is_within_the_stated_factor_of_a_discrete_one(rounding: float) -> None:
    """``rounding`` is r² of section 3, which the product takes as 9; there the difference cannot be seen."""
    variance, most = 1.0, 20
    points = np.linspace(-12, 12, 48_001)
    density = np.exp(-np.square(points) / (2 * variance))
    density /= density.sum()
    rounded = np.zeros(2 * most + 1)
    for start in range(0, len(points), 4000):
        part = points[start : start + 4000, None]
        chances = np.exp(-np.square(np.arange(-most, most + 1) - part) / (2 * rounding))
        rounded += density[start : start + 4000] @ (chances / chances.sum(axis=1, keepdims=True))
    stated = 10 * math.exp(-2 * math.pi**2 * rounding)
    near = slice(most - 5, most + 6)
    assert np.abs(np.log(rounded[near] / law(variance + rounding, most)[near])).max() <= stated
