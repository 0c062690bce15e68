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
_NEARER = np.array([*range(4, 11), *range(12, 21, 2)])  # halvings from a sixteenth on at which a level begins
LEVEL_EDGES: Floats = np.concatenate(
    [[0.0], 2.0 ** -np.arange(40, 20, -4), 2.0 ** -_NEARER[::-1], np.arange(2, 15) / 16, 1 - 2.0**-_NEARER, [1.0]]
)
"""Where the levels begin, in which a study can have scores counted (``[evaluation] levels``), and 1: edges of bins, a
sixteenth apart from 1/16 to 15/16, from there each half as far from 0 or 1 as the one before down to 1/1024, and then
each a quarter, or less."""
LEVELS = len(LEVEL_EDGES) - 1
NOISED_EDGES: Floats = np.concatenate(
    [[0.0, 2.0**-10], 2.0 ** -np.arange(8.0, 2, -1), [3 / 16, 1 / 4], np.arange(3, 8) / 8, [15 / 16, 1 - 2.0**-6, 1.0]]
)
"""The same where counts get noise (``[privacy] evaluation_epsilon``): fewer levels, since each brings its own."""


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


def in_levels(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count what lies in a level in the bin in its middle: (..., bins) to (..., bins)."""
    return from_levels(to_levels(counts, LEVEL_EDGES), LEVEL_EDGES)


def to_levels(counts: NDArray[np.int64], edges: Floats) -> NDArray[np.int64]:
    """Add up what lies in each level, of which these are the edges: (..., bins) to (..., levels)."""
    added: NDArray[np.int64] = np.add.reduceat(counts, np.searchsorted(EDGES, edges[:-1]), axis=-1)
    return added


def from_levels(counts: NDArray[np.int64], edges: Floats) -> NDArray[np.int64]:
    """Count what lies in a level in the bin in its middle: (..., levels) to (..., bins)."""
    counted = np.zeros((*counts.shape[:-1], BINS), np.int64)
    counted[..., bins_of((edges[:-1] + edges[1:]) / 2)] = counts
    return counted


def level_edge(threshold: float, edges: Floats = LEVEL_EDGES) -> float:
    """Return where the level of a threshold begins: what is counted in the level's bin is at it or above."""
    return float(edges[min(int(np.searchsorted(edges, threshold, side="right")) - 1, len(edges) - 1)])
