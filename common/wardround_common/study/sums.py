"""What a study says about its secure sums, as the numbers that ``secagg`` takes, which knows no study."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.noised import counts_of
from wardround_common.metrics.patients import PatientSums
from wardround_common.metrics.score_bins import LEVEL_EDGES, NOISED_EDGES, level_edge
from wardround_common.metrics.shapes import Point
from wardround_common.secagg.encoding import Encoding
from wardround_common.secagg.thresholds import threshold_of
from wardround_common.study.aggregation import Aggregation
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd
from wardround_common.tasks.contract import Sums
from wardround_common.tasks.registry import task_of


def threshold_for(study: Study, hospitals: int) -> int:
    """Return how many of a number of hospitals must open a sum of the study, with the colluders that it states.

    Raises:
        RoundError: the study does not allow a sum over this number of hospitals.
    """
    colluders, _ = margins_for(study)
    aggregation = study.aggregation
    return threshold_of(hospitals, least=aggregation.min_hospitals, stated=aggregation.threshold, colluders=colluders)


def margins_for(study: Study) -> tuple[int, int]:
    """Return how many hospitals may collude and how many may drop out, as a study states it; 0 if it does not."""
    privacy = study.privacy
    return (privacy.colluders, privacy.dropouts) if isinstance(privacy, DistributedDpSgd) else (0, 0)


def encoding_for(aggregation: Aggregation, hospitals: int) -> Encoding:
    """Return the encoding of a study's updates for a sum over a number of hospitals.

    Raises:
        RoundError: the ring that the study names cannot hold such a sum.
    """
    return Encoding(hospitals, aggregation.bits, aggregation.clip, aggregation.heaviest)


def in_levels(study: Study, sums: Any) -> Any:
    """Return a task's sums as a hospital tells them: with scores counted in few levels, if the study asks for it."""
    coarser = task_of(study.task).in_levels
    return coarser(sums) if study.evaluation.levels and coarser else sums


def counts_before_noise(study: Study, by_patient: PatientSums) -> NDArray[np.int64]:
    """Count patients as they are before they get noise, (cells,) in :data:`noised.ONE`: each is one.

    Raises:
        ModelError: the task's sums get no noise.
    """
    task, noised = task_of(study.task), task_of(study.task).noised_sums()
    total = np.zeros(noised.cells(study.task), np.int64)
    for vector in by_patient.vectors():
        sums = task.read(vector, study.task)
        total += counts_of(noised.told(sums), noised.counted(sums))
    return total


def point_of(study: Study, validation: Sums) -> Point | None:
    """Return the operating point that sums over validation patients give; None where they or the task give none.

    Of scores in levels it is where a level begins, so that images are decided as they were counted.
    """
    point = task_of(study.task).point(validation, study.evaluation.sensitivity)
    if not (study.evaluation.levels or study.noised) or point is None:
        return point
    edges = NOISED_EDGES if study.noised else LEVEL_EDGES
    if isinstance(point, float):
        return level_edge(point, edges)
    return tuple(None if one is None else level_edge(one, edges) for one in point)


def clip_claim(study: Study) -> bytes:
    """Return the claim that each hospital of a study signs, as a sentence."""
    if isinstance(study.privacy, DistributedDpSgd):
        return f"each patient's gradient was clipped to an L2 norm of {study.privacy.clip_norm!r}".encode()
    aggregation = study.aggregation
    return (
        f"each number of the update was clipped to {aggregation.clip!r}, and it weighs at most {aggregation.heaviest}"
    ).encode()
