"""Metrics of several findings in each image, some of them unknown, from numbers that hospitals can add.

Each finding has the histograms of :class:`wardround_common.metrics.sums.ScoreSums`, over the images of which it is
known, and is judged by the same functions as one finding of two classes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError, ModelError
from wardround_common.metrics.defined import mean_over, of_one_row
from wardround_common.metrics.ranking import Floats, mean_defined
from wardround_common.metrics.score_bins import BINS, HALF, bins_of, in_levels
from wardround_common.metrics.score_intervals import intervals_of
from wardround_common.metrics.shapes import LEAST_RECORDS, Estimate, GroupFigures
from wardround_common.metrics.sum_intervals import AT_MOST, limits_of, means_of
from wardround_common.metrics.sums import COUNT_LIMIT, LOSS_LIMIT, UNIT, ScoreSums, figures_of

ABSENT, PRESENT, UNKNOWN = 0, 1, -1
"""What is said of a finding in an image."""
EVEN = 0.5
"""From this probability on a finding is decided to be there where no operating point was chosen."""
MACRO = (
    "auroc",
    "auprc",
    "sensitivity",
    "specificity",
    "ppv",
    "npv",
    "f1",
    "balanced_accuracy",
    "brier",
    "calibration_error",
)
"""The metrics, each the mean over the findings of which there are enough images on either side."""
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class FindingSums:
    """Sums over images that give each finding's metrics without any one image's scores; integers.

    ``histograms`` int64 (findings, 2, bins): how many images without [0] and with the finding [1] have a score in each
    bin; an image of which it is unknown is in neither. ``squared_errors`` int64 (findings,): in units of 2^-20.
    ``images``: how many there are. ``loss``: in the same units.
    """

    histograms: Counts
    squared_errors: Counts
    images: int
    loss: int

    @classmethod
    def empty(cls, findings: int) -> FindingSums:
        """Return the sums over no image."""
        return cls(np.zeros((findings, 2, BINS), np.int64), np.zeros(findings, np.int64), 0, 0)

    @classmethod
    def of(cls, known: Counts, probabilities: NDArray[np.float32], losses: Floats) -> FindingSums:
        """Sum up what is known (images, findings), probabilities (images, findings) and losses (images,) in nats.

        Raises:
            ModelError: a number is not finite (the training diverged).
        """
        if not (np.all((probabilities >= 0) & (probabilities <= 1)) and np.all(losses >= 0)):  # NaN fails too
            raise ModelError(
                "a probability or a loss is not a number", do="Training diverged? Lower the learning rate."
            )
        sums = cls.empty(probabilities.shape[1])
        bins = bins_of(probabilities)
        errors = np.rint(np.square(probabilities.astype(np.float64) - known) / UNIT).astype(np.int64)
        for finding in range(probabilities.shape[1]):
            said = known[:, finding] != UNKNOWN
            np.add.at(sums.histograms[finding], (known[said, finding], bins[said, finding]), 1)
            sums.squared_errors[finding] = errors[said, finding].sum()
        loss = int(np.rint(np.minimum(losses, LOSS_LIMIT) / UNIT).astype(np.int64).sum())
        return cls(sums.histograms, sums.squared_errors, len(known), loss)

    def __add__(self, other: FindingSums) -> FindingSums:
        """Add the sums over two groups of images.

        Raises:
            MessageError: they are of models with different numbers of findings.
        """
        if self.findings != other.findings:
            raise MessageError("sums of different numbers of findings cannot be added")
        return FindingSums(
            self.histograms + other.histograms,
            self.squared_errors + other.squared_errors,
            self.images + other.images,
            self.loss + other.loss,
        )

    def in_levels(self) -> FindingSums:
        """Return them with scores counted in few levels (``score_bins.LEVEL_EDGES``); the rest stays exact."""
        return replace(self, histograms=in_levels(self.histograms))

    def to_vector(self) -> Counts:
        """Return the sums as int64 (``findings_length``,): what travels in a message."""
        last = np.array([self.images, self.loss], np.int64)
        return np.concatenate([self.histograms.ravel(), self.squared_errors, last])

    @classmethod
    def from_vector(cls, vector: Counts | Floats, findings: int) -> FindingSums:
        """Read the sums from a vector of whole numbers, int64 or float64.

        Raises:
            MessageError: wrong length or type, a number that is negative or not whole, or numbers that contradict one
                another.
        """
        length = findings_length(findings)
        if vector.shape != (length,):
            raise MessageError(f"sums of {findings} findings are {length} numbers, not {vector.shape}")
        if vector.dtype not in (np.int64, np.float64):
            raise MessageError(f"sums are int64 or float64, not {vector.dtype}")
        limits = np.full(length, COUNT_LIMIT)
        limits[-2 - findings : -2] = limits[-1] = 2.0**62
        if not np.all((vector >= 0) & (vector <= limits)) or (vector.dtype == np.float64 and np.any(vector % 1)):
            raise MessageError("sums are whole numbers of 0 or more")
        whole = vector.astype(np.int64)
        cut = findings * 2 * BINS
        sums = cls(
            histograms=whole[:cut].reshape(findings, 2, BINS),
            squared_errors=whole[cut:-2],
            images=int(whole[-2]),
            loss=int(whole[-1]),
        )
        sums._check()
        return sums

    def _check(self) -> None:
        """Check that some images can have these sums.

        Raises:
            MessageError: none can.
        """
        known = self.histograms.sum(axis=(1, 2))
        if np.any(known > self.images) or self.images > known.sum():
            raise MessageError("the sums contradict one another: findings are counted in other images than there are")
        if np.any(self.squared_errors > known * (1 / UNIT + 1)):
            raise MessageError("the sums contradict one another: errors are larger than any can be")
        if self.loss > self.images * (LOSS_LIMIT / UNIT + 1):
            raise MessageError(f"{self.images} images cannot have a loss of {self.loss * UNIT:.6g}")

    @property
    def findings(self) -> int:
        """How many findings there are."""
        return len(self.histograms)

    @property
    def records(self) -> int:
        """How many images were summed."""
        return self.images

    def mean_loss(self) -> float | None:
        """Return the mean loss of an image in nats; None over no image."""
        return self.loss * UNIT / self.images if self.images else None

    def one(self, finding: int) -> ScoreSums:
        """Return the sums of one finding as those of a classification, over the images of which it is known."""
        vector = _of_one(self.to_vector()[None], self.findings, finding)[0]
        return ScoreSums(
            vector[: 2 * BINS].reshape(1, 2, BINS), vector[2 * BINS : -2].reshape(2, 2), 0, int(vector[-1])
        )

    def counted(self) -> NDArray[np.bool_]:
        """Say which findings (findings,) have enough images on either side to count in a mean; if none has, all do."""
        enough: NDArray[np.bool_] = (self.histograms.sum(axis=2) >= LEAST_RECORDS).all(axis=1)
        return enough if enough.any() else ~enough

    def auroc_margin(self) -> float | None:
        """Return the most by which the mean AUROC can differ from the exact one."""
        each = [self.one(finding).auroc_margin() for finding in np.flatnonzero(self.counted()).tolist()]
        return mean_defined(np.array(each, np.float64))

    def figures(self, points: Sequence[float | None] | None) -> dict[str, float | None]:
        """Return every metric at the findings' operating points; None where it is not defined."""
        return of_one_row(macro(self.to_vector()[None], self.findings, points, self.counted()))

    def by_finding(self, points: Sequence[float | None] | None) -> tuple[GroupFigures, ...]:
        """Return the figures of each finding at its operating point: in how many images it is, and found."""
        return tuple(self.one(f).by_class(point)[1] for f, point in enumerate(_points(points, self.findings)))

    def intervals(self, points: Sequence[float | None] | None, metrics: Mapping[str, Estimate]) -> dict[str, Estimate]:
        """Return the metrics at the findings' operating points that have a value and an interval.

        Which findings share an image is not known, so that those of means are as wide as they can be.
        """
        thresholds, each = _points(points, self.findings), []
        for finding in np.flatnonzero(self.counted()).tolist():
            one = self.one(finding)
            figures = {name: Estimate(value) for name, value in one.figures(thresholds[finding]).items()}
            each.append(intervals_of(one, thresholds[finding], {name: figures[name] for name in metrics}))
        if len(each) == 1:
            return each[0]
        return means_of(metrics, [{name: limits_of(one) for name, one in found.items()} for found in each], AT_MOST)

    def operating_points(self, sensitivity: float) -> tuple[float | None, ...] | None:
        """Return for each finding the highest edge of a bin at which the sensitivity is reached.

        None of a finding that is in no image; None in the place of all where none is in any.
        """
        points = tuple(self.one(finding).operating_threshold(sensitivity) for finding in range(self.findings))
        return points if any(point is not None for point in points) else None


