"""How well boxes find lesions, from numbers that can be added over hospitals: AP, FROC, sensitivity at a threshold.

A box that a model draws is *confident* by its log-odds, and a lesion is found by one box at most: in each image the
boxes of a class, the most confident first, take the lesion that they overlap most among those not yet taken, if the
overlap (intersection over union, IoU) is enough. What takes no lesion is a false positive. So do COCO (Lin et al.,
ECCV 2014) and MONAI.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError, ModelError
from wardround_common.metrics.defined import mean_over, of_one_row
from wardround_common.metrics.ranking import Floats, divide
from wardround_common.metrics.shapes import LEAST_RECORDS, GroupFigures
from wardround_common.metrics.sums import COUNT_LIMIT, LOSS_LIMIT, UNIT

BINS = 512
LOWEST, PER_NAT = -6.0, 32
"""Log-odds from -6 (a confidence of 0.0025) in bins of 1/32; a less confident box is none, what is above the last bin
is counted in it."""
MOST_BOXES = 50
"""Of an image, the most confident ones; and the most lesions that an image may have."""
OVERLAPS = (0.1, 0.5)
"""IoU from which a box finds a lesion: 'it is there', and 'it is outlined well'."""
FALSE_POSITIVES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives an image at which FROC is read (LUNA16: Setio et al., Medical Image Analysis 42, 2017)."""
AT_FALSE_POSITIVES = (
    "sensitivity_eighth_fp",
    "sensitivity_quarter_fp",
    "sensitivity_half_fp",
    "sensitivity_1fp",
    "sensitivity_2fp",
    "sensitivity_4fp",
    "sensitivity_8fp",
)
_RECALLS = 101  # COCO reads precision at recalls of 0, 0.01, … 1


def bins_of(log_odds: NDArray[np.floating[Any]]) -> NDArray[np.int64]:
    """Return the bins in which boxes with these log-odds, of -6 or more, are counted."""
    return np.clip(np.floor((log_odds.astype(np.float64) - LOWEST) * PER_NAT), 0, BINS - 1).astype(np.int64)


def confidence_of(edge: int) -> float:
    """Return the confidence at which a bin begins."""
    return 1 / (1 + math.exp(-(LOWEST + edge / PER_NAT)))


def edge_of(confidence: float) -> int:
    """Return the bin that begins at a confidence, or the nearest to it; the bin after the last for 1."""
    inside = min(max(confidence, 1e-9), 1 - 1e-9)
    return min(max(round((math.log(inside / (1 - inside)) - LOWEST) * PER_NAT), 0), BINS)


