"""A mask meets its image by geometry: each voxel of the series takes the class of the place where it lies.

Arrays are never laid on one another. A mask whose grid is the series' own turned, mirrored, cut or shifted by whole
voxels is mapped exactly; any other one by the nearest voxel centre. What would be lost on the way is refused.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wardround_client.volumes.geometry import Floats, Geometry
from wardround_common.counting import count
from wardround_common.errors import ImageRefused

Classes = NDArray[np.uint8]
"""(slices, rows, columns): 0 is background, 1 the first structure of the study."""

EXACT = 0.1
"""How far a corner may lie from a voxel centre, in voxels, for grids to be taken as one."""
_EDGE = 0.5 + EXACT


@dataclass(frozen=True, eq=False)
class Outlined:
    """What a mask says of a series, voxel by voxel on the grid of the series."""

    classes: Classes = field(repr=False)
    annotated: NDArray[np.bool_]
    """(slices,): whether somebody looked at the slice. Background in a slice that nobody outlined is not "nothing"."""
    defined: frozenset[int]
    """The classes that the mask speaks of, whether or not it has a voxel of them."""
    notes: tuple[str, ...] = ()
    exact: bool = True
    """Whether its voxels are voxels of the series, and none was taken for the nearest one."""


def onto(classes: Classes, at: Geometry, grid: Geometry, *, covering: bool) -> Classes:
    """Map a mask that lies ``at`` its own grid onto another one: (slices, rows, columns) of ``grid``.

    With ``covering`` all of ``grid`` must lie within the mask, for masks that say of every voxel what it is; without,
    what lies outside is background, as the frames that a segmentation leaves out are.

    Raises:
        ImageRefused: ``not-covering``, or ``outside-image`` if voxels of the mask lie outside the grid.
    """
    _check_within(classes, at, grid)
    forth = grid.index_in(at)
    if covering:
        ends = _corners(grid.shape) @ forth[:3, :3].T + forth[:3, 3]
        if (ends < -_EDGE).any() or (ends > np.array(at.shape) - 1 + _EDGE).any():
            raise ImageRefused(
                "not-covering",
                "the mask does not cover the whole series",
                do="Export the mask on the grid of its images.",
            )
    whole = _whole(forth, grid.shape)
    return _exact(classes, whole, grid.shape) if whole is not None else _nearest(classes, forth, grid.shape)


def is_exact(at: Geometry, grid: Geometry) -> bool:
    """Say whether the voxels of a grid are voxels of a mask that lies ``at`` its own, turned or shifted as may be."""
    return _whole(grid.index_in(at), grid.shape) is not None


def _check_within(classes: Classes, at: Geometry, grid: Geometry) -> None:
    back = at.index_in(grid)
    highest = np.array(grid.shape) - 1
    lost = 0
    for number, plane in enumerate(classes):
        rows, columns = plane.nonzero()
        if len(rows):
            index = np.column_stack([np.full(len(rows), number), rows, columns])
            places = index @ back[:3, :3].T + back[:3, 3]
            lost += int(((places < -_EDGE) | (places > highest + _EDGE)).any(axis=1).sum())
    if lost:
        raise ImageRefused(
            "outside-image",
            f"{count(lost, 'voxel')} of the mask {'lies' if lost == 1 else 'lie'} outside the series",
            do="Check that the mask was drawn on this series.",
        )


def _corners(shape: tuple[int, int, int]) -> Floats:
    grid = np.meshgrid(*((0, count - 1) for count in shape), indexing="ij")
    return np.array(grid, np.float64).reshape(3, 8).T


def _whole(forth: Floats, shape: tuple[int, int, int]) -> NDArray[np.int64] | None:
    """Return the (3, 4) integer matrix that maps index to index, if there is one."""
    whole = np.rint(forth[:3])
    turn = np.abs(whole[:, :3])
    if not ((turn.sum(axis=0) == 1).all() and (turn.sum(axis=1) == 1).all()):
        return None
    corners = _corners(shape)
    apart = np.abs(corners @ (forth[:3, :3] - whole[:, :3]).T + forth[:3, 3] - whole[:, 3])
    return whole.astype(np.int64) if apart.max() <= EXACT else None


def _exact(classes: Classes, whole: NDArray[np.int64], shape: tuple[int, int, int]) -> Classes:
    made = np.zeros(shape, np.uint8)
    axes = [int(np.abs(whole[:, axis]).argmax()) for axis in range(3)]  # of the mask, for each axis of the grid
    here, there = [], []
    for axis, of_mask in enumerate(axes):
        step, first, count = int(whole[of_mask, axis]), int(whole[of_mask, 3]), classes.shape[of_mask]
        ends = (-first, count - first) if step > 0 else (first - count + 1, first + 1)  # where 0 <= place < count
        begin, end = max(ends[0], 0), min(ends[1], shape[axis])
        if begin >= end:
            return made
        here.append(slice(begin, end))
        last = step * end + first  # one beyond
        there.append(slice(step * begin + first, None if last < 0 else last, step))
    made[tuple(here)] = classes.transpose(axes)[tuple(there)]
    return made


def _nearest(classes: Classes, forth: Floats, shape: tuple[int, int, int]) -> Classes:
    made = np.zeros(shape, np.uint8)
    rows, columns = np.indices(shape[1:]).reshape(2, -1)
    within = rows[:, None] * forth[:3, 1] + columns[:, None] * forth[:3, 2] + forth[:3, 3]  # (rows x columns, 3)
    sizes = np.array(classes.shape)
    for number in range(shape[0]):
        index = np.floor(within + number * forth[:3, 0] + 0.5).astype(np.int64)
        inside = ((index >= 0) & (index < sizes)).all(axis=1)
        made[number].reshape(-1)[inside] = classes[tuple(index[inside].T)]
    return made
