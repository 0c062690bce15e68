"""The privacy loss of sampled Gaussian sums, discretised so that no bound comes out too low, and composed by FFT.

A step of DP-SGD looks the same to an attacker as one number x, drawn from Q = N(0, σ²) without the patient and from
P = (1 − q) N(0, σ²) + q N(1, σ²) with the patient (Mironov, Talwar and Zhang 2019, arXiv:1908.10530, section 3.1). Its
privacy loss is t(x) = log dP/dQ. Every loss between two points of a grid is split between these points so that the
masses under P *and* under Q stay as they were: *connecting the dots* of Doroshenko, Ghazi, Kamath, Kumar and Manurangsi
(PoPETs 2022, arXiv:2207.04380, section 4). The discrete pair dominates the true one, so that delta of any composition
is an upper bound and not an estimate. Losses of independent steps add up; the distribution of the sum is a product of
Fourier transforms (Koskela, Jälkö and Honkela, AISTATS 2020). What the transform's finite window cuts off is bounded by
Chernoff and added to delta.

Not bounded: the rounding of double precision. It shows from 10⁵ steps at a delta of 10⁻¹⁰ on, and upwards, because what
rounding makes negative is cut to nothing; smaller deltas are refused.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

SMALLEST_DELTA = 1e-10
LARGEST_NOISE = 1e6
"""Of a sum of length 1; beyond it nothing is left of a sum."""
_CUT = 2.0**-20
"""The fraction of delta that is given away to what is cut off: in each step, and by the window."""
_LOOSENESS = 2.5e-4
"""By how much, relative, the grid may widen the variance of the loss, and so about epsilon."""
_LONGEST = 2**21
"""Cells of the window; a longer one gets a coarser grid, whose bound is looser but still a bound."""


@dataclass(frozen=True)
class StepLoss:
    """The loss of one step on a grid: ``removed[i]`` and ``added[i]`` are the masses of loss (``first`` + i) · h.

    ``removed`` is the loss of telling apart a data set from the one without the patient, ``added`` the other way round;
    what is missing to 1 counts as a loss without bound.
    """

    removed: Numbers = field(repr=False)
    removed_first: int
    added: Numbers = field(repr=False)
    added_first: int


def loss_deviation(noise_multiplier: float, rate: float) -> float:
    """Return the standard deviation of one step's loss, in nats."""
    place = np.linspace(-10.0 * noise_multiplier, 1.0 + 10.0 * noise_multiplier, 4001)
    far = place / noise_multiplier
    near = (place - 1.0) / noise_multiplier
    mass = (1.0 - rate) * np.exp(-far * far / 2) + rate * np.exp(-near * near / 2)
    mass /= mass.sum()
    loss = _loss_at(place, noise_multiplier, rate)
    mean = float(mass @ loss)
    return math.sqrt(max(float(mass @ (loss - mean) ** 2), 0.0))


@lru_cache(maxsize=256)
def step_loss(noise_multiplier: float, rate: float, grid: float, cut: float) -> StepLoss:
    """Discretise the loss of one step on multiples of ``grid``; at most ``cut`` of its mass becomes unbounded loss."""
    reach = math.sqrt(2.0 * math.log(1.0 / cut)) * noise_multiplier  # a Gaussian is beyond it with less than cut / 2
    lowest, highest = _loss_at(np.array([-reach, 1.0 + reach]), noise_multiplier, rate)
    first, last = math.floor(lowest / grid), math.ceil(highest / grid)
    losses = grid * np.arange(first, last + 1)  # (points,)
    place = _place_of(losses, noise_multiplier, rate)
    without = _between(place / noise_multiplier)  # Q in each cell: (points - 1,)
    moved = _between((place - 1.0) / noise_multiplier)
    with_patient = (1.0 - rate) * without + rate * moved  # P
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.exp(np.log(with_patient) - np.log(without) - losses[:-1])
    ratio = np.clip(np.nan_to_num(ratio, nan=1.0, posinf=math.inf), 1.0, math.exp(grid))
    upper = (ratio - 1.0) / math.expm1(grid)  # the part of a cell's Q that goes to its upper point
    removed = np.zeros(len(losses))
    removed[:-1] += with_patient * (1.0 - upper) / ratio
    removed[1:] += with_patient * math.exp(grid) * upper / ratio
    added = np.zeros(len(losses))
    added[:-1] += without * (1.0 - upper)
    added[1:] += without * upper
    # Of what lies outside the grid, the low losses are raised to its lowest point; the high ones count as unbounded.
    below, above = place[0] / noise_multiplier, place[-1] / noise_multiplier
    removed[0] += (1.0 - rate) * _cdf(below) + rate * _cdf((place[0] - 1.0) / noise_multiplier)
    added[-1] += _cdf(-above)
    return StepLoss(removed, first, added[::-1], -last)


def composed_epsilon(steps: tuple[tuple[float, float, int], ...], delta: float) -> float:
    """Bound the epsilon of all ``steps`` together: (noise multiplier, sampling rate, how many), all positive."""
    total = sum(count for _, _, count in steps)
    variance = sum(count * loss_deviation(noise, rate) ** 2 for noise, rate, count in steps)
    # Powers of two, so that histories that are alike find each other's steps in the cache.
    grid = _power_of_two(2.0 * math.sqrt(_LOOSENESS * variance / total))
    cut = _CUT * delta / 2.0 ** math.ceil(math.log2(total))
    while True:
        losses = [step_loss(noise, rate, grid, cut) for noise, rate, _ in steps]
        counts = [count for _, _, count in steps]
        removed = _Sum([(loss.removed, loss.removed_first) for loss in losses], counts, grid, _CUT * delta)
        added = _Sum([(loss.added, loss.added_first) for loss in losses], counts, grid, _CUT * delta)
        if max(removed.cells, added.cells) <= _LONGEST:
            return max(removed.epsilon(delta), added.epsilon(delta))
        grid *= 2.0


