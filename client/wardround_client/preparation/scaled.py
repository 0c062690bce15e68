"""A series with intensities from 0 to 1, scaled by all of its values: never by a slice, which may be empty."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wardround_client.images.meaning import Values
from wardround_client.preparation import preprocessing
from wardround_client.preparation.regrid import OnGrid
from wardround_client.preparation.stepped import area_of, stepped_series
from wardround_client.preparation.volume_form import Box
from wardround_client.volumes import Geometry, Series
from wardround_common.study.data import Data, Intensity
from wardround_common.study.steps import Area, cuts

BODY = 0.1
"""Of the range from 0 to 1: what is above it somewhere in a slice, row or column belongs to the body, or to a table."""


class Scaled:
    """A series on a grid, its values from 0 to 1."""

    def __init__(self, values: OnGrid, intensity: Intensity) -> None:
        self._values = values
        if intensity == "steps":
            self._low, self._high = 0.0, 1.0
            return
        sample = values.sample()
        if intensity == "percentile":
            self._low, self._high = (float(limit) for limit in np.percentile(sample, preprocessing.PERCENTILES))
        else:
            self._low, self._high = float(sample.min()), float(sample.max())

    def slice(self, number: int) -> Values:
        """Return a slice of the grid: (rows, columns) float32, 0 to 1; a series of one value becomes zeros."""
        values = self._values.slice(number)
        if not self._high > self._low:
            return np.zeros_like(values)
        scaled: Values = np.clip((values - self._low) / (self._high - self._low), 0, 1).astype(np.float32, copy=False)
        return scaled

    def body(self) -> Box:
        """Return the box of the series that holds its body: (begin, end) along slices, rows and columns.

        As MONAI's ``CropForeground`` finds it, which needs the whole series in memory. All of a series of one value.
        """
        least = self._low + BODY * (self._high - self._low)
        slices, rows, columns = (_ends(highest > least) for highest in self._values.highest())
        return slices, rows, columns


def channels_of(series: Sequence[Series], grid: Geometry, data: Data) -> list[Scaled]:
    """Return the series of an examination on a grid, after the study's steps, each scaled by itself.

    Raises:
        ImageRefused: a series does not lie where the grid does, a step refuses it, or it cannot be read.
    """
    return [Scaled(OnGrid(stepped_series(one, data.steps), grid), data.intensity) for one in series]


def body_of(series: Series, scaled: Scaled, grid: Geometry, data: Data) -> Box:
    """Return the box of a series that holds its body, before any step: a window may leave little of it."""
    return Scaled(OnGrid(series, grid), "percentile").body() if data.steps else scaled.body()


def series_area(series: Series, grid: Geometry, data: Data) -> Area:
    """Return the part of each slice of a grid that the study's steps leave: one for all, found over all of a series.

    Raises:
        ImageRefused: the series does not lie where the grid does, or cannot be read.
    """
    if not cuts(data.steps):
        return Area.whole(*grid.shape[1:])
    on_grid = OnGrid(series, grid)
    highest = on_grid.slice(0)
    for number in range(1, grid.shape[0]):
        highest = np.maximum(highest, on_grid.slice(number))
    return area_of(highest, data.steps)


def _ends(there: np.ndarray) -> tuple[int, int]:
    (places,) = np.nonzero(there)
    return (int(places[0]), int(places[-1]) + 1) if len(places) else (0, len(there))
