"""Images and series after the steps that a study names, and which part of an image they leave."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from wardround_client.preparation import plugin_steps
from wardround_client.volumes import Series
from wardround_client.volumes.series import StoredSlice
from wardround_common.errors import ImageRefused
from wardround_common.plugins.names import is_plugin
from wardround_common.study.steps import Apply, Area, Stated, Values, cuts, step_of

MOST_MEASURED = 2**26
"""Values of a series of which a step measures something: evenly chosen ones where there are more."""
_NOTHING = np.zeros(0, np.float32)


def area_of(highest: Values, steps: Sequence[Stated]) -> Area:
    """Return the part of an image that the steps leave, from its highest values (rows, columns); all if none cuts."""
    step = step_of(steps[0].step) if cuts(steps) else None
    return step.area(steps[0].settings, highest) if step and step.area else Area.whole(*highest.shape)


def after_each(pixels: Values, steps: Sequence[Stated]) -> Iterator[Values]:
    """Yield an image (channels, rows, columns) after each of the steps; each channel is treated alike.

    It is cut to its :func:`area_of` already.
    """
    for one in steps:
        apply = _fitted(one, pixels.flatten)  # a copy: what a step does to it changes no image
        pixels = np.stack([apply(plane) for plane in pixels])
        yield pixels


def stepped(pixels: Values, steps: Sequence[Stated]) -> Values:
    """Return an image (channels, rows, columns) float32, which is cut already, after all steps."""
    for after in after_each(pixels, steps):
        pixels = after
    return pixels


def series_after_each(series: Series, steps: Sequence[Stated]) -> Iterator[Series]:
    """Yield a series after each of the steps: its slices are read, and brought so far, when they are asked for.

    It is not cut here: a mask, and other series, are laid on all of it (``scaled.series_area``).

    Raises:
        ImageRefused: ``not-hounsfield``, or a step measures what cannot be read.
    """
    if asks_hounsfield(steps) and not series.acquisition.hounsfield:
        raise not_hounsfield()
    for one in steps:
        apply = _fitted(one, partial(_sample, series))
        series = replace(series, slices=tuple(_Stepped(stored, apply) for stored in series.slices))
        yield series


def stepped_series(series: Series, steps: Sequence[Stated]) -> Series:
    """Return a series after all steps.

    Raises:
        ImageRefused: as :func:`series_after_each`.
    """
    for after in series_after_each(series, steps):
        series = after
    return series


def asks_hounsfield(steps: Sequence[Stated]) -> bool:
    """Tell whether one of the steps means anything only for Hounsfield units."""
    return any(step_of(one.step).hounsfield for one in steps)


def not_hounsfield() -> ImageRefused:
    """Say why a step that is stated in Hounsfield units refuses an image."""
    return ImageRefused(
        "not-hounsfield",
        "a step of the study is stated in Hounsfield units, and the file does not say that its values are",
        do="Export the CT with its rescale, and not inverted (MONOCHROME1). A study of other images has the step "
        "'limits' in the place of 'window'.",
    )


def _fitted(one: Stated, sample: Callable[[], Values]) -> Apply:
    step = step_of(one.step)
    values = sample() if step.measures else _NOTHING
    return plugin_steps.fitted(one, values) if is_plugin(one.step) else step.fit(one.settings, values)


def _sample(series: Series) -> Values:
    every = max(1, -(-int(np.prod(series.geometry.shape)) // MOST_MEASURED))
    return np.concatenate([plane.ravel()[::every] for plane in series])


@dataclass(frozen=True, eq=False)
class _Stepped:
    """A slice of a series after a step."""

    stored: StoredSlice = field(repr=False)
    apply: Apply

    @property
    def sop_uid(self) -> str:
        return self.stored.sop_uid

    @property
    def number(self) -> int:
        return self.stored.number

    @property
    def file(self) -> Path:
        return self.stored.file

    def values(self) -> Values:
        return self.apply(self.stored.values())
