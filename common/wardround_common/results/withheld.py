"""What each input is worth to a model: it is judged again on the same patients, told that the input is missing.

How much worse the headline is without an input is its benefit to this model, which was trained with all of them: one
that was trained without the input might do better than this one without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError
from wardround_common.metrics.intervals import with_interval
from wardround_common.metrics.patients import PatientSums
from wardround_common.results.site import Point, Withheld
from wardround_common.study.file import Study
from wardround_common.tasks.contract import Sums
from wardround_common.tasks.registry import task_of

Vector = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Without:
    """One input: of how many records it is known, and the task's sums over all of them with it withheld."""

    known: int
    sums: Sums

    def __add__(self, other: Without) -> Without:
        """Add the sums of other hospitals in the same study."""
        return Without(self.known + other.known, self.sums + other.sums)

    def to_vector(self) -> Vector:
        """Return the numbers that a hospital sends: (1 + length of the task's sums,)."""
        return np.concatenate([np.array([self.known]), self.sums.to_vector()])


def numbers(study: Study) -> int:
    """Return how many numbers a hospital sends of withheld inputs."""
    if not study.evaluation.withheld:
        return 0
    return len(study.data.told) * (1 + task_of(study.task).length(study.task))


def nothing(study: Study) -> tuple[Without, ...]:
    """Return the sums over no patient."""
    task = task_of(study.task)
    return tuple(Without(0, task.empty(study.task)) for _ in (study.data.told if study.evaluation.withheld else ()))


def read_withheld(vector: NDArray[Any], study: Study, records: int) -> tuple[Without, ...]:
    """Read what hospitals added up of withheld inputs; ``records``: of how many they added up the rest.

    Raises:
        MessageError: these are no such sums, they contradict the others, or an input is known of fewer records than any
            whose sums a hospital may send.
    """
    task = task_of(study.task)
    one, least = 1 + task.length(study.task), study.evaluation.smallest_subgroup
    found = []
    for place in range(0, len(vector), one):
        known, sums = float(vector[place]), task.read(vector[place + 1 : place + one], study.task)
        if sums.records != records or known % 1 or not 0 <= known <= records:
            raise MessageError("the sums contradict one another: an input was withheld of other records than counted")
        if 0 < known < least:
            raise MessageError(f"an input is known of fewer records than the {least} that the study states")
        found.append(Without(int(known), sums))
    return tuple(found)


def figures_of_withheld(
    study: Study,
    whole: Sums | PatientSums,
    without: Sequence[tuple[int, Sums | PatientSums]],
    point: Point | None,
    *,
    resamples: int = 0,
) -> tuple[Withheld, ...]:
    """Say what each input is worth, in the study's order of inputs.

    Args:
        study: whose inputs and task they are.
        whole: the sums with all inputs.
        without: of how many records each input is known, and the sums with it withheld.
        point: the operating point.
        resamples: of patients, for an interval of the difference, where the sums are those of each patient.
    """
    all_sums = _whole(study, whole)
    value = _headline(study, all_sums, all_sums.to_vector()[None], point)[0]
    found = []
    for name, (known, sums) in zip(study.data.told, without, strict=True):
        one = _whole(study, sums)
        left = _headline(study, one, one.to_vector()[None], point)[0]
        gain = float(_goodness(study, np.array([value]))[0] - _goodness(study, np.array([left]))[0])
        low = high = None
        if isinstance(whole, PatientSums) and isinstance(sums, PatientSums) and resamples and whole.patients > 1:
            drawn = _differences(study, whole, sums, point, resamples)
            if not np.isnan(gain):
                interval = with_interval(gain, drawn)
                low, high = interval.low, interval.high
        found.append(
            Withheld(
                name=name,
                known=known,
                records=all_sums.records,
                value=None if np.isnan(left) else float(left),
                gain=None if np.isnan(gain) else gain,
                low=low,
                high=high,
            )
        )
    return tuple(found)


def _whole(study: Study, sums: Sums | PatientSums) -> Sums:
    return task_of(study.task).read(sums.total(), study.task) if isinstance(sums, PatientSums) else sums


def _headline(study: Study, whole: Sums, vectors: NDArray[Any], point: Point | None) -> NDArray[np.float64]:
    task = task_of(study.task)
    values: NDArray[np.float64] = task.values(vectors, study.task, point, whole)[task.first.name]
    return values


def _differences(
    study: Study, whole: PatientSums, without: PatientSums, point: Point | None, resamples: int
) -> NDArray[np.float64]:
    """Draw patients with replacement, the same with and without the input: (resamples,) differences."""
    pairs = (np.concatenate(pair) for pair in zip(whole.vectors(), without.vectors(), strict=True))
    both = PatientSums.of(pairs, 2 * whole.length)
    rng, parts = np.random.default_rng(study.model.seed), []
    with_all, with_less = _whole(study, whole), _whole(study, without)
    for some in both.resampled(resamples, rng):
        ours = _headline(study, with_all, some[:, : whole.length], point)
        less = _headline(study, with_less, some[:, whole.length :], point)
        parts.append(_goodness(study, ours) - _goodness(study, less))
    return np.concatenate(parts)


def _goodness(study: Study, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return numbers that are higher the better the headline is."""
    better = task_of(study.task).first.better
    return values if better == "higher" else -np.abs(values) if better == "nearer 0" else -values
