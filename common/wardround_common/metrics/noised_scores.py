"""Scores of classes or findings as counts that get noise: in few levels, and nothing that the counts do not tell."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.findings import FindingSums
from wardround_common.metrics.noised import possible
from wardround_common.metrics.ranking import Floats
from wardround_common.metrics.score_bins import HALF, NOISED_EDGES, from_levels, to_levels
from wardround_common.metrics.scores import findings
from wardround_common.metrics.sums import UNIT, ScoreSums

LEVELS = len(NOISED_EDGES) - 1
EFFECT = "AUROC is mostly a little too low, and the loss too high"
"""What noise does to figures."""
_MIDDLES = (NOISED_EDGES[:-1] + NOISED_EDGES[1:]) / 2


def blocks_of(classes: int) -> int:
    """Return in how many blocks an image is counted: once for each finding, and of several classes by decision."""
    return len(findings(classes)) + (classes > 2)


def cells_of(classes: int) -> int:
    """Return how many cells there are: levels by finding and label, and of several classes true by decided ones."""
    return len(findings(classes)) * 2 * LEVELS + (classes**2 if classes > 2 else 0)


def told(sums: ScoreSums) -> NDArray[np.int64]:
    """Return the counts (cells,) of some images, block after block."""
    levels = to_levels(sums.histograms, NOISED_EDGES).ravel()
    return np.concatenate([levels, sums.confusion.ravel()]) if sums.classes > 2 else levels


def settled(counts: Floats, classes: int) -> ScoreSums:
    """Return the possible sums that are nearest to noised counts (cells,), block after block.

    Losses and squared errors are those of the middles of levels. Of two classes the more probable one is decided, by
    the histogram; of several, how many are of each class is what the confusion matrix says.
    """
    many = len(findings(classes))
    noised = counts[: many * 2 * LEVELS].reshape(many, 2, LEVELS)
    if classes > 2:
        by_decision = counts[many * 2 * LEVELS :]
        confusion = possible(by_decision).reshape(classes, classes)
        of_class = confusion.sum(axis=1)
        of = np.stack([of_class.sum() - of_class, of_class], axis=1)
    else:
        of = np.rint(noised.sum(axis=2)).astype(np.int64).clip(0)
    levels = np.stack([[possible(noised[f, y], int(of[f, y])) for y in (0, 1)] for f in range(many)])
    histograms = from_levels(levels, NOISED_EDGES)
    if classes == 2:
        decided = np.add.reduceat(histograms[0], [0, HALF], axis=1)
        confusion, right = decided, np.stack([1 - _MIDDLES, _MIDDLES])
        losses = -(levels[0] * np.log(right)).sum()
        errors = (levels[0] * np.square(1 - right)).sum()
    else:
        losses = -(levels[:, 1] * np.log(_MIDDLES)).sum()
        errors = (levels[:, 0] * np.square(_MIDDLES) + levels[:, 1] * np.square(1 - _MIDDLES)).sum()
        errors = min(errors, 2.0 * of_class.sum())
    return ScoreSums(histograms, confusion.astype(np.int64), round(losses / UNIT), round(errors / UNIT))


def cells_of_findings(count: int) -> int:
    """Return how many cells there are of several findings: levels by finding and label, and one for all images."""
    return count * 2 * LEVELS + 1


def told_of_findings(sums: FindingSums) -> NDArray[np.int64]:
    """Return the counts (cells,) of some images, a block for each finding, of whom some may be unknown, and one."""
    return np.append(to_levels(sums.histograms, NOISED_EDGES).ravel(), sums.images)


def settled_findings(counts: Floats, count: int) -> FindingSums:
    """Return the possible sums that are nearest to noised counts (cells,), block after block.

    Losses and squared errors are those of the middles of levels, and an image's loss is the mean over all of them.
    """
    noised = counts[:-1].reshape(count, 2, LEVELS)
    levels = np.stack([[possible(one) for one in finding] for finding in noised])
    known = levels.sum(axis=(1, 2))
    right = np.stack([1 - _MIDDLES, _MIDDLES])  # (2, levels)
    errors = np.rint((levels * np.square(1 - right)).sum(axis=(1, 2)) / UNIT).astype(np.int64)
    images = int(np.clip(round(counts[-1]), known.max(), known.sum()))
    loss = round(float(-(levels * np.log(right)).sum()) / max(1, int(known.sum())) * images / UNIT)
    return FindingSums(from_levels(levels, NOISED_EDGES), errors, images, loss)
