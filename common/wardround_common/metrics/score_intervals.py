"""Intervals of a classification's figures, from the sums that hospitals add up.

Of two classes the counts by score and class are all that a resample of images needs. Of more, the counts by true and
decided class are known together, and the scores of each class against the rest by themselves.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.decisions import decisions_of
from wardround_common.metrics.ranking import Floats, average_precision, divide
from wardround_common.metrics.score_bins import MIDDLES, edge_of
from wardround_common.metrics.shapes import Estimate
from wardround_common.metrics.sum_intervals import (
    AT_MOST,
    OF_SPREAD,
    drawn,
    of_area,
    of_fraction,
    of_resamples,
    of_several,
    with_intervals,
)
from wardround_common.metrics.sums import UNIT, ScoreSums


def intervals_of(sums: ScoreSums, point: float | None, metrics: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Return the metrics at an operating point that have a value and an interval.

    A calibration error has none: resampling adds to the gaps in its bins, so that what is drawn lies above the value.
    """
    if not sums.records:
        return {}
    found = _of_two(sums, point, metrics) if sums.classes == 2 else _of_more(sums, metrics)
    pair = (int(sums.decided(point).trace()), sums.records)
    return found | with_intervals(metrics, {"accuracy": of_fraction(*pair)} if "accuracy" in metrics else {})


def _of_two(sums: ScoreSums, point: float | None, metrics: Mapping[str, Estimate]) -> dict[str, Estimate]:
    ((true_rest, false_found), (missed, found)) = sums.decided(point).tolist()
    counted = {
        "sensitivity": (found, found + missed),
        "specificity": (true_rest, true_rest + false_found),
        "ppv": (found, found + false_found),
        "npv": (true_rest, true_rest + missed),
    }
    fractions = {name: of_fraction(*pair) if pair[1] else None for name, pair in counted.items()}
    area = of_area(sums.histograms[0, 0], sums.histograms[0, 1])
    errors = sums.squared_error * UNIT
    resampled = of_resamples(_drawn(sums.histograms[0], errors, 0.5 if point is None else point))
    return with_intervals(metrics, {"auroc": area, **fractions}) | with_intervals(metrics, resampled, OF_SPREAD)


def _of_more(sums: ScoreSums, metrics: Mapping[str, Estimate]) -> dict[str, Estimate]:
    counted = sums.counted()
    resampled = of_resamples(_decided(some, counted) for some in drawn(sums.confusion.ravel()))
    errors = np.array([float((_errors(each) * each).sum()) for each in sums.histograms])  # of scores in mid-bin
    exact = errors * divide(np.array(sums.squared_error * UNIT), errors.sum(), empty=0.0)
    by_class = [
        {"auroc": of_area(histogram[0], histogram[1])} | of_resamples(_drawn(histogram, error, None))
        for histogram, error in zip(sums.histograms, exact.tolist(), strict=True)
    ]
    kept = np.flatnonzero(counted).tolist()
    widest = {
        name: of_several([by_class[each].get(name) for each in kept], 1 / len(kept)) for name in ("auroc", "auprc")
    }
    widest["brier"] = of_several([one.get("brier") for one in by_class], 1.0)
    return with_intervals(metrics, resampled, OF_SPREAD) | with_intervals(metrics, widest, AT_MOST)


def _decided(some: Floats, counted: NDArray[np.bool_]) -> dict[str, Floats]:
    classes = len(counted)
    found = decisions_of(some.reshape(-1, classes, classes), np.broadcast_to(counted, (len(some), classes)))
    return {name: values for name, values in found.items() if name != "accuracy"}


def _drawn(histogram: NDArray[np.int64], error: float, point: float | None) -> Iterator[dict[str, Floats]]:
    """Yield figures of resamples of images, from counts (2, bins) of the rest and of the finding by score.

    ``error``: the sum of their squared errors, to which those of scores in the middle of their bins are scaled.
    """
    used = np.flatnonzero(histogram.any(axis=0))
    counts, edge = histogram[:, used], 0 if point is None else int(np.searchsorted(used, edge_of(point)))
    errors = _errors(histogram)[:, used]
    scale = float(divide(np.array(error), (errors * counts).sum(), empty=0.0))
    for some in drawn(counts.ravel()):
        rest, found = some.reshape(-1, 2, len(used)).transpose(1, 0, 2)
        figures = {
            "auprc": average_precision(rest, found),
            "brier": some @ (errors * scale).ravel() / counts.sum(),
        }
        if point is not None:
            sides = [np.stack([one[:, :edge].sum(axis=1), one[:, edge:].sum(axis=1)], axis=1) for one in (rest, found)]
            decided = decisions_of(np.stack(sides, axis=1))
            figures |= {name: decided[name] for name in ("f1", "balanced_accuracy")}
        yield figures


def _errors(histogram: NDArray[np.int64]) -> Floats:
    """Return the squared error of a score in the middle of its bin (2, bins), of the rest and of the finding."""
    return np.stack([MIDDLES**2, (1 - MIDDLES) ** 2])
