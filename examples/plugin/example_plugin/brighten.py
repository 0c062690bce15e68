"""A step of preparation: what is dark becomes brighter, and black and white stay what they are."""

from __future__ import annotations

import numpy as np

from wardround_common.study.steps import Apply, Setting, Settings, Step, Values


def _fit(settings: Settings, values: Values) -> Apply:
    gamma = float(settings["gamma"])
    return lambda plane: np.power(plane, gamma).astype(np.float32)


STEP = Step(
    "values from 0 to 1 are raised to the power of {gamma}",
    _fit,
    (Setting("gamma", 0.5, "the power: less than 1 brightens", 0.1, 10),),
    scales=True,
    scaled=True,
)
