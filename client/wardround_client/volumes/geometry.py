"""Where the values of a volume lie in the patient: one affine from index to millimetres, and nothing else.

Positions are those of DICOM, in mm towards the patient's **l**eft, back (**p**osterior) and head (**s**uperior), and
name the centre of a voxel (PS3.3 C.7.6.2.1.1). NIfTI counts towards the right and the front instead: its affines are
turned once, where a file is read. An index is (slice, row, column), as arrays are indexed.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wardround_client.images.hanging import Hanging, hanging_of, turn_of
from wardround_client.images.orientation import towards
from wardround_common.errors import ImageRefused

Floats = NDArray[np.float64]
Plane = Literal["axial", "coronal", "sagittal"]

_LETTERS = (("L", "R"), ("P", "A"), ("S", "I"))
_PLANES: tuple[Plane, ...] = ("sagittal", "coronal", "axial")
_LEAST_VOLUME = 1e-6
"""Of a voxel, relative to that of a right-angled one with the same sides; below this two of its sides are parallel."""


@dataclass(frozen=True)
class Geometry:
    """The grid of a volume: its size, and where each of its voxels lies in the patient."""

    shape: tuple[int, int, int]
    """(slices, rows, columns)."""
    matrix: tuple[tuple[float, float, float, float], ...]
    """Three lines (left, back, head): mm for a step of slice, row and column, and the place of index (0, 0, 0)."""

    @classmethod
    def of(cls, affine: ArrayLike, shape: tuple[int, int, int], *, where: str = "") -> Geometry:
        """Make a geometry from a 3 x 4 or 4 x 4 affine: index (slice, row, column) to mm (left, back, head).

        Raises:
            ImageRefused: ``singular-affine``: it is not finite, or puts different voxels into one place.
        """
        lines = np.asarray(affine, np.float64)[:3, :4]
        sides = np.linalg.norm(lines[:, :3], axis=0)
        if not np.isfinite(lines).all() or not (sides > 0).all():
            raise _singular(where)
        if abs(np.linalg.det(lines[:, :3] / sides)) < _LEAST_VOLUME:
            raise _singular(where)
        one, two, three = (tuple(float(value) for value in line) for line in lines)
        return cls(shape, (one, two, three))  # type: ignore[arg-type]  # four numbers each

    @cached_property
    def affine(self) -> Floats:
        """(4, 4): index (slice, row, column, 1) to mm (left, back, head, 1)."""
        affine = np.array((*self.matrix, (0.0, 0.0, 0.0, 1.0)))
        affine.flags.writeable = False
        return affine

    @cached_property
    def inverse(self) -> Floats:
        """(4, 4): mm to index."""
        inverse = np.asarray(np.linalg.inv(self.affine), np.float64)
        inverse.flags.writeable = False
        return inverse

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance in mm between (slices, rows, columns)."""
        slices, rows, columns = (float(side) for side in np.linalg.norm(self.affine[:3, :3], axis=0))
        return slices, rows, columns

    @property
    def directions(self) -> Floats:
        """(3, 3): the unit vectors, one a column, along which slices, rows and columns are counted."""
        steps = self.affine[:3, :3]
        return np.asarray(steps / np.linalg.norm(steps, axis=0))

    @property
    def voxel_ml(self) -> float:
        """Volume of a voxel in mL."""
        return abs(float(np.linalg.det(self.affine[:3, :3]))) / 1000

    @property
    def skew(self) -> float:
        """How far the axes are from right angles: the largest cosine between two of them, 0 for a right-angled grid."""
        cosines = self.directions.T @ self.directions
        return float(np.abs(cosines - np.eye(3)).max())

    @property
    def orientation(self) -> str:
        """Where slices, rows and columns are counted towards: ``SPL`` for axial slices from the feet up."""
        return "".join(_LETTERS[axis][sign < 0] for axis, sign in map(_main, self.directions.T))

    @property
    def plane(self) -> Plane:
        """The anatomical plane that the slices are nearest to."""
        normal = np.cross(self.directions[:, 1], self.directions[:, 2])
        return _PLANES[int(np.abs(normal).argmax())]

    @property
    def hanging(self) -> Hanging:
        """How its slices hang."""
        _, down, across = self.directions.T
        return hanging_of(self.spacing_mm, turn_of(across, down), towards=(towards(across), towards(down)))

    def to_mm(self, index: ArrayLike) -> Floats:
        """Return the places in mm, (..., 3), of indices (slice, row, column), (..., 3); fractions are allowed."""
        return np.asarray(np.asarray(index, np.float64) @ self.affine[:3, :3].T + self.affine[:3, 3])

    def to_index(self, mm: ArrayLike) -> Floats:
        """Return the indices (slice, row, column), (..., 3), of places in mm, (..., 3)."""
        return np.asarray(np.asarray(mm, np.float64) @ self.inverse[:3, :3].T + self.inverse[:3, 3])

    def index_in(self, other: Geometry) -> Floats:
        """Return the (4, 4) matrix from an index of this grid to the index of the same place in another grid."""
        return np.asarray(other.inverse @ self.affine)

    def is_grid_of(self, other: Geometry, *, tolerance: float = 0.05) -> bool:
        """Say whether both have the same voxels at the same indices, within this part of a voxel at every corner."""
        if self.shape != other.shape:
            return False
        corners = np.array(np.meshgrid(*((0, count - 1) for count in self.shape), indexing="ij")).reshape(3, 8).T
        return bool(np.abs(other.to_index(self.to_mm(corners)) - corners).max() <= tolerance)


def _main(direction: Floats) -> tuple[int, float]:
    axis = int(np.abs(direction).argmax())
    return axis, float(direction[axis])


def _singular(where: str) -> ImageRefused:
    return ImageRefused(
        "singular-affine",
        "its affine is not invertible: it puts different voxels into one place",
        where=where,
        do="Convert it again from the original DICOM files.",
    )
