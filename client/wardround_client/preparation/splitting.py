"""Who trains, who chooses and who tests: patients are split, never images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study

LEAST_PATIENTS = 3  # one to train on, one to choose the operating point, one to test on


def split_patients(
    patients: NDArray[np.int64],
    strata: NDArray[np.int64],
    study: Study,
    joined: NDArray[np.int64] | None = None,
) -> NDArray[np.int8] | None:
    """Put each patient into training (0), validation (1) or test (2): (patients,) int8, None if there are too few.

    ``patients`` and ``strata``, such as classes, are by image. Patients with the same highest stratum are dealt out
    together, so that each split has its part of the rare ones. The study's seed decides, so a patient never changes
    sides between rounds.

    Patients with the same number in ``joined`` (patients,), who share near-copies, come into one split; they count as
    many, and go into training if validation or test has no room for them. Where too many are joined for the others to
    not fill validation and test, each is dealt out alone. Without joined patients the split is what it is without this.
    """
    count = int(patients.max()) + 1
    if count < LEAST_PATIENTS:
        return None
    wanted = {2: study.evaluation.test, 1: study.evaluation.validation}
    whole = {part: round(fraction * count) for part, fraction in wanted.items()}
    unit_of = np.arange(count)
    if joined is not None:
        _, together = np.unique(joined, return_inverse=True)
        if count - np.bincount(together).max() >= max(LEAST_PATIENTS - 1, sum(whole.values())):
            unit_of = together
    sizes = np.bincount(unit_of)  # (units,)
    highest = np.zeros(len(sizes), np.int64)
    np.maximum.at(highest, unit_of[patients], strata)
    shuffled = insecure_stream(study.model.seed, "split").permutation(len(sizes))
    dealt = shuffled[np.argsort(highest[shuffled], kind="stable")]  # by stratum, in random order within one
    part_of = np.zeros(len(sizes), np.int8)
    given = {2: 0, 1: 0}
    place = 0
    for unit in dealt:
        size = int(sizes[unit])
        place += size
        for part, fraction in wanted.items():
            if given[part] < round(fraction * place) and (size == 1 or given[part] + size <= whole[part]):
                part_of[unit] = part
                given[part] += size
                break
    for part in (1, 2):  # so few patients that one split got nobody
        if not (part_of == part).any():
            part_of[np.flatnonzero(part_of == 0)[0]] = part
    return part_of[unit_of]
