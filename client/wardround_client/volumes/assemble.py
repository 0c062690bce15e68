"""From single slices to a volume: ordered by where they lie, and refused where they do not make up one.

Slices are sorted by their position along their common normal (PS3.3 C.7.6.2.1.1), never by InstanceNumber, file name or
frame number, none of which has to follow space. What would make a volume that looks right and is not has a reason of
its own here; readers in common use take the mean spacing over a missing slice, and straighten a tilted stack.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround_client.images.distances import check_distances
from wardround_client.volumes.geometry import Floats, Geometry
from wardround_common.counting import count
from wardround_common.errors import ImageRefused

EVEN = 0.1
"""How far a slice may lie from an even grid, in parts of the spacing: files round positions to a tenth of a mm."""
SAME_PLACE_MM = 0.01
SAME_DIRECTION = 1e-3
"""How much direction cosines of one series may differ: 0.06 degrees."""
DRIFT = 0.5
"""How far a stack may lean over its whole length, in pixels."""
STATED = 0.02
"""How much SpacingBetweenSlices may differ from the positions before it is said."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What one slice says of where it lies; None for what it does not say."""

    position: tuple[float, float, float] | None
    """Centre of its first pixel in mm: ImagePositionPatient."""
    orientation: tuple[float, float, float, float, float, float] | None
    """Direction of a row, then of a column: ImageOrientationPatient."""
    spacing_mm: tuple[float, float] | None
    """Between rows, then between columns: PixelSpacing."""
    size: tuple[int, int]
    """(rows, columns)."""


@dataclass(frozen=True)
class Stack:
    """Slices in their order."""

    geometry: Geometry
    order: tuple[int, ...]
    """Which of the given slices is the first, the second, … along the normal."""
    notes: tuple[str, ...]
    """What was contradictory and what was trusted."""


def stack(slices: Sequence[Slice], *, stated_mm: float | None, thickness_mm: float | None, where: str = "") -> Stack:
    """Order slices along their normal and measure the grid that they make up.

    ``stated_mm`` is SpacingBetweenSlices: positions are trusted before it, and a contradiction is noted. For a single
    slice it stands in for them, and then ``thickness_mm``, SliceThickness.

    Raises:
        ImageRefused: ``no-position``, ``no-spacing``, ``mixed-sizes``, ``mixed-spacing``, ``mixed-orientations``,
            ``bad-orientation``, ``two-at-one-place``, ``missing-slice``, ``uneven-spacing``, ``tilted``,
            ``shifted-slices``, ``no-slice-spacing`` or ``pixel-distances``.
    """
    positions, spacing = _common(slices, where=where)
    down, along_row = _directions(slices, where=where)
    normal = np.cross(along_row, down)
    places = positions @ normal  # (slices,) mm
    order = np.argsort(places, kind="stable")
    notes: tuple[str, ...] = ()
    if len(slices) == 1:
        step = stated_mm or thickness_mm
        if not step:
            raise ImageRefused(
                "no-slice-spacing",
                "a single slice does not say how thick it is",
                where=where,
                do="Export the series with SliceThickness, or with all of its slices.",
            )
    else:
        step = _step(places[order], where=where)
        _check_upright(positions[order], normal, min(spacing), where=where)
        if stated_mm and abs(stated_mm - step) > STATED * step:
            notes = (
                f"SpacingBetweenSlices says {stated_mm:g} mm and the positions lie {step:g} mm apart: "
                "the positions were trusted",
            )
    check_distances((step, *spacing), where=where)
    affine = np.column_stack([normal * step, down * spacing[0], along_row * spacing[1], positions[order[0]]])
    shape = (len(slices), *slices[0].size)
    return Stack(Geometry.of(affine, shape, where=where), tuple(int(number) for number in order), notes)


def _common(slices: Sequence[Slice], *, where: str) -> tuple[Floats, tuple[float, float]]:
    """Return the positions, (slices, 3) mm, and the spacing that all slices share."""
    positions = [one.position for one in slices if one.position is not None and one.orientation is not None]
    if lacking := len(slices) - len(positions):
        raise ImageRefused(
            "no-position",
            f"{lacking:,} of {len(slices):,} slices do not say where they lie in the patient",
            where=where,
            do="Export the series with ImagePositionPatient and ImageOrientationPatient.",
        )
    if len({one.size for one in slices}) > 1:
        raise ImageRefused(
            "mixed-sizes",
            "its slices differ in rows or columns",
            where=where,
            do="Export each acquisition as a series of its own.",
        )
    spacings = [one.spacing_mm for one in slices if one.spacing_mm is not None]
    if len(spacings) < len(slices):
        raise ImageRefused(
            "no-spacing",
            "some slices do not say how far apart their pixels lie",
            where=where,
            do="Export the series with PixelSpacing.",
        )
    if np.ptp(spacings, axis=0).max() > SAME_DIRECTION * max(spacings[0]):
        raise ImageRefused(
            "mixed-spacing",
            "its slices differ in the distance between pixels",
            where=where,
            do="Export each acquisition as a series of its own.",
        )
    return np.array(positions, np.float64), spacings[0]


