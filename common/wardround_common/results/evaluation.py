"""From the scores of a site's test patients to the record of how a model does there."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics import Scores, confusion, measure, reliability
from wardround_common.metrics.ranking import Floats, count_by_score, precision_recall_points, roc_points
from wardround_common.results.site import CURVE_POINTS, Curve, ReliabilityBins, SiteMetrics

DIGITS = 5  # of curve points: finer than a line on paper


def evaluate(
    scores: Scores, threshold: float | None, bootstrap: int, rng: np.random.Generator, *, curves: bool = True
) -> SiteMetrics:
    """Judge a model on one site's test patients.

    ``threshold``: the operating point of two classes, chosen on validation patients (``operating_threshold``); None
    decides for the most probable class. ``bootstrap``: resamples of patients for the intervals, 0 for none; 1000
    take well under a second for 1000 images. ``curves=False`` leaves out what only the figures need, which matters
    for the cross-site matrix of many hospitals.
    """
    drawn = curves and len(scores.labels) > 0
    lines = _curves(scores) if drawn else None
    bins = reliability(scores)
    return SiteMetrics(
        patients=len(np.unique(scores.patients)),
        images=len(scores.labels),
        threshold=threshold if scores.classes == 2 else None,
        metrics=dict(measure(scores, threshold, resamples=bootstrap, rng=rng)),
        confusion=tuple(tuple(int(n) for n in row) for row in confusion(scores, threshold)),
        roc=lines[0] if lines else None,
        precision_recall=lines[1] if lines else None,
        reliability=ReliabilityBins(
            predicted=numbers(bins.predicted), observed=numbers(bins.observed), counts=tuple(map(int, bins.counts))
        )
        if drawn
        else None,
    )


def _curves(scores: Scores) -> tuple[Curve, Curve] | None:
    counted = []
    for finding in scores.findings:
        weights = np.ones((1, len(scores.labels)))
        rest, found = count_by_score(scores.probabilities[:, finding], scores.labels == finding, weights)
        if rest.sum() and found.sum():
            counted.append((rest[0], found[0]))
    return curves_of(counted)


def curves_of(counted: Sequence[tuple[NDArray[np.number], NDArray[np.number]]]) -> tuple[Curve, Curve] | None:
    """Give ROC and precision-recall of (rest, found) by score, as ``ranking`` has them; None of none.

    Of several findings, means at equally spaced x (Fawcett 2006, section 9).
    """
    rocs = [roc_points(rest, found) for rest, found in counted]
    recalls = [precision_recall_points(rest, found) for rest, found in counted]
    if not rocs:
        return None
    if len(rocs) == 1:
        return _thinned(*rocs[0]), _thinned(*recalls[0])
    grid = np.linspace(0, 1, CURVE_POINTS)
    roc = np.mean([np.interp(grid, x, y) for x, y in rocs], axis=0)
    precision = np.mean([np.interp(grid, x, y) for x, y in recalls], axis=0)
    return _thinned(grid, roc), _thinned(grid, precision)


def _thinned(x: Floats, y: Floats) -> Curve:
    """Keep both ends and points evenly spaced along the curve: none strays by more than 1 % of the axes."""
    if len(x) > CURVE_POINTS:
        length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(x)) + np.abs(np.diff(y)))])
        at = np.searchsorted(length, np.linspace(0, length[-1], CURVE_POINTS))
        at[-1] = len(x) - 1
        at = np.unique(at)
        x, y = x[at], y[at]
    return Curve(x=tuple(np.round(x, DIGITS).tolist()), y=tuple(np.round(y, DIGITS).tolist()))


def numbers(values: Floats) -> tuple[float | None, ...]:
    """Round numbers for a record; NaN becomes None."""
    return tuple(None if np.isnan(v) else round(float(v), DIGITS) for v in values)