@dataclass(frozen=True, slots=True, eq=False)
class BoxSums:
    """Sums over images that give the figures of a detector without any one image's boxes; integers, so exact.

    ``lesions`` int64 (classes,). ``drawn``, ``overlapping`` and ``close`` int64 (classes, 512): how many boxes were
    drawn by their log-odds, and how many of them found a lesion at an IoU of 0.1 and of 0.5. ``loss``: in units of
    2^-20.

    The boxes of a bin are as if drawn at once. Nothing else is lost: a figure at a threshold that is a bin's edge is
    exact, and AP and FROC are those of confidences rounded down to 1/32 of log-odds.
    """

    images: int
    loss: int
    lesions: NDArray[np.int64]
    drawn: NDArray[np.int64]
    overlapping: NDArray[np.int64]
    close: NDArray[np.int64]

    @classmethod
    def empty(cls, classes: int) -> BoxSums:
        """Return the sums over no image."""
        return cls(0, 0, np.zeros(classes, np.int64), *(np.zeros((classes, BINS), np.int64) for _ in range(3)))

    @classmethod
    def of(
        cls,
        losses: Floats,
        lesions: NDArray[np.int64],
        log_odds: NDArray[np.floating[Any]],
        of_class: NDArray[np.int64],
        finds: NDArray[np.bool_],
    ) -> BoxSums:
        """Sum up images with losses (images,) and lesions (classes,), and all their boxes.

        ``log_odds`` and ``of_class`` (boxes,); ``finds`` (boxes, 2): whether each found a lesion at each overlap.

        Raises:
            ModelError: a loss or the log-odds are not finite numbers (the training diverged).
        """
        if not np.all(losses >= 0) or not np.isfinite(log_odds).all():  # NaN fails too
            raise ModelError("each image needs one loss of 0 or more", do="Training diverged? Lower the learning rate.")
        classes, places = len(lesions), of_class * BINS + bins_of(log_odds)

        def counted(which: NDArray[np.bool_]) -> NDArray[np.int64]:
            return np.bincount(places[which], minlength=classes * BINS).reshape(classes, BINS).astype(np.int64)

        loss = int(np.rint(np.minimum(losses, LOSS_LIMIT) / UNIT).astype(np.int64).sum())
        every = np.ones(len(places), np.bool_)
        return cls(len(losses), loss, lesions, counted(every), counted(finds[:, 0]), counted(finds[:, 1]))

    @property
    def records(self) -> int:
        """How many images were summed."""
        return self.images

    @property
    def classes(self) -> int:
        """How many classes of lesions there are."""
        return len(self.lesions)

    def __add__(self, other: BoxSums) -> BoxSums:
        """Add the sums over two groups of images.

        Raises:
            MessageError: they are of models with different numbers of classes.
        """
        if self.classes != other.classes:
            raise MessageError("sums with different numbers of classes cannot be added")
        return BoxSums(
            self.images + other.images,
            self.loss + other.loss,
            self.lesions + other.lesions,
            self.drawn + other.drawn,
            self.overlapping + other.overlapping,
            self.close + other.close,
        )

    def to_vector(self) -> NDArray[np.int64]:
        """Return the sums as int64 (vector_length(classes),): what travels in a message."""
        first = np.array([self.images, self.loss], np.int64)
        return np.concatenate([first, self.lesions, *(each.ravel() for each in self._histograms())])

    def _histograms(self) -> tuple[NDArray[np.int64], ...]:
        return self.drawn, self.overlapping, self.close

    @classmethod
    def from_vector(cls, vector: NDArray[np.int64] | NDArray[np.float64], classes: int) -> BoxSums:
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
        limits[1] = 2.0**62
        if not np.all((vector >= 0) & (vector <= limits)) or (vector.dtype == np.float64 and np.any(vector % 1)):
            raise MessageError("sums are whole numbers of 0 or more")
        whole = vector.astype(np.int64)
        histograms = whole[2 + classes :].reshape(3, classes, BINS)
        sums = cls(int(whole[0]), int(whole[1]), whole[2 : 2 + classes], *histograms)
        most = sums.images * MOST_BOXES
        for hits in (sums.overlapping, sums.close):
            if np.any(hits > sums.drawn) or np.any(hits.sum(axis=1) > sums.lesions):
                raise MessageError("the sums contradict one another: more lesions were found than there are, or boxes")
        if sums.drawn.sum() > most or sums.lesions.sum() > most:
            raise MessageError(f"{sums.images} images have at most {most} boxes and lesions")
        if sums.loss > sums.images * (int(LOSS_LIMIT / UNIT) + 1):
            raise MessageError(f"the losses of {sums.images} images add up to more than they can")
        return sums

    def mean_loss(self) -> float | None:
        """Return the mean loss of an image; None over no image."""
        return self.loss * UNIT / self.images if self.images else None

    def counted(self) -> NDArray[np.bool_]:
        """Return of which classes means are taken: of those with 5 lesions or more, or of all with any if none has."""
        enough = self.lesions >= LEAST_RECORDS
        return enough if enough.any() else self.lesions > 0

    def threshold(self, false_positives: float = 1.0) -> float | None:
        """Return the lowest confidence at which there are no more false positives an image, of all classes together.

        It is the edge of a bin, so that what is decided here is decided alike of new images. None over no image.
        """
        if not self.images:
            return None
        wrong = np.cumsum((self.drawn - self.overlapping).sum(axis=0)[::-1])[::-1]  # (bins,) at or above each edge
        fit = np.flatnonzero(wrong <= false_positives * self.images)
        return confidence_of(int(fit[0]) if len(fit) else BINS)

    def figures(self, point: float | None) -> dict[str, float | None]:
        """Return every metric by its name; None where it is undefined."""
        return of_one_row(figures_of(self.to_vector()[None], self.classes, point, self.counted()))

    def by_class(self, point: float | None) -> tuple[GroupFigures, ...]:
        """Return how the model does on each class: lesions, boxes at the operating point, and lesions found."""
        edge = 0 if point is None else edge_of(point)
        each = []
        for number in range(self.classes):
            only = np.arange(self.classes) == number
            values = figures_of(self.to_vector()[None], self.classes, point, only)
            told = {
                name: None if np.isnan(v := values[name][0]) else float(v)
                for name in ("ap_iou10", "ap_iou50", "froc", "sensitivity_1fp")
            }
            drawn, found = (int(one[number, edge:].sum()) for one in (self.drawn, self.overlapping))
            each.append(
                GroupFigures(records=int(self.lesions[number]), rest=None, decided=drawn, found=found, figures=told)
            )
        return tuple(each)