def _directions(slices: Sequence[Slice], *, where: str) -> tuple[Floats, Floats]:
    """Return the unit vectors from row to row and from column to column."""
    cosines = np.array([one.orientation for one in slices], np.float64)  # (slices, 6)
    if np.ptp(cosines, axis=0).max() > SAME_DIRECTION:
        raise ImageRefused(
            "mixed-orientations",
            "its slices lie in different planes, as those of an overview do",
            where=where,
            do="Export each plane as a series of its own.",
        )
    along_row, down = cosines[0, :3], cosines[0, 3:]
    lengths = np.linalg.norm(along_row), np.linalg.norm(down)
    # Writers round cosines to a few digits: directions are made exact, but never guessed.
    if max(abs(length - 1) for length in lengths) > 10 * SAME_DIRECTION or abs(along_row @ down) > 10 * SAME_DIRECTION:
        raise ImageRefused(
            "bad-orientation",
            "its direction cosines are not two perpendicular unit vectors",
            where=where,
            do="Export the series again, or correct ImageOrientationPatient.",
        )
    along_row = along_row / lengths[0]
    down = down - (down @ along_row) * along_row
    return down / np.linalg.norm(down), along_row


def _step(places: Floats, *, where: str) -> float:
    """Return the distance in mm between slices whose sorted places, (slices,) mm, are evenly spread."""
    gaps = np.diff(places)
    typical = float(np.median(gaps[gaps > SAME_PLACE_MM])) if (gaps > SAME_PLACE_MM).any() else 0.0
    if doubled := int((gaps <= max(SAME_PLACE_MM, EVEN * typical)).sum()):
        raise ImageRefused(
            "two-at-one-place",
            f"{doubled:,} of its {len(places):,} slices lie where another one lies, as with several echoes, times or "
            "directions in one series",
            where=where,
            do="Export each echo, time or direction as a series of its own.",
        )
    wide = gaps[gaps > 1.5 * typical] / typical
    if len(wide) and np.abs(wide - np.rint(wide)).max() < 2 * EVEN:
        gone = int((np.rint(wide) - 1).sum())
        raise ImageRefused(
            "missing-slice",
            f"{count(gone, 'slice is', 'slices are')} missing: some lie {wide.max() * typical:.4g} mm apart and "
            f"the others {typical:.4g} mm",
            where=where,
            do="Send the whole series again.",
        )
    step = float(places[-1] - places[0]) / (len(places) - 1)
    if len(wide) or np.abs(places - places[0] - step * np.arange(len(places))).max() > EVEN * step:
        raise ImageRefused(
            "uneven-spacing",
            f"its slices lie between {gaps.min():.4g} and {gaps.max():.4g} mm apart",
            where=where,
            do="Reconstruct the series with a uniform slice distance.",
        )
    return step


def _check_upright(positions: Floats, normal: Floats, pixel_mm: float, *, where: str) -> None:
    """Refuse a stack that leans: each slice is shifted within its plane against the one before."""
    offsets = positions - positions[0]
    heights = offsets @ normal
    across = offsets - np.outer(heights, normal)  # (slices, 3) mm within the plane
    if np.linalg.norm(across, axis=1).max() <= DRIFT * pixel_mm:
        return
    lean: NDArray[np.float64] = across[-1] / heights[-1]
    if np.linalg.norm(across - np.outer(heights, lean), axis=1).max() > DRIFT * pixel_mm:
        raise ImageRefused(
            "shifted-slices",
            "its slices do not lie above one another",
            where=where,
            do="Export each stack as a series of its own, or reconstruct it on a right-angled grid.",
        )
    degrees = float(np.degrees(np.arctan(np.linalg.norm(lean))))
    raise ImageRefused(
        "tilted",
        f"its slices lean by {degrees:.1f} degrees, as with a tilted gantry, and are not resampled",
        where=where,
        do="Export the series resampled to a right-angled grid.",
    )
