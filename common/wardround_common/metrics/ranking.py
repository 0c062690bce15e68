"""How well scores put images with a finding above those without: ROC and precision-recall, exactly and weighted.

Every function here takes counts of images by score: ``rest`` and ``found`` of shape (..., scores), one entry for each
distinct score (or bin of scores) from the lowest to the highest, of the images without and with the finding. Entries
need not be whole: a resample of patients is the same data with other weights. Images of one entry are ties.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def count_by_score(scores: NDArray[np.floating], found: NDArray[np.bool_], weights: Floats) -> tuple[Floats, Floats]:
    """Return (rest, found) of scores (images,) under weights (resamples, images), each (resamples, distinct scores)."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(ordered)])
    every = weights[:, order]
    with_finding = every * found[order]
    if len(starts) == len(ordered):
        return every - with_finding, with_finding
    total = np.add.reduceat(every, starts, axis=1)
    positive = np.add.reduceat(with_finding, starts, axis=1)
    return total - positive, positive


def roc_area(rest: NDArray[np.number], found: NDArray[np.number]) -> Floats:
    """Return the area under the ROC curve (...,): the chance that a finding scores above a rest, ties counting half.

    NaN where one of the two does not occur. Hanley and McNeil 1982, Radiology 143(1).
    """
    below = np.cumsum(rest, axis=-1, dtype=np.float64) - 0.5 * rest
    pairs = rest.sum(axis=-1, dtype=np.float64) * found.sum(axis=-1, dtype=np.float64)
    return divide((found * below).sum(axis=-1), pairs)


def average_precision(rest: NDArray[np.number], found: NDArray[np.number]) -> Floats:
    """Return the area under the precision-recall curve (...,) as a step function, the average precision.

    The mean, over the images with the finding, of the precision at their own score; it does not interpolate (Davis and
    Goadrich 2006, ICML, section 3, show why not). NaN where one of the two does not occur: with findings alone any
    order would get 1.
    """
    hits = _at_or_above(found)
    precision = divide(hits, hits + _at_or_above(rest), empty=0.0)
    area = divide((found * precision).sum(axis=-1), found.sum(axis=-1, dtype=np.float64))
    return np.where(rest.sum(axis=-1) > 0, area, np.nan)


def roc_points(rest: NDArray[np.number], found: NDArray[np.number]) -> tuple[Floats, Floats]:
    """Return the false and true positive rates of every threshold, each (scores + 1,), from (0, 0) to (1, 1)."""
    x = _at_or_above(rest)[::-1] / rest.sum()
    y = _at_or_above(found)[::-1] / found.sum()
    return np.concatenate([[0.0], x]), np.concatenate([[0.0], y])


def precision_recall_points(rest: NDArray[np.number], found: NDArray[np.number]) -> tuple[Floats, Floats]:
    """Return recall and precision of every threshold, each (scores,), by rising recall."""
    hits = _at_or_above(found)[::-1]
    return hits / found.sum(), divide(hits, hits + _at_or_above(rest)[::-1], empty=1.0)


def mean_defined(values: Floats) -> float | None:
    """Return the mean of the values that are defined; None if none is."""
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else None


def _at_or_above(counts: NDArray[np.number]) -> Floats:
    upward: Floats = np.cumsum(counts[..., ::-1], axis=-1, dtype=np.float64)[..., ::-1]
    return upward


def divide(over: NDArray[np.number], under: NDArray[np.number], empty: float = np.nan) -> Floats:
    """Divide, giving ``empty`` where there is nothing to divide by."""
    quotient: Floats = np.divide(over, under, out=np.full(np.shape(over), empty), where=under != 0)
    return quotient
