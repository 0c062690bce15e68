"""Percentiles of each image or series that become 0 and 1."""

from __future__ import annotations

import numpy as np

from wardround_client.preparation.steps._linear import between
from wardround_common.study.steps import Apply, Setting, Settings, Step, Values


def _fit(settings: Settings, values: Values) -> Apply:
    low, high = np.percentile(values, (float(settings["low"]), float(settings["high"])))
    return between(float(low), float(high))


def _fits(settings: Settings) -> str:
    return "" if settings["low"] < settings["high"] else "low must be less than high"  # type: ignore[operator]  # numbers


STEP = Step(
    "the percentiles {low} and {high} become 0 and 1",
    _fit,
    (
        Setting("low", 1.0, "the percentile that becomes 0", 0, 100),
        Setting("high", 99.0, "the percentile that becomes 1", 0, 100),
    ),
    _fits,
    scales=True,
    measures=True,
)
