"""Metrics from numbers that can be added over hospitals: what a coordinator that only sees sums can still know."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError, ModelError
from wardround_common.metrics.calibration import calibration_error, squared_errors
from wardround_common.metrics.decisions import DECISION_METRICS, decisions_of, figures_by_class
from wardround_common.metrics.defined import mean_over, number_or_none, of_one_row
from wardround_common.metrics.ranking import Floats, average_precision, divide, mean_defined, roc_area
from wardround_common.metrics.score_bins import BINS, EDGES, bins_of, edge_of, in_levels
from wardround_common.metrics.scores import check_scores, findings
from wardround_common.metrics.shapes import LEAST_RECORDS, GroupFigures

UNIT = 2.0**-20  # losses and squared errors are summed as whole multiples of it: sums do not depend on their order
LOSS_LIMIT = 2.0**16  # nats; a larger loss of one image is counted as this
COUNT_LIMIT = 2.0**40  # images; no federation has more, and sums of such counts do not overflow


@dataclass(frozen=True, slots=True, eq=False)
class ScoreSums:
    """Sums over images that give pooled metrics without any one image's score; integers, so that adding is exact.

    ``histograms`` int64 (findings, 2, bins): how many images of the rest [0] and of the finding [1] have a score in
    each bin; one finding of two classes, else each class against the rest. ``confusion`` int64 (classes, classes):
    rows are true classes, columns the class with the highest probability (the first of equals). ``loss`` and
    ``squared_error``: sums in units of 2^-20.

    The scores within a bin count as ties. So AUROC differs from the exact one by at most half of the fraction of
    (finding, rest) pairs that share a bin (``auroc_margin``); sensitivity and specificity at a threshold that is the
    edge of a bin (``score_bins``) are exact; a mean loss or Brier score is exact to 2^-21 an image.

    These sums say little of one image when many are added, and a lot when few are: over one hospital they are as
    confidential as its model update, and travel in the same masked vector.
    """

    histograms: NDArray[np.int64]
    confusion: NDArray[np.int64]
    loss: int
    squared_error: int

    @classmethod
    def empty(cls, classes: int) -> ScoreSums:
        """Return the sums over no image."""
        return cls(
            histograms=np.zeros((len(findings(classes)), 2, BINS), np.int64),
            confusion=np.zeros((classes, classes), np.int64),
            loss=0,
            squared_error=0,
        )

    @classmethod
    def of(
        cls, labels: NDArray[np.int64], probabilities: NDArray[np.float32], losses: NDArray[np.float64]
    ) -> ScoreSums:
        """Sum up labels (images,), probabilities (images, classes) and losses (images,) in nats.

        Raises:
            ModelError: the shapes do not fit, or a number is not finite (the training diverged).
        """
        check_scores(labels, probabilities)
        if losses.shape != labels.shape or not np.all(losses >= 0):  # NaN fails too
            raise ModelError("each image needs one loss of 0 or more", do="Training diverged? Lower the learning rate.")
        classes = probabilities.shape[1]
        histograms = np.zeros((len(findings(classes)), 2, BINS), np.int64)
        for row, finding in enumerate(findings(classes)):
            bins = bins_of(probabilities[:, finding])
            counted = np.bincount((labels == finding) * BINS + bins, minlength=2 * BINS)
            histograms[row] = counted.reshape(2, BINS)
        predicted = probabilities.argmax(axis=1)
        confusion = np.bincount(labels * classes + predicted, minlength=classes * classes).reshape(classes, classes)
        return cls(
            histograms=histograms,
            confusion=confusion.astype(np.int64),
            loss=int(np.rint(np.minimum(losses, LOSS_LIMIT) / UNIT).astype(np.int64).sum()),
            squared_error=int(np.rint(squared_errors(labels, probabilities) / UNIT).astype(np.int64).sum()),
        )

    def __add__(self, other: ScoreSums) -> ScoreSums:
        """Add the sums over two groups of images.

        Raises:
            MessageError: they are of models with different numbers of classes.
        """
        if self.confusion.shape != other.confusion.shape:
            raise MessageError("sums with different numbers of classes cannot be added")
        return ScoreSums(
            histograms=self.histograms + other.histograms,
            confusion=self.confusion + other.confusion,
            loss=self.loss + other.loss,
            squared_error=self.squared_error + other.squared_error,
        )

    def in_levels(self) -> ScoreSums:
        """Return them with scores counted in few levels (``score_bins.LEVEL_EDGES``); the rest stays exact."""
        return replace(self, histograms=in_levels(self.histograms))

    def to_vector(self) -> NDArray[np.int64]:
        """Return the sums as int64 (vector_length(classes),): what travels in a message."""
        last = np.array([self.loss, self.squared_error], np.int64)
        return np.concatenate([self.histograms.ravel(), self.confusion.ravel(), last])

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64] | NDArray[np.float64], classes: int) -> ScoreSums:
        """Read the sums from a vector of whole numbers, int64 or float64.

        Raises:
            MessageError: wrong length or type, a number that is negative or not whole, or counts that contradict
                one another.
        """
        if vector.shape != (vector_length(classes),):
            raise MessageError(f"sums for {classes} classes are {vector_length(classes)} numbers, not {vector.shape}")
        if vector.dtype not in (np.int64, np.float64):
            raise MessageError(f"sums are int64 or float64, not {vector.dtype}")
        limits = np.full(len(vector), COUNT_LIMIT)
        limits[-2:] = 2.0**62
        if not np.all((vector >= 0) & (vector <= limits)) or (vector.dtype == np.float64 and np.any(vector % 1)):
            raise MessageError("sums are whole numbers of 0 or more")
        whole = vector.astype(np.int64)
        cut = len(findings(classes)) * 2 * BINS
        sums = cls(
            histograms=whole[:cut].reshape(-1, 2, BINS),
            confusion=whole[cut:-2].reshape(classes, classes),
            loss=int(whole[-2]),
            squared_error=int(whole[-1]),
        )
        of_class = sums.confusion.sum(axis=1)[list(findings(classes))]
        if np.any(sums.histograms.sum(axis=2) != np.stack([sums.records - of_class, of_class], axis=1)):
            raise MessageError("the sums contradict one another: histograms and confusion matrix count other images")
        sums._check_sizes()
        return sums

    def _check_sizes(self) -> None:
        """Check that this number of images can have these losses and errors, each rounded to half a unit."""
        error_limit = 1.0 if self.classes == 2 else 2.0  # of one image (``squared_errors``)
        for name, found, limit in (("loss", self.loss, LOSS_LIMIT), ("squared error", self.squared_error, error_limit)):
            most = self.records * int(limit / UNIT) + self.records
            if found > most:
                raise MessageError(
                    f"the {name} of {self.records} images adds up to {found * UNIT:.6g} where it can be at most "
                    f"{self.records * limit:.6g}"
                )

    @property
    def classes(self) -> int:
        """How many classes the model tells apart."""
        return int(self.confusion.shape[0])

    @property
    def records(self) -> int:
        """How many images were summed."""
        return int(self.confusion.sum())

    def mean_loss(self) -> float | None:
        """Return the mean loss of an image in nats; None over no image."""
        return self.loss * UNIT / self.records if self.records else None

    def figures(self, threshold: float | None = None) -> dict[str, float | None]:
        """Return every metric at a threshold (``figures_of``); None where it is not defined."""
        return of_one_row(figures_of(self.to_vector()[None], self.classes, threshold, self.counted()))

    def counted(self) -> NDArray[np.bool_]:
        """Say which classes (classes,) have enough images on either side to count in a mean; if none has, all do.

        Of two classes there is no mean, and both count.
        """
        if self.classes == 2:
            return np.ones(2, np.bool_)
        of_class = self.confusion.sum(axis=1)
        enough: NDArray[np.bool_] = (of_class >= LEAST_RECORDS) & (self.records - of_class >= LEAST_RECORDS)
        return enough if enough.any() else ~enough

    def by_class(self, threshold: float | None) -> tuple[GroupFigures, ...]:
        """Return the figures of each class against the rest at a threshold (``decided``)."""
        decided = self.decided(threshold)
        figures = figures_by_class(decided[None])
        areas = roc_area(self.histograms[None, :, 0], self.histograms[None, :, 1])[0]  # (findings,)
        of_class = decided.sum(axis=1)
        return tuple(
            GroupFigures(
                records=int(of_class[number]),
                rest=int(of_class.sum() - of_class[number]),
                decided=int(decided[:, number].sum()),
                found=int(decided[number, number]),
                figures={"auroc": number_or_none(areas[number if self.classes > 2 else 0])}
                | {name: number_or_none(figures[name][0, number]) for name in ("sensitivity", "specificity", "ppv")},
            )
            for number in range(self.classes)
        )

    def auroc(self) -> float | None:
        """Return the area under the ROC curve, the mean over the classes that occur; None unless two of them do."""
        return self.figures()["auroc"]

    def auroc_margin(self) -> float | None:
        """Return the most by which ``auroc`` can differ from the exact one."""
        rest, found = self.histograms[:, 0].astype(np.float64), self.histograms[:, 1].astype(np.float64)
        pairs = rest.sum(axis=1) * found.sum(axis=1)
        shared = (rest * found).sum(axis=1)
        return mean_defined(np.divide(shared, 2 * pairs, out=np.full(len(pairs), np.nan), where=pairs > 0))

    def decided(self, threshold: float | None) -> NDArray[np.int64]:
        """Count images (classes, classes): rows are true classes, columns those decided at a threshold.

        A threshold is rounded up to the edge of a bin; without one, or of more than two classes, the most probable
        class is decided.
        """
        if threshold is None or self.classes != 2:
            return self.confusion
        decided: NDArray[np.int64] = _decided(self.histograms[None], threshold)[0]
        return decided

    def operating_threshold(self, sensitivity: float) -> float | None:
        """Return the highest edge of a bin at which the finding's sensitivity is reached; two classes only."""
        found = self.histograms[0, 1]
        if self.classes != 2 or not found.sum():
            return None
        reached = np.cumsum(found[::-1])[::-1] >= sensitivity * found.sum() - 1e-9  # (bins,) true, then false
        return float(EDGES[np.flatnonzero(reached)[-1]])


