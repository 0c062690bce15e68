"""Intervals of a detector's figures, from the sums that hospitals add up.

They take lesions and boxes beside them for independent. Of a class, how confidently each lesion was found, or that it
was not, is all that a resample of lesions needs; how many boxes beside them there are at each confidence is Poisson's.
A box that overlaps a lesion too little for an IoU of 0.5 is drawn with its lesion: where there are more of the one
there are fewer of the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.boxes import AT_FALSE_POSITIVES, BINS, BoxSums, edge_of, figures_of
from wardround_common.metrics.ranking import Floats
from wardround_common.metrics.shapes import Estimate
from wardround_common.metrics.sum_intervals import (
    AT_MOST,
    OF_SPREAD,
    Limits,
    drawn,
    means_of,
    of_fraction,
    of_resamples,
    with_intervals,
)

_AT_A_TENTH = ("ap_iou10", "froc", *AT_FALSE_POSITIVES, "false_positives")


def intervals_of(sums: BoxSums, point: float | None, metrics: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Return the metrics at an operating point that have a value and an interval.

    Of several classes the means over classes, as wide as if the same images were wrong in all.
    """
    kept = np.flatnonzero(sums.counted()).tolist()
    edge = 0 if point is None else edge_of(point)
    if sums.classes > 1:
        each = [_of_class(sums, number, point) | {"sensitivity": _found(sums, number, edge)} for number in kept]
        return means_of({name: one for name, one in metrics.items() if name != "false_positives"}, each, AT_MOST)
    made, right = (int(one[:, edge:].sum()) for one in (sums.drawn, sums.overlapping))
    fractions = {
        "sensitivity": _found(sums, 0, edge) if kept else None,
        "precision": of_fraction(right, made) if made else None,
    }
    spread = with_intervals(metrics, _of_class(sums, 0, point), OF_SPREAD) if kept else {}
    return spread | with_intervals(metrics, fractions)


def _found(sums: BoxSums, number: int, edge: int) -> Limits:
    """Return the interval of the fraction of the lesions of a class, of which there are some, that is found."""
    return of_fraction(int(sums.overlapping[number, edge:].sum()), int(sums.lesions[number]))


def _of_class(sums: BoxSums, number: int, point: float | None) -> dict[str, Limits | None]:
    boxes, overlapping, close = sums.drawn[number], sums.overlapping[number], sums.close[number]
    lesions = int(sums.lesions[number])
    # Those that are found otherwise at either overlap may count twice; the most confident stay.
    loose = np.maximum(overlapping - close, 0)[::-1].cumsum().clip(max=lesions - close.sum())
    loose = np.diff(loose, prepend=0)[::-1]
    found: dict[str, Limits | None] = {}
    for hits, near, names in ((overlapping, 0 * loose, _AT_A_TENTH), (close, loose, ("ap_iou50",))):
        kinds = np.concatenate([hits, near, [lesions - hits.sum() - near.sum()]])
        found |= of_resamples(_resampled(sums.images, kinds, boxes - hits - near, point, names))
    return found


def _resampled(
    images: int, kinds: NDArray[np.int64], wrong: NDArray[np.int64], point: float | None, names: Sequence[str]
) -> Iterator[dict[str, Floats]]:
    """Yield figures of resamples.

    ``kinds`` (2 bins + 1,): the lesions that were found, those whose box does not fit, and those without one; ``wrong``
    (bins,): boxes beside lesions.
    """
    rng, only = np.random.default_rng(1), np.ones(1, np.bool_)
    first = [float(images), 0.0, float(kinds.sum())]
    for some in drawn(kinds):
        right, near = some[:, :BINS], some[:, BINS:-1]
        made = right + near + rng.poisson(wrong, right.shape)
        vectors = np.concatenate([np.tile(first, (len(some), 1)), made, right, right], axis=1)
        values = figures_of(vectors, 1, point, only)
        yield {name: values[name] for name in names}