def figures_of(
    vectors: NDArray[np.number], classes: int, point: float | None, counted: NDArray[np.bool_]
) -> dict[str, Floats]:
    """Return every metric (rows,) of vectors of sums (rows, n), NaN where it is undefined.

    ``counted`` (classes,): the classes of which means are taken, also of resamples in which one of them is rarer.
    Without an operating point every box is decided for.
    """
    rows = len(vectors)
    images, lesions = vectors[:, 0].astype(np.float64), vectors[:, 2 : 2 + classes].astype(np.float64)
    drawn, overlapping, close = np.moveaxis(
        vectors[:, 2 + classes :].reshape(rows, 3, classes, BINS).astype(np.float64), 1, 0
    )  # each (rows, classes, bins)
    kept = np.flatnonzero(counted)
    edge = 0 if point is None else edge_of(point)
    decided, right = drawn[..., edge:].sum(axis=2), overlapping[..., edge:].sum(axis=2)  # (rows, classes)
    used = np.flatnonzero(drawn.any(axis=(0, 1)))[::-1]  # from the most confident; an empty bin has no threshold
    drawn, overlapping, close = (one[:, kept][..., used].cumsum(axis=2) for one in (drawn, overlapping, close))
    there = lesions[:, kept]
    read = _froc(drawn - overlapping, overlapping, there, images)  # (rows, kept, 7)
    at = {name: mean_over(read[..., number], axis=1) for number, name in enumerate(AT_FALSE_POSITIVES)}
    return {
        "ap_iou10": mean_over(_average_precision(drawn, overlapping, there), axis=1),
        "ap_iou50": mean_over(_average_precision(drawn, close, there), axis=1),
        "froc": mean_over(read.mean(axis=2), axis=1),
        **at,
        "sensitivity": mean_over(divide(right[:, kept], there), axis=1),
        "false_positives": divide((decided - right).sum(axis=1), images),
        "precision": divide(right.sum(axis=1), decided.sum(axis=1)),
    }


def _average_precision(drawn: Floats, found: Floats, lesions: Floats) -> Floats:
    """Return COCO's average precision (...,), from counts at or above each threshold (..., thresholds), falling.

    The mean, over 101 recalls, of the highest precision at which that recall or a higher one is reached, 0 where none
    is. NaN where there is no lesion.
    """
    precision = divide(found, drawn, empty=0.0)
    highest = np.maximum.accumulate(precision[..., ::-1], axis=-1)[..., ::-1]
    recall = divide(found, lesions[..., None])
    met = np.where(drawn > 0, np.floor(recall * (_RECALLS - 1) + 1e-9) + 1, 0)  # of the 101, how many are reached
    newly = np.diff(met, axis=-1, prepend=0.0)
    area: Floats = np.where(lesions > 0, (newly * highest).sum(axis=-1) / _RECALLS, np.nan)
    return area


def _froc(wrong: Floats, found: Floats, lesions: Floats, images: Floats) -> Floats:
    """Return the sensitivity at each of ``FALSE_POSITIVES`` (rows, classes, 7), between two thresholds on their line.

    Arguments as in ``_average_precision``; ``images`` (rows,).
    """
    read = np.full((*lesions.shape, len(FALSE_POSITIVES)), np.nan)
    for row, number in zip(*np.nonzero((lesions > 0) & (images[:, None] > 0)), strict=True):
        x = np.concatenate([[0.0], wrong[row, number] / images[row]])
        y = np.concatenate([[0.0], found[row, number] / lesions[row, number]])
        read[row, number] = np.interp(FALSE_POSITIVES, x, y)
    return read


def vector_length(classes: int) -> int:
    """Return the length of the sums for a number of classes."""
    return 2 + classes + 3 * classes * BINS