def figures_of(
    vectors: NDArray[np.number], classes: int, threshold: float | None, counted: NDArray[np.bool_] | None = None
) -> dict[str, Floats]:
    """Return every metric (rows,) of vectors of sums (rows, ``vector_length(classes)``); NaN where it is not defined.

    Numbers need not be whole: a resample of patients is the same sums with other weights. AUROC and average precision
    are the means over the classes that occur, and take scores in one bin for ties; the decisions are those at the
    threshold, rounded up to the edge of a bin, or for the most probable class. ``counted`` (classes,): the classes
    of which means are taken (``ScoreSums.counted``), also of resamples in which one of them is rarer; left out: all.
    """
    many = len(findings(classes))
    cut = many * 2 * BINS
    histograms = vectors[:, :cut].reshape(-1, many, 2, BINS)
    confusion = vectors[:, cut:-2].reshape(-1, classes, classes)
    images = confusion.sum(axis=(1, 2))
    used = np.flatnonzero(histograms.any(axis=(0, 1, 2)))  # an empty bin ranks nobody, and most are empty
    rest, found = histograms[:, :, 0, used], histograms[:, :, 1, used]
    decided = confusion if threshold is None or classes != 2 else _decided(histograms, threshold)
    kept = list(range(many)) if counted is None or classes == 2 else np.flatnonzero(counted)
    each = None if counted is None else np.broadcast_to(counted, (len(images), classes))
    return {
        "auroc": mean_over(roc_area(rest, found)[:, kept], axis=1),
        "auprc": mean_over(average_precision(rest, found)[:, kept], axis=1),
        **decisions_of(decided, each),
        "brier": divide(vectors[:, -1] * UNIT, images),
        "calibration_error": calibration_error(histograms, images),
    }


METRICS = ("auroc", "auprc", *DECISION_METRICS, "brier", "calibration_error")


def _decided(histograms: NDArray[Any], threshold: float) -> NDArray[Any]:  # (rows, 1, 2, bins) -> (rows, true, decided)
    edge = edge_of(threshold)
    below, above = histograms[:, 0, :, :edge].sum(axis=2), histograms[:, 0, :, edge:].sum(axis=2)
    return np.stack([below, above], axis=2)


def vector_length(classes: int) -> int:
    """Return the length of the sums for a number of classes."""
    return len(findings(classes)) * 2 * BINS + classes * classes + 2
