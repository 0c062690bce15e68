"""Attributes that hold for a frame: from the functional groups of enhanced objects, else from the data set itself."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from pydicom import Dataset

from wardround_client.images.attributes import frames_of


def group(dataset: Dataset, sequence: str, frame: int) -> Dataset:
    """Give the functional group of that name for a frame (PS3.3 C.7.6.16), or the data set where there is none."""
    for holder in (
        _item(dataset, "PerFrameFunctionalGroupsSequence", frame),
        _item(dataset, "SharedFunctionalGroupsSequence", 0),
    ):
        if holder is not None and (found := _item(holder, sequence, 0)) is not None:
            return found
    return dataset


def varies(dataset: Dataset, sequence: str) -> bool:
    """Say whether frames may differ in a functional group: whether any has one of its own."""
    return any(sequence in item for item in dataset.get("PerFrameFunctionalGroupsSequence") or ())


def spacing_of(dataset: Dataset) -> tuple[float, ...] | None:
    """Measure the distance between pixels in mm: (row, column), or (slice, row, column) for several frames.

    In a projection the spacing is that of the detector, divided by the magnification where the file states one. The
    slice distance is that between frame positions; SpacingBetweenSlices and then SliceThickness stand in for it.
    """
    measures = group(dataset, "PixelMeasuresSequence", 0)
    plane = _numbers(measures, "PixelSpacing", 2)
    if plane is None and (detector := _numbers(dataset, "ImagerPixelSpacing", 2)) is not None:
        magnification = _numbers(dataset, "EstimatedRadiographicMagnificationFactor", 1) or (1.0,)
        plane = tuple(value / magnification[0] for value in detector)
    plane = plane or _numbers(dataset, "NominalScannedPixelSpacing", 2)
    if plane is None or frames_of(dataset) == 1:
        return plane
    between = _between_frames(dataset)
    for holder in (measures, dataset):
        for word in ("SpacingBetweenSlices", "SliceThickness"):
            between = between or _numbers(holder, word, 1)
    return (*between, *plane) if between else None


def _between_frames(dataset: Dataset) -> tuple[float, ...] | None:
    places = [group(dataset, "PlanePositionSequence", frame).get("ImagePositionPatient") for frame in (0, 1)]
    if not varies(dataset, "PlanePositionSequence") or any(place is None or len(place) != 3 for place in places):
        return None
    distance = float(np.linalg.norm(np.subtract(*(np.array(place, float) for place in places))))
    return (distance,) if math.isfinite(distance) and distance > 0 else None


def _numbers(dataset: Dataset, word: str, count: int) -> tuple[float, ...] | None:
    value = dataset.get(word)
    if value is None or value == "":
        return None
    listed = value if isinstance(value, Sequence) and not isinstance(value, str) else (value,)
    try:
        numbers = tuple(float(number) for number in listed)
    except (TypeError, ValueError):
        return None
    return numbers if len(numbers) == count and all(math.isfinite(n) and n > 0 for n in numbers) else None


def _item(dataset: Dataset, sequence: str, place: int) -> Dataset | None:
    items = dataset.get(sequence)
    return items[place] if items is not None and len(items) > place else None
