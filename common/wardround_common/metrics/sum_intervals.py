"""Intervals that sums alone give, where nobody may resample patients: they take records for independent.

Several images of one patient are not, so that these intervals are too short where patients have several.
"""

from __future__ import annotations

from collections.abc import Mapping
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.intervals import LEVEL
from wardround_common.metrics.shapes import Estimate

Z = NormalDist().inv_cdf((1 + LEVEL) / 2)
INDEPENDENT = "from sums, which take images for independent"


def of_fraction(found: int, of: int) -> tuple[float, float]:
    """Return the interval of a fraction ``found / of``, ``of`` at least 1.

    Wilson, *Probable inference, the law of succession, and statistical inference*, JASA 22 (1927).
    """
    share, square = found / of, Z * Z / of
    middle = (share + square / 2) / (1 + square)
    half = Z * float(np.sqrt(share * (1 - share) / of + square / of / 4)) / (1 + square)
    low, high = middle - half, middle + half
    return (low if found else 0.0), (high if found < of else 1.0)  # at either end it is so but for rounding


def of_area(rest: NDArray[np.int64], found: NDArray[np.int64]) -> tuple[float, float] | None:
    """Return the interval of an area under the ROC curve from counts by score (bins,); None where it has no width.

    The variance is that of DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988), with ties in a bin.
    """
    others, ours = int(rest.sum()), int(found.sum())
    if min(others, ours) < 2:
        return None
    below = (np.cumsum(rest) - rest / 2) / others  # of a finding in a bin: the share of the rest that scores lower
    above = 1 - (np.cumsum(found) - found / 2) / ours
    area = float(found @ below) / ours
    variance = 0.0
    for counts, shares in ((found, below), (rest, above)):
        count = int(counts.sum())
        variance += float(counts @ (shares - area) ** 2) / (count - 1) / count
    if variance <= 0:
        return None
    half = Z * float(np.sqrt(variance))
    return max(area - half, 0.0), min(area + half, 1.0)


def with_intervals(
    metrics: Mapping[str, Estimate], found: Mapping[str, tuple[float, float] | None]
) -> dict[str, Estimate]:
    """Return those of the metrics that have a value and an interval."""
    return {
        name: Estimate(metrics[name].value, *limits, reason=INDEPENDENT)
        for name, limits in found.items()
        if limits is not None and metrics[name].value is not None
    }
