"""Intervals of how well structures are outlined, from the sums that hospitals add up: one value for each patient.

Patients are independent, and each is counted once in a structure's histograms: a resample of the counts is one of the
patients, up to the width of a bin. Which patient had which value in two structures is not known.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.bins import Bins
from wardround_common.metrics.outlines import DICE_BINS, DISTANCE_BINS, UNIT, VOLUME_BINS, Outcome, OutlineSums
from wardround_common.metrics.ranking import Floats
from wardround_common.metrics.shapes import Estimate
from wardround_common.metrics.sum_intervals import (
    AT_MOST_BY_PATIENT,
    BY_PATIENT,
    Limits,
    drawn,
    means_of,
    of_fraction,
    of_mean,
    of_resamples,
)


def intervals_of(sums: OutlineSums, point: None, metrics: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Return the metrics that have a value and an interval: means over patients, and fractions of them.

    Quantiles have none, since its ends would be single patients' values; counts of lesions neither, since how many of
    them one patient has is not known.
    """
    each = [_of_one(sums, row) for row in range(sums.structures) if sums.dice_bins[row].any()]
    return means_of(metrics, each, BY_PATIENT if len(each) == 1 else AT_MOST_BY_PATIENT)


def _of_one(sums: OutlineSums, row: int) -> dict[str, Limits | None]:
    larger, smaller = int(sums.larger[row]), int(sums.smaller[row])
    totals = {
        "dice": (DICE_BINS, sums.dice_bins[row], int(sums.dice[row])),
        "hausdorff": (DISTANCE_BINS, sums.hausdorff_bins[row], int(sums.hausdorff[row])),
        "surface_distance": (DISTANCE_BINS, sums.surface_bins[row], int(sums.surface[row])),
        "volume_error": (VOLUME_BINS, sums.volume_bins[row], larger + smaller),
    }
    found: dict[str, Limits | None] = {}
    for name, (bins, counts, total) in totals.items():
        values = _values(bins, counts, total * UNIT)
        found |= of_resamples({name: some @ values / counts.sum()} for some in drawn(counts))
    volumes = sums.volume_bins[row]
    if count := int(volumes.sum()):
        excess = (larger - smaller) * UNIT / count
        square = float(volumes @ _values(VOLUME_BINS, volumes, (larger + smaller) * UNIT) ** 2) / count
        found["volume_excess"] = of_mean(excess, float(np.sqrt(max(square - excess**2, 0))), count)
    missed, alarms = (sums.count(one, row) for one in (Outcome.MISSED, Outcome.FALSE_ALARM))
    free = alarms + sums.count(Outcome.RIGHTLY_EMPTY, row)
    found["missed"] = of_fraction(missed, int(sums.dice_bins[row].sum()))
    without, measured = sums.outcomes[row, Outcome.FOUND].tolist()
    found["unmeasured"] = of_fraction(without, without + measured) if without + measured else None
    found["false_alarms"] = of_fraction(alarms, free) if free else None
    return found


def _values(bins: Bins, counts: NDArray[np.int64], total: float) -> Floats:
    """Return the value of each bin (bins,): the middle, scaled so that those that were counted add up to ``total``."""
    middles = (bins.edges[:-1] + bins.edges[1:]) / 2
    added = float(counts @ middles)
    return middles * (total / added if added else 1.0)
