"""Structure sets of radiotherapy: closed contours, filled where the centre of a voxel lies inside.

PS3.3 C.8.8.5 and C.8.8.6. A contour belongs to the image that it references, also where it lies a little above or
below; contours of a slice combine by its ContourGeometricType: ``CLOSEDPLANAR_XOR`` says that they exclude one
another, and under ``CLOSED_PLANAR`` one that lies inside another is a hole, as most planning systems write it, while
keyholes and separate parts come out of the filling by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset, dcmread

from wardround_client.images.attributes import code, items_of, tag, text
from wardround_client.images.dicom import refusing
from wardround_client.images.sop_class import STORAGE
from wardround_client.images.source import opened
from wardround_client.masks.formats.contract import DicomFormat
from wardround_client.masks.meet import Outlined
from wardround_client.masks.structures import Structures
from wardround_client.masks.target import Target
from wardround_client.volumes import Series
from wardround_client.volumes.geometry import Floats
from wardround_common.errors import ImageRefused

Fill = NDArray[np.bool_]
"""(rows, columns)."""

XOR, CLOSED = "CLOSEDPLANAR_XOR", "CLOSED_PLANAR"
IN_PLANE = 0.1
"""How far the points of a contour may lie from one plane, in slices; and a contour without an image from a slice."""
NEAR_IMAGE = 1.0
"""How far a contour may lie from the image that it references, in slices."""
BEYOND = 1.0
"""How far a contour may reach beyond the image, in pixels."""
_EDGES = 4096
"""Edges that are looked at together, so that a contour of any length takes little memory."""
_DIGITS = 4
"""Points are rounded to this many digits of a pixel, so that a vertex on a voxel's centre is on it everywhere."""

_ROIS, _CONTOURS, _CONTOUR = tag("StructureSetROISequence"), tag("ROIContourSequence"), tag("ContourSequence")
_ROI, _REFERENCED_ROI, _NAME = tag("ROINumber"), tag("ReferencedROINumber"), tag("ROIName")
_TYPE, _DATA, _IMAGES = tag("ContourGeometricType"), tag("ContourData"), tag("ContourImageSequence")
_SOP, _FRAME_NUMBER = tag("ReferencedSOPInstanceUID"), tag("ReferencedFrameNumber")
_FRAMES, _STUDIES, _SERIES = (
    tag("ReferencedFrameOfReferenceSequence"),
    tag("RTReferencedStudySequence"),
    tag("RTReferencedSeriesSequence"),
)
_SERIES_UID, _FRAME_UID = tag("SeriesInstanceUID"), tag("FrameOfReferenceUID")
_ROI_FRAME = tag("ReferencedFrameOfReferenceUID")


def target(header: FileDataset) -> Target:
    """Return what a structure set says that it outlines."""
    frames = items_of(header, _FRAMES)
    uids = [
        text(series, _SERIES_UID)
        for frame in frames
        for study in items_of(frame, _STUDIES)
        for series in items_of(study, _SERIES)
    ]
    stated = [text(frame, _FRAME_UID) for frame in frames] + [text(roi, _ROI_FRAME) for roi in items_of(header, _ROIS)]
    return Target.of(header, uids, next((uid for uid in stated if uid), ""))


def read(path: Path, series: Series, structures: Structures) -> Outlined:
    """Fill the contours of a structure set on the grid of a series.

    Raises:
        ImageRefused: ``unreadable``, ``unknown-class``, ``no-closed-contours``, ``contour-off-plane``,
            ``outside-image``, or ``overlap`` if two structures of the study hold one voxel.
    """
    where = str(path)
    with refusing("unreadable", "the structure set cannot be read", where=where):
        with opened(path) as file:
            dataset = dcmread(file)
        names = {text(item, _ROI): text(item, _NAME) for item in items_of(dataset, _ROIS)}
        numbers = {roi: structures.number(name) for roi, name in names.items()}
        drawn = {text(item, _REFERENCED_ROI): item for item in items_of(dataset, _CONTOURS)}
    made = np.zeros(series.geometry.shape, np.uint8)
    looked_at = np.ones(len(series), np.bool_)
    for roi, number in numbers.items():
        if not number:
            continue
        with refusing("unreadable", "a contour cannot be read", where=where):
            contours = _contours(drawn[roi], series, where=where) if roi in drawn else []
        if not contours:
            raise ImageRefused(
                "no-closed-contours",
                "a structure of the study has no closed contour",
                where=where,
                do="Export it as closed contours, or leave the structure out.",
            )
        _fill(made, contours, number, where=where)
        looked_at &= _between(contours, len(series))
    if not any(numbers.values()):
        raise ImageRefused(
            "no-structure",
            "it contains none of the study's structures",
            where=where,
            do="Map the names of its structures to the study's classes, or leave it out.",
        )
    return Outlined(made, looked_at, frozenset(numbers.values()) - {0})


@dataclass(frozen=True, eq=False)
class Contour:
    """A closed contour of one slice."""

    slice: int
    plane: float
    """Where it lies, in slices: contours of other planes that belong to the same image do not combine with it."""
    exclusive: bool
    """Whether it combines with the others of its plane by exclusive or."""
    points: Floats
    """(points, 2): row and column, in pixels."""


