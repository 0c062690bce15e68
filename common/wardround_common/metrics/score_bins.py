"""The bins in which a model's scores are counted: at most 1/1024 wide, and ever finer towards 0 and 1.

Where a finding is rare, or a network surer than it should be, all scores lie within 1/1024 of 0 or 1. In even bins they
would be ties: nothing would be left of the ranking, nor a point at which to decide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.ranking import Floats

EVEN = 1024
"""From 1/128 to 127/128 bins are this fraction wide."""
_FROM, _EACH = 7, 8  # below 2^-7 each halving is eight bins, of 9 % of their score
_LOWEST, _HIGHEST = 40, 20  # 2^-40 is a log-odds of -28; above 1 - 2^-20, of 14, a float32 hardly tells scores apart


def _edges() -> Floats:
    """Return where bins begin, and 1; each is a float32, so that what is decided at one is decided alike everywhere."""
    low, high = (2.0 ** -(_FROM + np.arange((last - _FROM) * _EACH, 0, -1) / _EACH) for last in (_LOWEST, _HIGHEST))
    inside = np.arange(EVEN >> _FROM, EVEN - (EVEN >> _FROM) + 1) / EVEN
    edges = np.concatenate([[0.0], low, inside, 1 - high[::-1], [1.0]])
    return edges.astype(np.float32).astype(np.float64)


EDGES = _edges()
BINS = len(EDGES) - 1
MIDDLES: Floats = (EDGES[:-1] + EDGES[1:]) / 2
HALF = int(np.searchsorted(EDGES, 0.5))
"""The bin that begins at a half."""


def bins_of(scores: NDArray[np.floating]) -> NDArray[np.int64]:
    """Return the bin of each score from 0 to 1; one of 1 lies in the last."""
    found = np.searchsorted(EDGES, scores.astype(np.float64), side="right") - 1
    return np.minimum(found, BINS - 1).astype(np.int64)


def edge_of(threshold: float) -> int:
    """Return the first bin that begins at a threshold or above it; the one after the last above the last edge."""
    return min(int(np.searchsorted(EDGES, threshold)), BINS)


def in_even_bins(counts: NDArray[np.number], count: int) -> NDArray[np.number]:
    """Add up what lies in each of ``count`` even bins, a power of two up to 128: (..., bins) to (..., count)."""
    starts = np.searchsorted(EDGES, np.arange(count) / count)
    added: NDArray[np.number] = np.add.reduceat(counts, starts, axis=-1)
    return added
