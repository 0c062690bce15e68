"""Which slices a network is trained on, and how patients are dealt into splits, by how much of a structure there is."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Codes = NDArray[np.int64]

SMALL, LARGE = 1, 2  # none is 0


def strata(voxels: Codes) -> Codes:
    """Return for each record or patient (n,) whether the structures there are none, small or large.

    ``voxels`` int64 (n,): how many voxels are of a structure. Large is more than the median of those that have any.
    """
    there = voxels > 0
    median = np.median(voxels[there]) if there.any() else 0
    return there.astype(np.int64) * np.where(voxels > median, LARGE, SMALL)


def chosen(voxels: Codes, patients: Codes, empties: float = 1.0, least: int = 4) -> NDArray[np.bool_]:
    """Choose slices to train on: all with a structure, and a few of each patient's without, evenly over their order.

    ``voxels`` and ``patients`` int64 (records,), a patient's slices in order. ``empties``: how many slices without a
    structure are taken for each of the patient's with one, and no fewer than ``least`` where there are as many. What is
    chosen of a patient depends on that patient alone, so that it can be clipped as theirs.
    """
    there = voxels > 0
    taken: NDArray[np.bool_] = there.copy()
    for patient in np.unique(patients):
        rows = np.flatnonzero(patients == patient)
        without = rows[~there[rows]]
        wanted = max(math.ceil(empties * (len(rows) - len(without))), least)
        taken[without[_evenly(len(without), min(wanted, len(without)))]] = True
    return taken


def _evenly(count: int, wanted: int) -> Codes:
    """Return places of ``wanted`` of ``count`` in order, spread evenly and never at one end only."""
    return ((2 * np.arange(wanted) + 1) * count // (2 * wanted) if wanted else np.zeros(0)).astype(np.int64)
