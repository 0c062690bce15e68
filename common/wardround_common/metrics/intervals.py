"""The interval of a figure that was computed on many resamples of the patients."""

from __future__ import annotations

import numpy as np

from wardround_common.metrics.ranking import Floats
from wardround_common.metrics.shapes import Estimate

LEVEL = 0.95  # of every interval
DEFINED = 0.95  # an interval needs a metric that is defined in this part of the resamples


def with_interval(value: float, drawn: Floats) -> Estimate:
    """Return a value with its percentile bootstrap interval, from its values in resamples (resamples,), NaN where none.

    The interval does not hold the uncertainty of the training or of the operating point, is too short for a handful of
    patients, and has no width where every resample agrees (an AUROC of 1). Of a figure that is above 0 by chance alone,
    such as a calibration error, resamples lie above the value: it has no such interval.
    """
    defined = drawn[~np.isnan(drawn)]
    if len(defined) < DEFINED * len(drawn):
        return Estimate(value, reason="too few patients of a kind for an interval")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(value, float(low), float(high))