def macro(
    vectors: NDArray[np.number],
    findings: int,
    points: Sequence[float | None] | None,
    counted: NDArray[np.bool_],
) -> dict[str, Floats]:
    """Return every metric (rows,) of vectors of sums (rows, n): the mean over the findings that are ``counted``.

    Numbers need not be whole. NaN where a metric is defined for none of them.
    """
    thresholds = _points(points, findings)
    each = [
        figures_of(_of_one(vectors, findings, finding), 2, thresholds[finding])
        for finding in np.flatnonzero(counted).tolist()
    ]
    return {name: mean_over(np.stack([one[name] for one in each]), axis=0) for name in MACRO}


def findings_length(findings: int) -> int:
    """Return the length of the sums for a number of findings."""
    return findings * (2 * BINS + 1) + 2


def _points(points: Sequence[float | None] | None, findings: int) -> list[float]:
    return [EVEN if point is None else point for point in points or [None] * findings]


def _of_one(vectors: NDArray[np.number], findings: int, finding: int) -> NDArray[np.number]:
    """Return a finding's sums as those of a classification (rows, 2 * bins + 4 + 2): decided evenly, without a loss."""
    histograms = vectors[:, finding * 2 * BINS : (finding + 1) * 2 * BINS]
    by_score = histograms.reshape(-1, 2, BINS)
    decided = np.add.reduceat(by_score, [0, HALF], axis=2).reshape(-1, 4)
    errors = vectors[:, findings * 2 * BINS + finding, None]
    return np.concatenate([histograms, decided, np.zeros_like(errors), errors], axis=1)
