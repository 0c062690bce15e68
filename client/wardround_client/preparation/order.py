"""In which order a recurrent network reads the images of a record: by time, then series by series, then along each.

- Examinations (StudyInstanceUID) by StudyDate, and those of one day by StudyTime.
- Of one examination, series by SeriesNumber, and those of one number by SeriesDate and SeriesTime.
- Of one series, images by their place along the normal of its slices, towards the head, the back or the left, whichever
  is nearest (PS3.3 C.7.6.2.1.1), and those in one place by InstanceNumber; by that alone where not all state a place.
- Images that are no DICOM: by the last number in their files' names, all of one folder.

Nothing is guessed: where two would be in one place, or a step of this is not stated and is needed, there is no order.
What is read of a file decides the order and is kept nowhere.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.tag import BaseTag

from wardround_client.images.attributes import numbers, tag, text
from wardround_client.images.dicom import refusing
from wardround_client.images.frames import group
from wardround_client.intake.instance import Instance
from wardround_client.preparation.bags import name_of
from wardround_client.preparation.headers import read_header
from wardround_client.preparation.source import Source
from wardround_common.errors import ImageRefused
from wardround_common.study.data import Data

NO_ORDER, SAME_PLACE = "no-order", "same-place"
MEANINGS = {
    NO_ORDER: "its files do not say in which order the images of a record are",
    SAME_PLACE: "two images of a record are in one place of its order",
}
DO_ASKED = (
    "Ask about DICOM files that state StudyDate, SeriesNumber, ImagePositionPatient and InstanceNumber, or about other "
    "files of one folder whose names end in their number."
)
DO_SERIES = (
    "Ask about DICOM files that state ImagePositionPatient and ImageOrientationPatient, or InstanceNumber, each with "
    "another place or number, or about other files of one folder whose names end in their number."
)
_STUDY, _STUDY_DATE, _STUDY_TIME = tag("StudyInstanceUID"), tag("StudyDate"), tag("StudyTime")
_SERIES, _SERIES_NUMBER = tag("SeriesInstanceUID"), tag("SeriesNumber")
_SERIES_DATE, _SERIES_TIME = tag("SeriesDate"), tag("SeriesTime")
_PLACE, _PLACES = tag("ImagePositionPatient"), tag("PlanePositionSequence")
_ORIENTATION, _ORIENTATIONS = tag("ImageOrientationPatient"), tag("PlaneOrientationSequence")
_NUMBER = tag("InstanceNumber")
_READ = [
    *(_STUDY, _STUDY_DATE, _STUDY_TIME, _SERIES, _SERIES_NUMBER, _SERIES_DATE, _SERIES_TIME),
    *(_PLACE, _ORIENTATION, _NUMBER),
    *(tag("SharedFunctionalGroupsSequence"), tag("PerFrameFunctionalGroupsSequence")),
]
_TIME = re.compile(r"\d{2}(\d{2}(\d{2}(\.\d{1,6})?)?)?")
_DIGITS = re.compile(r"\d+")
_ONE_PLANE = 0.999
"""The least cosine between the normals of slices that are counted along one of them."""
_MM_DIGITS = 2
"""Slices nearer than 0.01 mm are in one place."""


@dataclass(frozen=True, eq=False)
class Said:
    """What a file says of where it belongs among the images of its record; None where it does not."""

    examination: str = field(repr=False)
    series: str = field(repr=False)
    date: str | None = field(default=None, repr=False)
    time: str | None = field(default=None, repr=False)
    series_number: int | None = None
    series_time: str | None = field(default=None, repr=False)
    normal: NDArray[np.float64] | None = field(default=None, repr=False)
    """(3,) of the slice, towards the head, the back or the left."""
    place_mm: NDArray[np.float64] | None = field(default=None, repr=False)
    """(3,) of its first pixel in the patient."""
    number: int | None = None


NOTHING = Said("", "")


def said_in(header: Dataset | None, file: PurePath) -> Said:
    """Return what an image says of its place, by its attributes, or by its name if it has none."""
    if header is None:
        folder, digits = str(file.parent), _DIGITS.findall(file.stem)
        return Said(folder, folder, number=int(digits[-1]) if digits else None)
    try:
        with refusing("unreadable", "the attributes cannot be read", where=str(file)):
            return _said(header)
    except ImageRefused:
        return NOTHING


def _said(header: Dataset) -> Said:
    date, series_date = _date(text(header, _STUDY_DATE)), _date(text(header, _SERIES_DATE))
    series_time = _time(text(header, _SERIES_TIME))
    across = _vector(group(header, _ORIENTATIONS, 0), _ORIENTATION, 6)
    return Said(
        examination=text(header, _STUDY),
        series=text(header, _SERIES),
        date=date,
        time=_time(text(header, _STUDY_TIME)),
        series_number=_whole(header, _SERIES_NUMBER),
        series_time=series_date + series_time if series_date and series_time else None,
        normal=None if across is None else _normal(across),
        place_mm=_vector(group(header, _PLACES, 0), _PLACE, 3),
        number=_whole(header, _NUMBER),
    )


class _NoOrderError(Exception):
    """There is no order; ``reason`` is one of :data:`MEANINGS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Stated = Callable[[Said], str | int | None]


def in_order(images: Sequence[Said]) -> list[int] | str:
    """Return the places of some images in their order, or the reason why they have none."""
    try:
        return [
            place
            for examination in _apart(images, range(len(images)), *_EXAMINATIONS)
            for series in _apart(images, examination, *_SERIES_OF_ONE)
            for place in _along(images, series)
        ]
    except _NoOrderError as none:
        return none.reason


_EXAMINATIONS: tuple[Stated, Stated, Stated] = (
    lambda one: one.examination or one.date,
    lambda one: one.date,
    lambda one: one.time,
)
_SERIES_OF_ONE: tuple[Stated, Stated, Stated] = (
    lambda one: one.series,
    lambda one: one.series_number,
    lambda one: one.series_time,
)


def _apart(images: Sequence[Said], places: Sequence[int], name: Stated, first: Stated, then: Stated) -> list[list[int]]:
    """Put images of one name together: in the order of what is stated first, and where that is the same, then."""
    together: dict[str | int | None, list[int]] = defaultdict(list)
    for place in places:
        together[name(images[place])].append(place)
    parts = list(together.values())
    if len(parts) == 1:
        return parts
    return [parts[at] for at in _sorted(*([_least(images, part, of) for part in parts] for of in (first, then)))]


def _least(images: Sequence[Said], places: Sequence[int], stated: Stated) -> str | int | None:
    found = [value for place in places if (value := stated(images[place])) is not None]
    return min(found, default=None)


def _along(images: Sequence[Said], places: Sequence[int]) -> list[int]:
    """Sort the images of a series."""
    if len(places) == 1:
        return list(places)
    said = [images[place] for place in places]
    number, along = [one.number for one in said], _places_along(said)
    return [places[at] for at in (_sorted(number, number) if along is None else _sorted(along, number))]


def _places_along(said: Sequence[Said]) -> list[float] | None:
    """Return where each slice is along the normal that they have in common, in mm; None if they have none."""
    normal, found = said[0].normal, []
    for one in said:
        if normal is None or one.normal is None or one.place_mm is None or float(normal @ one.normal) < _ONE_PLANE:
            return None
        found.append(round(float(normal @ one.place_mm), _MM_DIGITS))
    return found


def _sorted(first: Sequence[Any], then: Sequence[Any]) -> list[int]:
    """Return the places of the numbers in ``first`` in their order, those of one number by ``then``.

    Raises:
        _NoOrderError: one is not known, or two are the same in both.
    """
    if None in first:
        raise _NoOrderError(NO_ORDER)
    times = Counter(first)
    keys = [(value, then[at] if times[value] > 1 else 0) for at, value in enumerate(first)]
    if any(second is None for _, second in keys) or len(set(keys)) < len(keys):
        raise _NoOrderError(SAME_PLACE)
    return sorted(range(len(keys)), key=keys.__getitem__)


def order_of(
    source: Source, data: Data, files: Sequence[Instance], of_sequence: Mapping[str, int | str]
) -> dict[str, int | str]:
    """Return of each file of one image its place in the order of its record, or the reason why the record has none.

    ``of_sequence``: the number of each one's sequence, where the study tells them apart: each has an order of its own.
    """
    records: dict[tuple[str, str], dict[int | str, list[Instance]]] = defaultdict(lambda: defaultdict(list))
    for one in (each for each in files if each.frames == 1):  # others are refused, and have no part in an order
        records[name_of(one, data)][of_sequence.get(one.file, 0)].append(one)
    found: dict[str, int | str] = {}
    for record in records.values():
        own: dict[str, int | str] = {}
        for images in record.values():
            places = in_order([_read(source, one) for one in images])
            if isinstance(places, str):
                own = {one.file: places for all_of in record.values() for one in all_of}
                break
            own |= {images[at].file: place for place, at in enumerate(places)}
        found |= own
    return found


def _read(source: Source, one: Instance) -> Said:
    file = PurePath(one.file)
    if one.plain:
        return said_in(None, file)
    return read_header(source, one, lambda header: said_in(header, file), _READ) or NOTHING


def _date(stated: str) -> str | None:
    try:
        return stated if len(stated) == 8 and datetime.strptime(stated, "%Y%m%d") else None
    except ValueError:
        return None


def _time(stated: str) -> str | None:
    """Return a time in full, so that words sort as times do."""
    return stated.replace(".", "").ljust(12, "0") if _TIME.fullmatch(stated) else None


def _whole(header: Dataset, which: BaseTag) -> int | None:
    found = _vector(header, which, 1)
    return None if found is None or found[0] % 1 else int(found[0])


def _vector(header: Dataset, which: BaseTag, size: int) -> NDArray[np.float64] | None:
    try:
        found = numbers(header, which)
    except ValueError:
        return None
    return np.array(found) if len(found) == size else None


def _normal(across: NDArray[np.float64]) -> NDArray[np.float64] | None:
    """Return the unit vector (3,) on which a slice stands, towards head, back or left, from its (6,) cosines."""
    normal = np.cross(across[:3], across[3:])
    length = float(np.linalg.norm(normal))
    if length < 0.5:  # two sides that are parallel span no plane
        return None
    return np.asarray(normal / (length * np.sign(normal[np.abs(normal).argmax()])))
