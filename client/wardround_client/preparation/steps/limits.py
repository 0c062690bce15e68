"""Two values, in whatever unit the images have, that become 0 and 1: the same for every image of every hospital."""

from __future__ import annotations

from wardround_client.preparation.steps._linear import between
from wardround_common.study.steps import Apply, Setting, Settings, Step, Values


def _fit(settings: Settings, values: Values) -> Apply:
    return between(float(settings["low"]), float(settings["high"]))


def _fits(settings: Settings) -> str:
    return "" if settings["low"] < settings["high"] else "low must be less than high"  # type: ignore[operator]  # numbers


STEP = Step(
    "values from {low} to {high} become 0 to 1",
    _fit,
    (
        Setting("low", 0.0, "what becomes 0, in the unit of the images", -1e6, 1e6),
        Setting("high", 255.0, "what becomes 1, in the unit of the images", -1e6, 1e6),
    ),
    _fits,
    scales=True,
)
