"""Intervals of figures over patients, from one row a patient: drawn where the patients' values are, never beyond."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from wardround_common.metrics.bins import Floats
from wardround_common.metrics.intervals import DEFINED, LEVEL
from wardround_common.metrics.shapes import Estimate


def mean_of_defined(values: Floats) -> Floats:
    """Return the mean of what is a number over the patients (…, patients), the last axis; NaN of nothing."""
    there = ~np.isnan(values)
    count = there.sum(axis=-1)
    total = np.where(there, values, 0.0).sum(axis=-1)
    mean: Floats = np.divide(total, count, out=np.full(np.shape(total), np.nan), where=count > 0)
    return mean


def median_of_defined(values: Floats) -> Floats:
    """Return the median of what is a number over the patients (…, patients), the last axis; NaN of nothing."""
    ordered = np.sort(values, axis=-1)  # what is not a number comes last
    count = (~np.isnan(values)).sum(axis=-1)
    low, high = (np.take_along_axis(ordered, np.maximum(at, 0)[..., None], -1)[..., 0] for at in _middle(count))
    return np.where(count > 0, (low + high) / 2, np.nan)


def estimate(
    values: Floats,
    *,
    resamples: int = 1000,
    rng: np.random.Generator,
    figure: Callable[[Floats], Floats] = mean_of_defined,
) -> Estimate:
    """Estimate a figure over patients with its 95 % percentile bootstrap interval.

    ``values`` float64 (patients,), NaN for a patient for whom the value is not defined: such patients are drawn too, so
    that the interval holds the uncertainty of how many there are. ``figure`` maps (resamples, patients) to
    (resamples,).
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, section 13. It is too short for a handful of patients,
    and does not hold the uncertainty of the training.
    """
    value = float(figure(values[None])[0]) if len(values) else np.nan
    if np.isnan(value):
        return Estimate(None, reason="it is not defined for any of these patients" if len(values) else "no patients")
    if not resamples:
        return Estimate(value, reason="no interval was asked for")
    if len(values) < 2:
        return Estimate(value, reason="one patient gives no interval")
    drawn = figure(values[rng.integers(0, len(values), (resamples, len(values)))])
    defined = drawn[~np.isnan(drawn)]
    if len(defined) < DEFINED * resamples:
        return Estimate(value, reason="it is defined for too few patients for an interval")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))


def _middle(count: Floats) -> tuple[Floats, Floats]:
    return (count - 1) // 2, count // 2
