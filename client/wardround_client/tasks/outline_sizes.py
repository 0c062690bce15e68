"""Measures what was outlined as radiologists do: volumes in mL, and diameters in mm of each connected part.

The long axis is the longest diameter in the plane of the slices, of all slices; the short axis is the longest one at a
right angle to it in the same slice (RECIST 1.1: Eisenhauer et al., European Journal of Cancer 45(2), 2009; both are the
diameters of the WHO's bidimensional measurement). Both are of the convex hull of the part in that slice, whose edge
runs halfway between the voxels within and those without.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import NDArray

from wardround_client.volumes.geometry import Geometry

Masks = NDArray[np.uint8]
Floats = NDArray[np.float64]
Ends = tuple[tuple[float, float], tuple[float, float]]
_TOUCHING = np.ones((3, 3, 3), bool)
"""Voxels are of one part over faces, edges and corners, as where outlines are judged."""
FEW_ML = 0.1
_NEXT = np.array([[1, 0], [-1, 0], [0, 1], [0, -1]])


def millilitres(volume: float) -> str:
    """Say a volume in mL with two digits after the point, or three where two would hardly tell it from nothing."""
    return f"{volume:.{3 if 0 < volume < FEW_ML else 2}f} mL"


@dataclass(frozen=True)
class Diameters:
    """The long and the short axis of a part in one slice; ends are (row, column) in voxels of the slice."""

    long_mm: float
    short_mm: float
    long_ends: Ends
    short_ends: Ends


@dataclass(frozen=True)
class Lesion:
    """One connected part of a structure."""

    voxels: int
    volume_ml: float
    centre: tuple[float, float, float]
    """Its centre of mass, (slice, row, column) in voxels."""
    slice: int
    """In which its long axis lies, from 0."""
    diameters: Diameters


def lesions(there: NDArray[np.bool_], geometry: Geometry) -> list[Lesion]:
    """Measure each connected part of what is there (slices, rows, columns), the largest first."""
    parts, count = scipy.ndimage.label(there, _TOUCHING)
    found = list(_measured(parts, count, geometry))
    return sorted(found, key=lambda lesion: (-lesion.voxels, lesion.centre))


def parts_of(there: NDArray[np.bool_], geometry: Geometry) -> tuple[NDArray[np.int32], list[Lesion]]:
    """Number the connected parts of what is there (slices, rows, columns), from 1, and measure each in that order."""
    parts, count = scipy.ndimage.label(there, _TOUCHING)
    return parts, list(_measured(parts, count, geometry))


def _measured(parts: NDArray[np.int32], count: int, geometry: Geometry) -> Iterator[Lesion]:
    spacing = geometry.spacing_mm[1:]
    for number, box in enumerate(scipy.ndimage.find_objects(parts, count), 1):
        part = parts[box] == number
        first = tuple(side.start for side in box)
        planes = [(at, diameters(plane, spacing)) for at, plane in enumerate(part) if plane.any()]
        at, longest = max(planes, key=lambda each: (each[1].long_mm, each[1].short_mm, -each[0]))
        voxels = int(np.count_nonzero(part))
        centre = [float(inner + begin) for inner, begin in zip(np.argwhere(part).mean(axis=0), first, strict=True)]
        yield Lesion(
            voxels,
            voxels * geometry.voxel_ml,
            (centre[0], centre[1], centre[2]),
            first[0] + at,
            _moved(longest, (first[1], first[2])),
        )


def diameters(plane: NDArray[np.bool_], spacing_mm: tuple[float, float]) -> Diameters:
    """Measure what is there in a slice (rows, columns), which is not empty."""
    edge = _edge(plane) * spacing_mm  # (points, 2) mm
    corners = edge[scipy.spatial.ConvexHull(edge).vertices]
    apart = scipy.spatial.distance.squareform(scipy.spatial.distance.pdist(corners))
    one, other = np.unravel_index(int(apart.argmax()), apart.shape)
    begin, end = corners[one], corners[other]
    along = (end - begin) / apart[one, other]
    across = np.array([-along[1], along[0]])
    places, heights = (corners - begin) @ along, (corners - begin) @ across
    order = np.argsort(places, kind="stable")
    places, heights = places[order], heights[order]
    above, below = heights >= -_SAME_MM, heights <= _SAME_MM
    upper, lower = (np.interp(places, places[side], heights[side]) for side in (above, below))
    widest = int((upper - lower).argmax())
    ends = [begin + places[widest] * along + height * across for height in (lower[widest], upper[widest])]
    return Diameters(
        float(apart[one, other]),
        float(upper[widest] - lower[widest]),
        (_voxel(begin, spacing_mm), _voxel(end, spacing_mm)),
        (_voxel(ends[0], spacing_mm), _voxel(ends[1], spacing_mm)),
    )


_SAME_MM = 1e-9


def _edge(plane: NDArray[np.bool_]) -> Floats:
    """Return the points halfway between a voxel that is there and a neighbour that is not: (points, 2) row, column."""
    around = np.pad(plane, 1)
    rows, columns = np.nonzero(around)
    found = []
    for row, column in _NEXT:
        outside = ~around[rows + row, columns + column]
        found.append(np.stack([rows[outside] + row / 2, columns[outside] + column / 2], axis=1) - 1)
    points: Floats = np.unique(np.concatenate(found), axis=0)
    return points


def _voxel(place_mm: Floats, spacing_mm: tuple[float, float]) -> tuple[float, float]:
    return float(place_mm[0] / spacing_mm[0]), float(place_mm[1] / spacing_mm[1])


def _moved(found: Diameters, by: tuple[int, int]) -> Diameters:
    def moved(ends: Ends) -> Ends:
        (a, b), (c, d) = ends
        return (a + by[0], b + by[1]), (c + by[0], d + by[1])

    return Diameters(found.long_mm, found.short_mm, moved(found.long_ends), moved(found.short_ends))
