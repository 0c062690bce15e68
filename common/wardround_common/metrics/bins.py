"""Histograms of one value a patient, whose counts can be added over hospitals and still give a median."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Bins:
    """Bins of values from 0 on: bin k holds what is at least ``edges[k]`` and below ``edges[k + 1]``.

    ``edges`` float64 (bins + 1,), ascending. What lies beyond the last edge is counted as the last edge.
    """

    edges: Floats

    @property
    def count(self) -> int:
        """How many bins there are."""
        return len(self.edges) - 1

    @property
    def most(self) -> float:
        """The largest value that is told from a larger one."""
        return float(self.edges[-1])

    def counts(self, values: Floats) -> NDArray[np.int64]:
        """Return how many of the values (n,), each of 0 or more, lie in each bin, int64 (bins,)."""
        found = np.searchsorted(self.edges, values, side="right") - 1
        return np.bincount(np.minimum(found, self.count - 1), minlength=self.count).astype(np.int64)

    def quantile(self, counts: NDArray[np.int64], fraction: float) -> float | None:
        """Return the middle of the bin in which a quantile lies; None of no values.

        Of n values it is the one of rank ``ceil(fraction * n)``, the first for a fraction of 0: NumPy's method
        ``inverted_cdf``. It differs from the exact one by at most half of the bin's width.
        """
        total = int(counts.sum())
        if not total:
            return None
        rank = max(math.ceil(round(fraction * total, 9)), 1)
        place = int(np.searchsorted(np.cumsum(counts), rank))
        return float((self.edges[place] + self.edges[place + 1]) / 2)

    def bounds(self, counts: NDArray[np.int64]) -> tuple[float, float]:
        """Return between which two numbers the sum of the values lies, by their counts (bins,)."""
        return float(counts @ self.edges[:-1]), float(counts @ self.edges[1:])


def even_bins(count: int) -> Bins:
    """Return this many bins of one width over [0, 1]; a value of 1 lies in the last."""
    return Bins(np.arange(count + 1) / count)


def doubling_bins(first: float, last: float, most: float, each: int) -> Bins:
    """Return a bin [0, first), ``each`` for every doubling from ``first`` to ``last``, and one for [last, most]."""
    steps = round(math.log2(last / first)) * each
    return Bins(np.array([0.0, *(first * 2.0 ** (np.arange(steps + 1) / each)), most]))
