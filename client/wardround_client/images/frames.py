"""Attributes that hold for a frame: from the functional groups of enhanced objects, else from the data set itself."""

from __future__ import annotations

import math

import numpy as np
from pydicom import Dataset
from pydicom.tag import BaseTag

from wardround_client.images.attributes import elements_of, frames_of, items_of, numbers, tag
from wardround_client.images.distances import check_distances

PER_FRAME, _SHARED = tag("PerFrameFunctionalGroupsSequence"), tag("SharedFunctionalGroupsSequence")
_MEASURES, _PLANE, _POSITION = tag("PixelMeasuresSequence"), tag("PlanePositionSequence"), tag("ImagePositionPatient")
_SPACING, _DETECTOR, _SCANNED = tag("PixelSpacing"), tag("ImagerPixelSpacing"), tag("NominalScannedPixelSpacing")
_MAGNIFICATION = tag("EstimatedRadiographicMagnificationFactor")
_CALIBRATION = tag("PixelSpacingCalibrationType")
_ASPECT = tag("PixelAspectRatio")
_MOST_ASPECT = 10.0
"""By how much a pixel is believed to be longer than it is wide, or wider than long."""
_BETWEEN = (tag("SpacingBetweenSlices"), tag("SliceThickness"))


def group(dataset: Dataset, sequence: BaseTag, frame: int) -> Dataset:
    """Return the functional group of that tag for a frame (PS3.3 C.7.6.16), or the data set where there is none."""
    for holder in (*items_of(dataset, PER_FRAME)[frame : frame + 1], *items_of(dataset, _SHARED)[:1]):
        for found in items_of(holder, sequence)[:1]:
            return found
    return dataset


def varies(dataset: Dataset, sequence: BaseTag) -> bool:
    """Say whether frames may differ in a functional group: whether any has one of its own."""
    return any(sequence in elements_of(item) for item in items_of(dataset, PER_FRAME))


def spacing_of(dataset: Dataset, *, where: str) -> tuple[float, ...] | None:
    """Measure the distance between pixels in mm: (row, column), or (slice, row, column) for several frames.

    In a projection the spacing is that of the detector, divided by the magnification where the file states one. A
    PixelSpacing that is the detector's says by that that it was not corrected (PS3.3 10.7.1.1), unless it states a
    calibration. The slice distance is that between frame positions; SpacingBetweenSlices and then SliceThickness stand
    in for it. A distance of zero states none.

    Raises:
        ImageRefused: ``pixel-distances``: one is negative, or nothing is measured at it.
    """
    measures = group(dataset, _MEASURES, 0)
    plane = _distances(measures, _SPACING, where=where)
    detector = _distances(dataset, _DETECTOR, where=where)
    if detector is not None and (plane is None or (_CALIBRATION not in dataset and np.allclose(plane, detector))):
        magnification = _numbers(dataset, _MAGNIFICATION, 1) or (1.0,)
        plane = tuple(value / magnification[0] for value in detector)
        check_distances(plane, where=where)
    plane = plane or _distances(dataset, _SCANNED, where=where)
    if plane is None or frames_of(dataset) == 1:
        return plane
    between = _between_frames(dataset)
    for holder in (measures, dataset):
        for which in _BETWEEN:
            between = between or _numbers(holder, which, 1)
    if between is None:
        return None
    check_distances(between, where=where)
    return (*between, *plane)


def stated_aspect_of(dataset: Dataset) -> float:
    """Return how high a pixel is for its width, by PixelAspectRatio; 1 where it states none that can be.

    It is for images that state no distance (PS3.3 C.7.6.3.1.7).
    """
    high, wide = _numbers(dataset, _ASPECT, 2) or (1.0, 1.0)
    return high / wide if 1 / _MOST_ASPECT <= high / wide <= _MOST_ASPECT else 1.0


def _between_frames(dataset: Dataset) -> tuple[float, ...] | None:
    places = [_position(dataset, frame) for frame in (0, 1)]
    if not varies(dataset, _PLANE) or any(len(place) != 3 for place in places):
        return None
    distance = float(np.linalg.norm(np.subtract(*(np.array(place) for place in places))))
    return (distance,) if math.isfinite(distance) and distance > 0 else None


def _position(dataset: Dataset, frame: int) -> tuple[float, ...]:
    try:
        return numbers(group(dataset, _PLANE, frame), _POSITION)
    except ValueError:
        return ()


def _distances(dataset: Dataset, which: BaseTag, *, where: str) -> tuple[float, ...] | None:
    found = _numbers(dataset, which, 2, above=-math.inf)
    if found is None or 0 in found:
        return None
    check_distances(found, where=where)
    return found


def _numbers(dataset: Dataset, which: BaseTag, count: int, *, above: float = 0.0) -> tuple[float, ...] | None:
    try:
        found = numbers(dataset, which)
    except ValueError:
        return None
    return found if len(found) == count and all(number > above for number in found) else None
