"""The noise of a private step: Gaussian to its tails, the same on any number of threads, and added exactly."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from wardround_client.training import noise
from wardround_client.training.noise import CHUNK, FINE, in_units, noise_maker, unit_of, write_numbers
from wardround_common.randomness import Stream, insecure_stream

CPU = torch.device("cpu")


def made(count: int, scale: float = 1.0, threads: int = 1, seed: int = 3) -> torch.Tensor:  # float64
    """Return noise as a step gets it that has nothing but zeros to add it to."""
    with noise_maker(count, scale, CPU, threads) as maker:
        (result,) = maker.begin(insecure_stream(seed)).add([torch.zeros(count, dtype=torch.float64)], 1.0)
    return result


@pytest.fixture(scope="module")
def many() -> np.ndarray:
    return made(2**19 + 2, scale=3.0, threads=2).numpy() / 3.0


def test_noise_is_gaussian_by_kolmogorov_and_smirnov_and_by_its_moments(many: np.ndarray) -> None:
    assert stats.kstest(many[: 2**16], "norm").pvalue > 0.01
    count = len(many)
    for power, moment, spread in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):  # of x^power: its mean and variance
        assert abs((many**power).mean() - moment) < 4 * math.sqrt(spread / count)


def has_gaussian_tails(numbers: np.ndarray, beyond: float) -> bool:
    expected = len(numbers) * stats.norm.sf(beyond)
    counts = (numbers > beyond).sum(), (numbers < -beyond).sum()
    return all(
        min(stats.poisson.sf(count - 1, expected), stats.poisson.cdf(count, expected)) > 1e-4 for count in counts
    )


@pytest.mark.parametrize("beyond", [2.0, 3.0, 4.0])
def test_noise_has_the_tails_of_a_gaussian(many: np.ndarray, beyond: float) -> None:
    assert has_gaussian_tails(many, beyond)


@pytest.mark.slow
def test_noise_has_the_tails_of_a_gaussian_to_five_deviations() -> None:
    assert has_gaussian_tails(made(2**25, threads=2).numpy(), 5.0)


def test_neighbouring_numbers_and_the_two_of_a_pair_are_independent(many: np.ndarray) -> None:
    blocks = many[:-2].reshape(-1, 2, CHUNK)
    for one, other in ((many[:-1], many[1:]), (blocks[:, 0].ravel(), blocks[:, 1].ravel())):
        for power in (1, 2):
            assert abs(np.corrcoef(one**power, other**power)[0, 1]) < 5 / math.sqrt(len(one))


@pytest.mark.parametrize("count", [1, 2, 777, 1024 + 3, 5 * 1024])
def test_noise_is_the_same_on_any_number_of_threads(monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    monkeypatch.setattr(noise, "BLOCK", 1024)
    assert torch.equal(made(count, threads=1), made(count, threads=3))


def test_no_block_has_the_noise_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """The difference of two numbers with the same noise has none."""
    monkeypatch.setattr(noise, "BLOCK", 1024)
    assert len(np.unique(made(5 * 1024).numpy())) > 5 * 1024 - 5


def test_noise_of_a_step_does_not_depend_on_the_step_before() -> None:
    with noise_maker(1001, 1.0, CPU, 2) as maker:
        zeros = [torch.zeros(1001, dtype=torch.float64)]
        steps = [maker.begin(insecure_stream(seed)).add(zeros, 1.0)[0] for seed in (1, 2, 1)]
    assert torch.equal(steps[0], steps[2])
    assert not torch.equal(steps[0], steps[1])


def test_noise_is_what_box_and_muller_say_of_the_ciphers_words() -> None:
    """The first pair of RFC 8439's first keystream, by Python's own logarithm and cosine."""
    stream, scale = Stream(bytes(32)), 1.0
    first, second = (int(word) >> 12 for word in stream.words(2))
    radius = math.sqrt(-2 * math.log(1 - first / 2**52)) * scale / unit_of(scale)
    angle = 2 * math.pi * second / 2**52
    expected = [radius * math.cos(angle), radius * math.sin(angle)]
    assert (
        np.abs(write_numbers(Stream(bytes(32)), torch.empty(2, dtype=torch.float64), scale).numpy() - expected).max()
        <= 1
    )


def length_of(far: int, card: bool) -> float:
    """Return how many standard deviations a pair is long whose length has these 76 random bits, and its angle none."""
    first, second = far >> 12, far & 0xFFF

    class Given:
        def fill(self, words: NDArray[np.uint64]) -> None:
            words[:] = first, second

    words = np.array([first, second], np.uint64)
    if card:
        pair = in_units(torch.from_numpy(words.view(np.int64)), 1.0)
    else:
        pair = write_numbers(cast(Stream, Given()), torch.empty(2, dtype=torch.float64), 1.0)
    assert pair[1] == 0
    return float(pair[0]) * unit_of(1.0)


@pytest.mark.parametrize("card", [False, True], ids=["threads", "card"])
@pytest.mark.parametrize("chance", [5, 15, 16, 17, 20, 33, 46, 60])
def test_the_longest_and_the_shortest_pairs_have_as_many_lengths_as_can_be_seen(chance: int, card: bool) -> None:
    """Of pairs that come with a chance of 2^-33, 52 bits give each 16 million of the lengths that a float32 can show.

    Who sees the sum of a step and has two guesses of what it was without noise would find that the wrong one leaves a
    length that there is not. Here each length is the exact one, to the unit that everything is rounded to.
    """
    near, unit = 2 ** (76 - chance), unit_of(1.0)
    for more in (0, near // 3, near // 7 * 5):
        short = math.sqrt(-2 * math.log1p(-(near + more) / 2**76))
        long = math.sqrt(2 * (76 * math.log(2) - math.log(near + more)))
        assert abs(length_of(near + more, card) - short) <= unit
        assert abs(length_of(2**76 - near - more, card) - long) <= unit


@pytest.mark.parametrize("sizes", [(5,), (1023,), (1024, 1024, 7), (1024, 1024)])
def test_a_card_makes_the_same_numbers_of_the_words_within_a_unit(
    monkeypatch: pytest.MonkeyPatch, sizes: tuple[int, ...]
) -> None:
    monkeypatch.setattr(noise, "CHUNK", 256)
    root, scale = insecure_stream(8), 0.37
    words = [root.child(number).words(2 * -(-size // 2)).view(np.int64) for number, size in enumerate(sizes)]
    of_card = in_units(torch.from_numpy(np.concatenate(words)), scale)[: sum(sizes)]
    of_threads = torch.empty(sum(sizes) + sum(sizes) % 2, dtype=torch.float64)
    for number, start in enumerate(range(0, sum(sizes), 1024)):
        write_numbers(root.child(number), of_threads[start : start + 1024], scale)
    of_threads = of_threads[: sum(sizes)]
    assert (of_card - of_threads).abs().max() <= 1
    assert (of_card != of_threads).float().mean() < 1e-3


def test_sum_and_noise_are_whole_units_and_are_added_exactly() -> None:
    scale, count = 0.7, 1000
    sums = torch.randn(count, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    with noise_maker(count, scale, CPU, 1) as maker:
        (noisy,) = maker.begin(insecure_stream(1)).add([sums], 1.0)
    drawn, unit = made(count, scale, seed=1), Fraction(unit_of(scale))
    for before, added, after in zip(sums.tolist(), drawn.tolist(), noisy.tolist(), strict=True):
        assert (Fraction(added) / unit).denominator == 1
        assert Fraction(after) == round(Fraction(before) / unit) * unit + Fraction(added)


@pytest.mark.parametrize("scale", [1e-6, 0.5, 1.0, 3.0, 1e4])
def test_the_unit_is_a_power_of_two_far_below_the_noise(scale: float) -> None:
    assert math.frexp(unit_of(scale))[0] == 0.5
    assert 2.0 ** -(FINE + 1) <= unit_of(scale) / scale <= 2.0 ** -(FINE - 1)


def test_every_tensor_gets_its_own_noise_in_its_shape_and_its_type() -> None:
    shapes = [(3, 4), (), (5,), (2, 2, 2)]
    with noise_maker(26, 1.0, CPU, 1) as maker:
        noisy = maker.begin(insecure_stream(2)).add([torch.zeros(shape) for shape in shapes], 2.0)
    assert [tuple(one.shape) for one in noisy] == shapes
    together = torch.cat([one.flatten() for one in noisy])
    assert together.dtype == torch.float32
    assert torch.allclose(together, (made(26, seed=2) / 2).float())
    assert len(set(together.tolist())) == 26