class _Sum:
    """The sum of independent losses on a grid, and the window that holds all of it but a mass of ``tail``."""

    def __init__(self, parts: list[tuple[Numbers, int]], counts: list[int], grid: float, tail: float) -> None:
        self._parts, self._counts, self._grid, self._tail = parts, counts, grid, tail
        low, high = self._edge(-1.0), self._edge(1.0)
        self._first = math.floor(low / grid)
        self.cells = 2 ** math.ceil(math.log2(max(math.ceil(high / grid) - self._first + 1, 16)))

    def _edge(self, side: float) -> float:
        """Bound the sum from above (side 1) or below (side -1) except for half of the tail, by Chernoff."""
        best = math.inf
        scale = sum(count * len(mass) for (mass, _), count in zip(self._parts, self._counts, strict=True)) * self._grid
        tilt = 1.0 / scale
        worse = 0
        while worse < 4 and tilt < 1e9 / self._grid:
            moment = sum(
                count * _log_moment(mass, first, side * tilt * self._grid)
                for (mass, first), count in zip(self._parts, self._counts, strict=True)
            )
            bound = (moment + math.log(2.0 / self._tail)) / tilt
            worse = worse + 1 if bound > best else 0
            best = min(best, bound)
            tilt *= 1.5
        return side * best

    def epsilon(self, delta: float) -> float:
        """Find the least epsilon of at least 0 whose delta, with all that was cut off, is within ``delta``."""
        target = delta - 2.0 * self._tail  # once for what lies outside the window, once for what the steps cut off
        product = np.ones(self.cells // 2 + 1, np.complex128)
        for (mass, first), count in zip(self._parts, self._counts, strict=True):
            around = np.zeros(self.cells)
            np.add.at(around, (first + np.arange(len(mass))) % self.cells, mass)
            product *= np.fft.rfft(around) ** count
        whole = np.roll(np.fft.irfft(product, self.cells), -(self._first % self.cells)).clip(min=0.0)
        start = max(0, -self._first)  # of the losses from 0 on
        mass, losses = whole[start:], self._grid * (self._first + np.arange(start, self.cells))
        if len(mass) == 0 or (losses[0] <= 0.0 and _delta(mass, losses, 0.0) <= target):
            return 0.0
        low, high = -1, len(mass) - 1  # delta at losses[low] is above the target, at losses[high] it is not
        while high - low > 1:
            middle = (low + high) // 2
            if _delta(mass[middle:], losses[middle:], float(losses[middle])) > target:
                low = middle
            else:
                high = middle
        rest = mass[high:]
        discounted = float(rest @ np.exp(losses[high] - losses[high:]))
        return max(0.0, float(losses[high]) + math.log((float(rest.sum()) - target) / discounted))


def _delta(mass: Numbers, losses: Numbers, epsilon: float) -> float:
    """The hockey-stick divergence, the sum of mass · (1 − exp(epsilon − loss)) over the losses above epsilon."""
    return float(mass @ -np.expm1(np.minimum(epsilon - losses, 0.0)))


def _log_moment(mass: Numbers, first: int, tilt: float) -> float:
    there = np.flatnonzero(mass)
    exponents = tilt * (first + there)
    top = float(exponents.max())
    return top + math.log(float(mass[there] @ np.exp(exponents - top)))


def _loss_at(place: Numbers, noise_multiplier: float, rate: float) -> Numbers:
    """Return t(x) = log(1 − q + q exp((2x − 1) / 2σ²))."""
    exponent = (2.0 * place - 1.0) / (2.0 * noise_multiplier**2)
    if rate == 1.0:
        return exponent
    return np.logaddexp(math.log1p(-rate), math.log(rate) + exponent)


def _place_of(losses: Numbers, noise_multiplier: float, rate: float) -> Numbers:
    """Return the x at which the loss is reached; minus infinity for losses that no x reaches."""
    if rate == 1.0:
        exponent = losses
    else:
        with np.errstate(divide="ignore", invalid="ignore"):
            low = np.log(np.maximum(np.expm1(np.minimum(losses, 0.0)) + rate, 0.0))
            high = losses + np.log1p(-(1.0 - rate) * np.exp(-np.maximum(losses, 0.0)))
        exponent = np.where(losses <= 0.0, low, high) - math.log(rate)
    return noise_multiplier**2 * exponent + 0.5


def _between(edges: Numbers) -> Numbers:
    """Return the standard normal mass between neighbouring edges, accurate in both tails."""
    below = _cdfs(edges)
    above = _cdfs(-edges)
    return np.where(edges[:-1] > 0.0, above[:-1] - above[1:], below[1:] - below[:-1])


def _cdfs(values: Numbers) -> Numbers:
    scaled = (values * -math.sqrt(0.5)).tolist()
    return 0.5 * np.fromiter(map(math.erfc, scaled), np.float64, len(scaled))


def _cdf(value: float) -> float:
    return 0.5 * math.erfc(-value * math.sqrt(0.5))


def _power_of_two(value: float) -> float:
    return 2.0 ** math.floor(math.log2(value))
