"""The form in which a study's network sees volumes: turned to the patient's axes, cut to the body, resampled.

Axes are exchanged and reversed, never tilted: slices that were acquired at an angle stay whole. Extents are kept, so
that whole voxels fill them: the spacing that comes out is the one asked for to within a voxel over the whole extent, as
nnU-Net has it (Isensee et al., Nature Methods 2021). Slices are resampled one after another; MONAI's ``Orientation``,
``CropForeground`` and ``Spacing`` do the same to a whole volume in memory, which ``tests/client/test_volume_form.py``
compares.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import nibabel
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from wardround_client.masks.meet import Classes, onto
from wardround_client.volumes.geometry import Floats, Geometry

_orientations: Any = nibabel.orientations  # these functions carry no types
Spacing = tuple[float, float, float]
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
"""First and last but one voxel along (slices, rows, columns) of a series."""
Read = Callable[[int], torch.Tensor]
"""From the number of a slice to (channels, rows, columns) float32."""
_TOWARDS = (2, 1, 0)
"""Of (left, back, head): what slices, rows and columns of a prepared volume are counted towards."""


@dataclass(frozen=True)
class VolumeForm:
    """Where a prepared volume lies: what was turned, cut and resampled of a series' grid, and the way back."""

    grid: Geometry
    """Of the series."""
    box: Box
    """What is kept of it."""
    counts: tuple[int, int, int]
    """Voxels along (slices, rows, columns) of the series, after resampling."""
    axes: tuple[int, int, int]
    """Which of (slices, rows, columns) of the series runs towards (head, back, left), or away."""
    against: tuple[bool, bool, bool]
    """Which of these runs away from (head, back, left)."""

    @classmethod
    def of(cls, grid: Geometry, box: Box, spacing_mm: Spacing) -> VolumeForm:
        """Return the form of a series cut to ``box``, with about ``spacing_mm`` towards head, back and left."""
        found = _orientations.io_orientation(grid.affine)  # of (slices, rows, columns): towards which, sign
        towards = found[:, 0].astype(int).tolist()
        axes = [towards.index(each) for each in _TOWARDS]
        counts = [0, 0, 0]
        for axis, wanted in zip(axes, spacing_mm, strict=True):
            extent = (box[axis][1] - box[axis][0]) * grid.spacing_mm[axis]
            counts[axis] = max(1, round(extent / wanted))
        return cls(
            grid,
            box,
            (counts[0], counts[1], counts[2]),
            (axes[0], axes[1], axes[2]),
            tuple(bool(found[axis, 1] < 0) for axis in axes),  # type: ignore[arg-type]  # three
        )

    @property
    def shape(self) -> tuple[int, int, int]:
        """(slices, rows, columns) of the prepared volume."""
        slices, rows, columns = (self.counts[axis] for axis in self.axes)
        return slices, rows, columns

    @property
    def to_grid(self) -> Floats:
        """(4, 4): index of the prepared volume to index of the series."""
        matrix = np.zeros((4, 4))
        matrix[3, 3] = 1
        for prepared, (axis, against) in enumerate(zip(self.axes, self.against, strict=True)):
            begin, end = self.box[axis]
            step = (end - begin) / self.counts[axis]
            first = self.counts[axis] - 1 if against else 0
            matrix[axis, prepared] = -step if against else step
            matrix[axis, 3] = begin + (first + 0.5) * step - 0.5
        return matrix

    @property
    def geometry(self) -> Geometry:
        """Where the prepared volume lies in the patient."""
        return Geometry.of(self.grid.affine @ self.to_grid, self.shape)

    @property
    def spacing_mm(self) -> Spacing:
        """Distance in mm between (slices, rows, columns) of the prepared volume."""
        return self.geometry.spacing_mm

    def turned(self, stored: NDArray[Any]) -> NDArray[Any]:
        """Return a view, (…, slices, rows, columns) as prepared, of what lies in the order of the series."""
        ahead = stored.ndim - 3
        turned = stored.transpose(*range(ahead), *(ahead + axis for axis in self.axes))
        backwards = tuple(ahead + axis for axis, against in enumerate(self.against) if against)
        return np.flip(turned, backwards)

    def back(self, classes: Classes) -> Classes:
        """Lay an outline of the prepared volume on the series: (slices, rows, columns) of its grid.

        Each voxel takes the nearest one's structure; what was cut off is background.
        """
        return onto(classes, self.geometry, self.grid, covering=False)

    def slices(self, read: Read) -> Iterator[torch.Tensor]:
        """Yield the resampled slices (channels, rows, columns), all in the order of the series; each is read once.

        Where voxels become larger they are smoothed, as ``preprocessing.resized`` does within a slice. As many slices
        are held as come together in one, and no more.
        """
        (begin, end), *sides = self.box
        inside = (slice(None), *(slice(*side) for side in sides))

        def plane(number: int) -> torch.Tensor:
            cut = read(begin + number)[inside]
            same = tuple(cut.shape[1:]) == self.counts[1:]
            return cut if same else _resized(cut, self.counts[1:])

        if end - begin == self.counts[0]:
            yield from map(plane, range(end - begin))
            return
        held: dict[int, torch.Tensor] = {}
        for parts in _parts(end - begin, self.counts[0]):
            (used,) = np.nonzero(parts)
            held = {number: held[number] if number in held else plane(number) for number in used.tolist()}
            yield torch.stack([held[number] * float(parts[number]) for number in used.tolist()]).sum(0)

    def classes(self, outlined: Classes, structures: int) -> Iterator[Classes]:
        """Yield the slices of an outline on the series' grid, (rows, columns) uint8 each, in the order of the series.

        A voxel has the structure that covers most of it, smoothed as the image is.
        """
        shape = tuple(end - begin for begin, end in self.box)
        if shape == self.counts:
            yield from (outlined[number][_inside(self.box)] for number in range(*self.box[0]))
            return
        numbers = np.arange(structures + 1, dtype=np.uint8)[:, None, None]

        def covers(number: int) -> torch.Tensor:
            return torch.from_numpy((outlined[number] == numbers).astype(np.float32))

        for covered in self.slices(covers):
            yield covered.numpy().argmax(axis=0).astype(np.uint8)  # of two that cover as much the first


def _inside(box: Box) -> tuple[slice, slice]:
    return slice(*box[1]), slice(*box[2])


def _resized(planes: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    return functional.interpolate(planes[None], size, mode="bilinear", antialias=True, align_corners=False)[0]


def _parts(count: int, wanted: int) -> NDArray[np.float32]:
    """Return how much of each of ``count`` slices is in each of ``wanted``: (wanted, count), as torch resizes."""
    identity = torch.eye(count)[None]
    parts: NDArray[np.float32] = _resized(identity, (wanted, count))[0].numpy()
    return parts
