"""A window of Hounsfield units by its name: what a radiologist looks at for a part of the body."""

from __future__ import annotations

from wardround_client.preparation.steps._linear import between
from wardround_common.study.steps import Apply, Setting, Settings, Step, Values

WINDOWS: dict[str, tuple[float, float]] = {
    "lung": (-600, 1500),
    "mediastinum": (50, 350),
    "bone": (400, 1800),
    "brain": (40, 80),
    "liver": (30, 150),
}
"""Centre and width in Hounsfield units, as Bell, Murphy et al., *Windowing (CT)*, Radiopaedia.org, list them."""


def limits(preset: str) -> tuple[float, float]:
    """Return which Hounsfield units become 0 and 1."""
    centre, width = WINDOWS[preset]
    return centre - width / 2, centre + width / 2


def _fit(settings: Settings, values: Values) -> Apply:
    return between(*limits(str(settings["preset"])))


STEP = Step(
    "the {preset} window of Hounsfield units becomes 0 to 1",
    _fit,
    (Setting("preset", "lung", "which window; docs/preparation.md has centre and width", choices=tuple(WINDOWS)),),
    scales=True,
    hounsfield=True,
)
