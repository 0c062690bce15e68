"""From sums over test patients to the record of how a model does there: one path, simulated or deployed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from wardround_common.metrics.intervals import with_interval
from wardround_common.metrics.patients import PatientSums
from wardround_common.metrics.ranking import Floats
from wardround_common.metrics.sum_intervals import of_fraction
from wardround_common.results.site import Estimate, Point, Recalibrated, SiteMetrics
from wardround_common.tasks.contract import Sums, Task, TaskSection
from wardround_common.tasks.registry import task_of

NO_INTERVAL = "sums over hospitals give no interval"
SAME = "no interval: every resample of the patients gives the same value"
OF_PATIENTS = "Wilson's interval over patients: every resample of them gives the same value"
OF_GAPS = "no interval: a calibration error is above 0 by chance alone, and in resamples more so"
GAPS = "calibration_error"
"""The metric that resamples do not lie around but above; it is one of several tasks."""
SEEN = 0.005
"""A margin of the headline below this is not told: figures have three digits, and are nearer than their margin."""
NO_INTERVAL_IN_NOISE = "no interval: with other noise in the counts it would not always be defined"
DRAWN = 200
"""How often noise is added to sums to see what it does to their figures."""
NORMAL = 1.96
"""Standard deviations within which 95 % of a normal variable lie."""
BLOCK = 256  # patients whose figures are computed at a time


def evaluate(
    section: TaskSection,
    sums: Sums | PatientSums,
    point: Point | None,
    *,
    resamples: int = 0,
    rng: np.random.Generator | None = None,
    detail: bool = True,
    noise: float = 0.0,
) -> SiteMetrics:
    """Judge a model on one group of test patients, by the study's task.

    ``sums``: over all of them, or those of each patient, over whom intervals are drawn: the percentile bootstrap over
    ``resamples`` of the patients, 0 for none. Sums alone have the task's own intervals, which take records for
    independent (``Task.intervals``). ``point``: the operating point that was chosen on validation patients.
    ``detail=False`` leaves out what only the figures need, which matters for the cross-site matrix of many hospitals.
    ``noise``: the standard deviation, in patients, of what hospitals added to each count; intervals hold it too. Such
    counts are of patients, and so is ``images`` of what is returned.

    Raises:
        MessageError: the sums are not those of the task.
    """
    task = task_of(section)
    whole: Sums = task.read(sums.total(), section) if isinstance(sums, PatientSums) else sums
    shown = task.detail(whole, point)
    metrics = dict(_estimates(task, section, sums, whole, point, resamples, rng or np.random.default_rng(0)))
    if not isinstance(sums, PatientSums):
        metrics |= task.intervals(whole, point, metrics)
    if noise:
        counts = task.noised_sums().told(whole).astype(np.float64)
        moved = moved_by_noise(section, counts, point, noise)
        metrics = with_noise(metrics, moved, task.noised_sums().limits)
    patients = whole.records if noise else None
    return SiteMetrics(
        patients=sums.patients if isinstance(sums, PatientSums) else patients,
        images=whole.records,
        threshold=point,
        metrics=metrics,
        confusion=shown.confusion,
        roc=shown.roc if detail else None,
        precision_recall=shown.precision_recall if detail else None,
        reliability=shown.reliability if detail else None,
        by_group=shown.by_group,
        horizons=shown.horizons,
        margin=None if (margin := task.margin(whole)) is None or margin < SEEN else round(margin, 4),
    )


class Moved(NamedTuple):
    """How noise in counts moves a figure: on the mean, and by its standard deviation around that."""

    mean: float
    deviation: float


def moved_by_noise(section: TaskSection, counts: Floats, point: Point | None, noise: float) -> dict[str, Moved]:
    """Add noise to counts of patients (cells,) again and again, and read the figures; those always defined.

    ``noise``: the standard deviation, in patients, of what is added to each count.

    Raises:
        ModelError: the task has no sums with noise.
    """
    task, noised = task_of(section), task_of(section).noised_sums()
    rng, sums = np.random.default_rng(0), noised.settled(counts, section)
    drawn = [noised.settled(counts + rng.normal(0.0, noise, len(counts)), section) for _ in range(DRAWN)]
    rows = np.stack([sums.to_vector(), *(one.to_vector() for one in drawn)])
    return {
        name: Moved(float(of[1:].mean() - of[0]), float(of[1:].std()))
        for name, of in task.values(rows, section, point, sums).items()
        if not np.isnan(of).any()
    }


def with_noise(
    metrics: Mapping[str, Estimate], moved: Mapping[str, Moved], limits: Mapping[str, tuple[float, float]]
) -> dict[str, Estimate]:
    """Widen intervals by what noise in the counts does to their figures, on the side to which its mean moves them too.

    A figure without an interval, or of which noise leaves nothing in some draws, has none. ``limits``: between which
    a figure lies, where that is not 0 and 1.
    """
    found = {}
    for name, one in metrics.items():
        if one.value is None or one.low is None or one.high is None:
            found[name] = one
        elif name not in moved:
            found[name] = Estimate(one.value, reason=NO_INTERVAL_IN_NOISE)
        else:
            mean, deviation = moved[name]
            below, above = one.value - one.low, one.high - one.value
            low = one.value - math.hypot(below, NORMAL * deviation) - max(mean, 0.0)
            high = one.value + math.hypot(above, NORMAL * deviation) - min(mean, 0.0)
            least, most = limits.get(name, (0.0, 1.0))
            found[name] = Estimate(one.value, max(least, low), min(most, high))
    return found


UNMOVED = ("calibration_error", "brier")
"""Metrics of probabilities, which a recalibration is about: no operating point decides on them."""


def recalibrated(section: TaskSection, sums: Sums, fitted: bool | None) -> Recalibrated:
    """Say how calibrated a model is on test patients by sums over recalibrated probabilities."""
    task = task_of(section)
    values = task.values(sums.to_vector()[None], section, None, sums)
    known = {name: float(values[name][0]) for name in UNMOVED}
    return Recalibrated(fitted=fitted, metrics={name: None if np.isnan(one) else one for name, one in known.items()})


def _estimates(
    task: Task[Any, Any],
    section: TaskSection,
    sums: Sums | PatientSums,
    whole: Sums,
    point: Point | None,
    resamples: int,
    rng: np.random.Generator,
) -> Iterator[tuple[str, Estimate]]:
    values = task.values(whole.to_vector()[None], section, point, whole)
    by_patient = isinstance(sums, PatientSums)
    drawn: dict[str, Floats] = {}
    if isinstance(sums, PatientSums) and resamples and sums.patients > 1:
        blocks = [task.values(some, section, point, whole) for some in sums.resampled(resamples, rng)]
        drawn = {name: np.concatenate([block[name] for block in blocks]) for name in values}
    of_each: dict[str, Floats] = {}
    for name, (value,) in values.items():
        if np.isnan(value):
            yield name, Estimate(None, reason=task.undefined(whole, name))
        elif name == GAPS:
            yield name, Estimate(float(value), reason=OF_GAPS)
        elif drawn and isinstance(sums, PatientSums):
            around = with_interval(float(value), drawn[name])
            if around.low is not None and around.low == around.high:
                if name in task.fractions(section) and not of_each:
                    of_each = _of_each_patient(task, section, sums, point, whole)
                around = _without_width(float(value), of_each.get(name) if name in task.fractions(section) else None)
            yield name, around
        else:
            asked = "one patient gives no interval" if resamples else "no interval was asked for"
            yield name, Estimate(float(value), reason=asked if by_patient else NO_INTERVAL)


def _of_each_patient(
    task: Task[Any, Any], section: TaskSection, sums: PatientSums, point: Point | None, whole: Sums
) -> dict[str, Floats]:
    """Return every metric of each patient alone (patients,); NaN where it is not defined."""
    vectors = iter(sums.vectors())
    parts = [
        task.values(np.stack(block), section, point, whole)
        for block in iter(lambda: list(itertools.islice(vectors, BLOCK)), [])
    ]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _without_width(value: float, of_each: Floats | None) -> Estimate:
    """Return a value on which all resamples agree, with an interval if it is a fraction of 0 or 1.

    ``of_each``: what the fraction is of each patient. All of n patients found does not say that all patients are:
    that says Wilson's interval of n in n, with patients counted and not their images, which are not independent.
    """
    counted = 0 if of_each is None else int((~np.isnan(of_each)).sum())
    if not counted or value not in (0.0, 1.0):
        return Estimate(value, reason=SAME)
    return Estimate(value, *of_fraction(round(value) * counted, counted), reason=OF_PATIENTS)