def _contours(item: Dataset, series: Series, *, where: str) -> list[Contour]:
    images = {(one.sop_uid, one.number): number for number, one in enumerate(series.slices)}
    made = []
    for contour in items_of(item, _CONTOUR):
        kind = code(contour, _TYPE)
        data = np.array(contour.ContourData if _DATA in contour else (), np.float64).reshape(-1, 3)
        if kind not in (XOR, CLOSED) or len(data) < 3:
            continue
        index = series.geometry.to_index(data)  # (points, 3)
        plane = float(index[:, 0].mean())
        referenced = [
            images[key]
            for image in items_of(contour, _IMAGES)
            if (key := (text(image, _SOP), int(text(image, _FRAME_NUMBER) or 1) - 1)) in images
        ]
        nearest = referenced[0] if referenced else round(plane)
        apart, tolerance = abs(plane - nearest), NEAR_IMAGE if referenced else IN_PLANE
        if np.ptp(index[:, 0]) > IN_PLANE or apart > tolerance + 1e-6:
            raise ImageRefused(
                "contour-off-plane",
                "a contour does not lie in a slice of the series",
                where=where,
                do="Export contours that were drawn on the slices of this series.",
            )
        size = np.array(series.geometry.shape[1:])
        if not 0 <= nearest < len(series) or (index[:, 1:] < -BEYOND).any() or (index[:, 1:] > size - 1 + BEYOND).any():
            raise ImageRefused(
                "outside-image",
                "a contour lies outside the series",
                where=where,
                do="Check that it was drawn on this series.",
            )
        made.append(Contour(nearest, round(plane, 2), kind == XOR, index[:, 1:].round(_DIGITS)))
    return made


def _fill(made: NDArray[np.uint8], contours: Iterable[Contour], number: int, *, where: str) -> None:
    planes = defaultdict[tuple[int, float], list[Contour]](list)
    for contour in contours:
        planes[contour.slice, contour.plane].append(contour)
    for (slice_number, _), together in planes.items():
        filled = combined(
            [inside(contour.points, made.shape[1:]) for contour in together],
            exclusive=any(contour.exclusive for contour in together),
        )
        classes = made[slice_number]
        if ((classes != number) & (classes > 0) & filled).any():
            raise ImageRefused(
                "overlap",
                "two structures of the study hold the same voxel, and a voxel has one class",
                where=where,
                do="Export each structure without the other, or leave one out.",
            )
        classes[filled] = number


def combined(fills: Sequence[Fill], *, exclusive: bool) -> Fill:
    """Combine the filled contours of one plane, each (rows, columns).

    Exclusive ones by exclusive or. Of the others, one that lies inside another is a hole in it, one inside that hole
    is an island again; what overlaps in part, or is there twice, is united.
    """
    made = np.zeros_like(fills[0])
    if exclusive:
        for fill in fills:
            made ^= fill
        return made
    largest_first = sorted(fills, key=lambda fill: -int(fill.sum()))
    for number, fill in enumerate(largest_first):
        around = [other for other in largest_first[:number] if other.sum() > fill.sum() and not (fill & ~other).any()]
        if len(around) % 2:
            made &= ~fill
        else:
            made |= fill
    return made


def inside(points: Floats, shape: tuple[int, ...]) -> Fill:
    """Return the pixels, (rows, columns), whose centre lies inside a closed polygon of (points, 2) rows and columns.

    A centre on an edge belongs to what lies to its right or below, so that two polygons that share an edge share no
    pixel. A polygon that crosses itself, or goes into a hole and back by a keyhole, is filled by parity.
    """
    rows, columns = shape
    ends = np.roll(points, -1, axis=0)
    crossings = np.zeros((rows, columns + 1), np.int64)
    for start in range(0, len(points), _EDGES):
        (y, x), (y_end, x_end) = points[start : start + _EDGES].T, ends[start : start + _EDGES].T  # (edges,)
        centres = np.arange(rows)[:, None]
        row, edge = ((y <= centres) != (y_end <= centres)).nonzero()  # (rows, edges)
        slope = (x_end - x)[edge] / (y_end - y)[edge]
        at = (x[edge] + (row - y[edge]) * slope).round(_DIGITS)
        first = np.clip(np.ceil(at), 0, columns).astype(np.int64)  # the first column whose centre is not left of it
        np.add.at(crossings, (row, first), 1)
    return np.asarray(np.cumsum(crossings[:, :columns], axis=1) % 2 == 1)


def _between(contours: Iterable[Contour], count: int) -> NDArray[np.bool_]:
    """Say which slices were looked at: all, but those left out between contours drawn on every second or third one."""
    looked_at = np.ones(count, np.bool_)
    drawn = np.array(sorted({contour.slice for contour in contours}))
    steps = np.diff(drawn)
    if len(drawn) >= 3 and steps[0] > 1 and (steps == steps[0]).all():
        looked_at[drawn[0] : drawn[-1] + 1] = False
        looked_at[drawn] = True
    return looked_at


FORMAT = DicomFormat("rtstruct", (f"{STORAGE}481.3",), target, read)
