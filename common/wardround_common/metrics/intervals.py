"""Every metric of a group of patients, with an interval that treats the patient as the unit."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from wardround_common.metrics.calibration import calibration_gaps, squared_errors, weighted_calibration_error
from wardround_common.metrics.decisions import DECISION_METRICS, weighted_decisions
from wardround_common.metrics.ranking import Floats, average_precision, count_by_score, divide, roc_area
from wardround_common.metrics.scores import Scores

METRICS = ("auroc", "auprc", *DECISION_METRICS, "brier", "calibration_error")
LEVEL = 0.95  # of every interval
BLOCK = 4_000_000  # weights of resamples held at a time: 32 MB
DEFINED = 0.95  # an interval needs a metric that is defined in so many of the resamples


@dataclass(frozen=True, config=ConfigDict(strict=True, extra="forbid", allow_inf_nan=False))
class Estimate:
    """A metric's value and its 95 % interval; what is None is so for ``reason``."""

    value: float | None
    low: float | None = None
    high: float | None = None
    reason: str = ""


def measure(
    scores: Scores, threshold: float | None, *, resamples: int = 1000, rng: np.random.Generator
) -> dict[str, Estimate]:
    """Give each of ``METRICS`` with its percentile bootstrap interval over patients; none with ``resamples=0``.

    Patients are drawn with replacement and bring all their images, since the images of one patient are not
    independent (Efron and Tibshirani 1993, An Introduction to the Bootstrap, sections 8 and 13). ``threshold`` as in
    ``decide``. The interval does not hold the uncertainty of the training or of the threshold, is too short for a
    handful of patients, and has no width where every resample agrees (an AUROC of 1). That of the calibration error
    lies high, since resampling adds to the gaps in its bins.
    """
    whole = _weighted(scores, threshold, np.ones((1, len(scores.labels))))
    values = {name: float(column[0]) for name, column in whole.items()}
    patients = len(np.unique(scores.patients))
    drawn = [_weighted(scores, threshold, w) for w in _resampled(scores, resamples, rng)] if patients > 1 else []
    estimates = {}
    for name, value in values.items():
        if np.isnan(value):
            estimates[name] = Estimate(None, reason=_why_undefined(scores, name))
        elif not resamples:
            estimates[name] = Estimate(value, reason="no interval was asked for")
        elif patients < 2:
            estimates[name] = Estimate(value, reason="one patient gives no interval")
        else:
            estimates[name] = _with_interval(value, np.concatenate([block[name] for block in drawn]))
    return estimates


def _weighted(scores: Scores, threshold: float | None, weights: Floats) -> dict[str, Floats]:
    areas = []
    for finding in scores.findings:
        counts = count_by_score(scores.probabilities[:, finding], scores.labels == finding, weights)
        areas.append((roc_area(*counts), average_precision(*counts)))
    auroc, auprc = (_mean_defined(np.stack(column)) for column in zip(*areas, strict=True))
    return {
        "auroc": auroc,
        "auprc": auprc,
        **weighted_decisions(scores, threshold, weights),
        "brier": divide(weights @ squared_errors(scores.labels, scores.probabilities), weights.sum(axis=1)),
        "calibration_error": weighted_calibration_error(calibration_gaps(scores), weights),
    }


def _mean_defined(values: Floats) -> Floats:  # (findings, resamples) -> (resamples,)
    defined = ~np.isnan(values)
    return divide(np.where(defined, values, 0.0).sum(axis=0), defined.sum(axis=0))


def _resampled(scores: Scores, resamples: int, rng: np.random.Generator) -> Iterator[Floats]:
    """Yield weights (some resamples, images): how often each image's patient was drawn."""
    _, of_image = np.unique(scores.patients, return_inverse=True)
    patients = int(of_image.max()) + 1
    step = max(BLOCK // max(len(of_image), patients), 1)
    for start in range(0, resamples, step):
        rows = min(step, resamples - start)
        drawn = rng.integers(0, patients, (rows, patients)) + np.arange(rows)[:, None] * patients
        times = np.bincount(drawn.ravel(), minlength=rows * patients).reshape(rows, patients)
        yield times[:, of_image].astype(np.float64)


def _with_interval(value: float, drawn: Floats) -> Estimate:
    defined = drawn[~np.isnan(drawn)]
    if len(defined) < DEFINED * len(drawn):
        return Estimate(value, reason="too few patients of a class for an interval")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def _why_undefined(scores: Scores, name: str) -> str:
    if not len(scores.labels):
        return "no patients"
    if len(np.unique(scores.labels)) < 2 and name not in ("ppv", "npv"):
        return "all images are of one class"
    return "the model decides the same for every image"
