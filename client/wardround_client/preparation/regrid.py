"""A series on the grid of another one, slice by slice: by where both lie in the patient, never by number."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import scipy

from wardround_client.images.meaning import Values
from wardround_client.volumes import Geometry, Series
from wardround_common.errors import ImageRefused

MOST_HELD = 2**26
"""Values of a series that are held at a time: 256 MB. A longer one is read slice by slice, and twice."""
LEAST_COVERED = 0.9
"""Of a grid's voxels that must lie within a series, so that it can be laid on it."""
_EDGE = 0.5
_FLAT = 0.25
"""How far the slices of two grids may lean against each other, in slices at a corner, to be taken one for one."""
_SAMPLED = 64
"""Places along each axis at which it is tried whether a grid lies within another one: all of a shorter one."""


class OnGrid:
    """The values of a series at the voxels of a grid; slices are read when they are asked for."""

    def __init__(self, series: Series, grid: Geometry) -> None:
        """Find out how the two lie to one another.

        Raises:
            ImageRefused: ``not-covering``: the series does not lie where the grid does.
        """
        self._series, self._grid = series, grid
        self._forth = grid.index_in(series.geometry)
        self._same = grid.is_grid_of(series.geometry)
        covered = 1.0 if self._same else _covered(self._forth, grid.shape, series.geometry.shape)
        if covered < LEAST_COVERED:
            raise ImageRefused(
                "not-covering",
                f"one of its series covers {int(100 * covered)} % of the one that it is laid on, and must cover "
                f"{int(100 * LEAST_COVERED)} %",
                do="Export the whole series.",
            )

    def slice(self, number: int) -> Values:
        """Return the values at one slice of the grid: (rows, columns) float32; what lies outside repeats the edge.

        Raises:
            ImageRefused: the pixels cannot be read, or the file ``changed``.
        """
        if self._same:
            return self._stored(number)
        across = self._forth[0, :3] * np.array([0, *self._grid.shape[1:]])
        if np.abs(across[1:]).sum() <= _FLAT:
            return self._in_plane(number)
        rows, columns = np.indices(self._grid.shape[1:])
        index = np.stack([np.full(rows.shape, number), rows, columns]).reshape(3, -1)
        places = self._forth[:3, :3] @ index + self._forth[:3, 3:]
        values = scipy.ndimage.map_coordinates(self._whole, places, order=1, mode="nearest", output=np.float32)
        return np.asarray(values.reshape(rows.shape), np.float32)

    def _in_plane(self, number: int) -> Values:
        """Take the nearest slice, and resample it within its plane."""
        forth, last = self._forth, self._series.geometry.shape[0] - 1
        middle = forth[0, :3] @ [number, *(np.array(self._grid.shape[1:]) / 2)] + forth[0, 3]
        plane = self._stored(int(np.clip(round(float(middle)), 0, last)))
        offset = forth[1:3, 0] * number + forth[1:3, 3]
        turned = np.abs(forth[1:3, 1:3] - np.eye(2)).max()
        if plane.shape == self._grid.shape[1:] and turned < 1e-6 and np.abs(offset).max() < 1e-3:
            return plane
        moved = scipy.ndimage.affine_transform(
            plane, forth[1:3, 1:3], offset, self._grid.shape[1:], order=1, mode="nearest", output=np.float32
        )
        return np.asarray(moved, np.float32)

    def _stored(self, number: int) -> Values:
        return self._whole[number] if self._held else self._series.slice(number)

    @property
    def _held(self) -> bool:
        return int(np.prod(self._series.geometry.shape)) <= MOST_HELD

    @cached_property
    def _whole(self) -> Values:
        return self._series.volume()

    def sample(self) -> Values:
        """Return values of the series as it is, all of them or evenly chosen ones: (values,) float32.

        Raises:
            ImageRefused: as :meth:`slice` does.
        """
        return self._seen[0]

    def highest(self) -> tuple[Values, Values, Values]:
        """Return the highest value in each slice, each row and each column of the series as it is: float32 each.

        Raises:
            ImageRefused: as :meth:`slice` does.
        """
        return self._seen[1]

    @cached_property
    def _seen(self) -> tuple[Values, tuple[Values, Values, Values]]:
        """Look at all values once: (values,) some of them, and the highest along each axis."""
        if self._held:
            whole = self._whole
            rows = whole.max(axis=0)  # (rows, columns)
            return whole.ravel(), (whole.max(axis=(1, 2)), rows.max(axis=1), rows.max(axis=0))
        step = -(-int(np.prod(self._series.geometry.shape)) // MOST_HELD)
        some, slices = [], []
        rows = np.full(self._series.geometry.shape[1:], -np.inf, np.float32)
        for plane in self._series:
            some.append(plane.ravel()[::step])
            slices.append(plane.max())
            np.maximum(rows, plane, out=rows)
        return np.concatenate(some), (np.array(slices, np.float32), rows.max(axis=1), rows.max(axis=0))


def _covered(forth: np.ndarray, grid: tuple[int, int, int], of: tuple[int, int, int]) -> float:
    """Return which part of a grid's voxels lies within another one."""
    tried = [min(count, _SAMPLED) for count in grid]
    along = [(np.arange(some) + 0.5) * count / some - 0.5 for some, count in zip(tried, grid, strict=True)]
    index = np.array(np.meshgrid(*along, indexing="ij")).reshape(3, -1)
    places = forth[:3, :3] @ index + forth[:3, 3:]
    inside = ((places >= -_EDGE) & (places <= np.array(of)[:, None] - 1 + _EDGE)).all(axis=0)
    return float(inside.mean())
