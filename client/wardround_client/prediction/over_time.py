"""How the lesions of one patient change over examinations: volumes, diameters and their sums, with intervals.

A model outlines each examination four times: as it is, and mirrored in three ways, each outline mirrored back. The
first gives the figures; by how much the four differ says how far the model's own outlines can be trusted here, and an
edge is nowhere known better than to the voxel. From both comes the interval of each difference. What another scan on
the same day would have shown differently is not in it (docs/change.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydicom import dcmread
from scipy import ndimage

from wardround_client.images.attributes import tag, text
from wardround_client.images.dicom import refusing
from wardround_client.prediction.lesion_tracks import Outlined, Track, tracks_of
from wardround_client.prediction.model import Model
from wardround_client.prediction.predicting import NotDone, ask
from wardround_client.prediction.registration import Registered, register
from wardround_client.tasks.contract import Asked, Case
from wardround_client.volumes import Series
from wardround_common.errors import DataError

Floats = NDArray[np.float64]
Masks = NDArray[np.uint8]
VIEWS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
"""The axes of the network's images that are mirrored: none, columns, rows, both."""
LEVEL, _DEVIATIONS = 0.95, 1.959964
LEAST_SHOWN_MM = 10.0
"""Long axis from which RECIST 1.1 counts a lesion as measurable."""
DIGITS = 3
_DATE = tag("StudyDate")
ASSUMPTION = (
    "The interval is of how far four outlines of the same images by the model differ (as they are, and mirrored), and "
    "of edges that are known to the voxel; it takes differences for normally distributed. That another scan on the "
    "same day, or another reader, would differ is not in it."
)


@dataclass(frozen=True, eq=False)
class Examined:
    """One examination of the patient, outlined."""

    date: str
    """Year, month and day: 2026-11-28."""
    series: Series = field(repr=False)
    views: tuple[Masks, ...] = field(repr=False)
    """(slices, rows, columns) on the grid of the series, for each of :data:`VIEWS`; 0 is background."""
    registered: Registered
    unlike: bool = False
    """Whether it was found to be unlike the images of the model's training."""

    def outlined(self, structure: int, view: int = 0) -> Outlined:
        """Return what is outlined of a structure in one of the views."""
        return Outlined(self.views[view] == structure, self.series.geometry, self.registered.to_first)


def examine(model: Model, cases: Sequence[Case], tell: Callable[[int], None] = lambda done: None) -> list[Examined]:
    """Outline every examination of a patient in all views, lay them on the first one, and sort them by date.

    Raises:
        DataError: there are fewer than two, they are not of one patient, their dates are unknown or the same, or they
            cannot be laid on one another.
        ModelError: an output of the model is not a finite number.
    """
    dated = in_order(cases)
    found: list[Examined] = []
    for number, (date, case) in enumerate(dated):
        registered = register(dated[0][1].series[0], case.series[0])
        views, unlike = [], False
        for axes in VIEWS:
            (one,) = ask(model, [_mirrored(case, axes)])
            if isinstance(one, NotDone):
                raise DataError(f"the examination of {date} cannot be used: {one.why} ({one.reason})", do=one.do)
            if one.answer.outline is None:
                raise DataError("this model outlines nothing, so that no lesion can be followed")
            views.append(one.answer.outline)
            if not axes:
                unlike = bool(one.answer.facts.get("unlike", {}).get("unlike"))
        found.append(Examined(date, case.series[0], tuple(views), registered, unlike))
        tell(number + 1)
    return found


def in_order(cases: Sequence[Case]) -> list[tuple[str, Case]]:
    """Sort a patient's examinations by date.

    Raises:
        DataError: there are fewer than two, they are not of one patient, or their dates are unknown or the same.
    """
    if len(cases) < 2:
        raise DataError(
            f"change is between two examinations or more, and here {'is one' if cases else 'is none'}",
            do="Name the folders of the patient's examinations.",
        )
    if not all(case.series for case in cases):
        raise DataError("this model is asked about single images, in which no lesion can be followed")
    patients = {case.series[0].patient for case in cases}
    if "" in patients:
        raise DataError(
            "an examination does not say whose it is, so that nothing is compared",
            do="Use the DICOM files, which state a PatientID; NIfTI has none.",
        )
    if len(patients) > 1:
        raise DataError(
            f"these are examinations of {len(patients)} patients, and change is of one",
            do="Name one patient's examinations.",
        )
    dated = sorted(((_date_of(case), case) for case in cases), key=lambda each: each[0])
    for (date, _), (after, _) in pairwise(dated):
        if date == after:
            raise DataError(
                f"two examinations are of the same date, {date}, so that which came first is not known",
                do="Name one examination of each day.",
            )
    return dated


def _date_of(case: Case) -> str:
    path = case.series[0].slices[0].file
    do = "Ask about DICOM files, whose StudyDate says when they were made."
    with refusing("not-dicom", "an examination is not DICOM, and states no date", where=str(path), do=do):
        stated = text(dcmread(path, stop_before_pixels=True, specific_tags=[_DATE]), _DATE)
    if len(stated) != 8 or not stated.isdecimal():
        raise DataError(
            "an examination states no date (StudyDate), so that its place in time is not known",
            do="Use files whose dates were kept, or shifted by the same number of days for all of a patient's.",
        )
    return f"{stated[:4]}-{stated[4:6]}-{stated[6:]}"


def _mirrored(case: Case, axes: tuple[int, ...]) -> Case:
    """Return a case whose images are mirrored, and its outline mirrored back."""
    if not axes:
        return case

    def prepare() -> Asked:
        asked = case.prepare()
        back = asked.back
        if back is None:
            raise DataError("this model outlines nothing, so that no lesion can be followed")
        images = np.ascontiguousarray(np.flip(asked.images, axes))
        return replace(asked, images=images, back=lambda outputs: back(torch.flip(outputs, axes)))

    return replace(case, prepare=prepare)


def change_of(examinations: Sequence[Examined], classes: Sequence[str]) -> dict[str, Any]:
    """Follow every structure over the examinations, as JSON: numbers and words."""
    return {
        "examinations": [_said_of(one) for one in examinations],
        "structures": [_followed(examinations, number, word) for number, word in enumerate(classes, 1)],
        "interval": {"level": LEVEL, "views": len(VIEWS), "assumption": ASSUMPTION},
    }


def _said_of(one: Examined) -> dict[str, Any]:
    registered = one.registered
    return {
        "date": one.date,
        "study_uid": one.series.study_uid,
        "series_uid": one.series.uid,
        "registration": registered.method,
        "correlation": round(registered.correlation, DIGITS),
        "overlap": round(registered.overlap, DIGITS),
        "turned_degrees": round(registered.turn_degrees, DIGITS),
        "unlike": one.unlike,
    }


def _followed(examinations: Sequence[Examined], structure: int, word: str) -> dict[str, Any]:
    outlined = [one.outlined(structure) for one in examinations]
    tracks = tracks_of(outlined)
    others = [
        [one.outlined(structure, view) for view in range(1, len(one.views))] for one in examinations
    ]  # (examinations, views)
    spread = [[_spread(track, t, outlined[t], others[t]) for t in range(len(examinations))] for track in tracks]
    lesions = []
    for number, (track, spreads) in enumerate(zip(tracks, spread, strict=True), 1):
        seen = []
        for t, one in enumerate(track.seen):
            place = [outlined[t].parts[part - 1] for part in one.parts]
            centre = outlined[t].geometry.to_mm(place[0].centre) if place else None
            seen.append(
                {
                    "date": examinations[t].date,
                    "state": one.state,
                    "parts": len(one.parts),
                    "volume_ml": round(one.volume_ml, DIGITS),
                    "long_axis_mm": round(one.long_mm, DIGITS),
                    "short_axis_mm": round(one.short_mm, DIGITS),
                    "measurable": one.long_mm >= LEAST_SHOWN_MM,
                    "centre": None if centre is None else [round(float(mm), DIGITS) for mm in centre],
                }
            )
        volumes, lengths = [one.volume_ml for one in track.seen], [one.long_mm for one in track.seen]
        shown = "outside" not in (track.seen[0].state, track.seen[-1].state)
        lesions.append(
            {
                "lesion": number,
                "seen": seen,
                "volume_ml": _difference(volumes, [each[0] for each in spreads]) if shown else None,
                "long_axis_mm": _difference(lengths, [each[1] for each in spreads]) if shown else None,
            }
        )
    sums = {
        name: [sum(getattr(track.seen[t], attribute) for track in tracks) for t in range(len(examinations))]
        for name, attribute in (("volume_ml", "volume_ml"), ("sum_of_diameters_mm", "long_mm"))
    }
    whole = [_whole_spread(outlined[t], others[t]) for t in range(len(examinations))]
    return {
        "structure": word,
        "lesions": lesions,
        "not_shown": [
            one.date for t, one in enumerate(examinations) if any(track.seen[t].state == "outside" for track in tracks)
        ],
        **{
            name: {
                "of": [round(value, DIGITS) for value in values],
                **_difference(values, [each[which] for each in whole]),
            }
            for which, (name, values) in enumerate(sums.items())
        },
    }


def _spread(track: Track, t: int, main: Outlined, views: Sequence[Outlined]) -> tuple[float, float]:
    """Return the standard deviation of a lesion's volume in mL and long axis in mm in one examination."""
    parts = np.array(track.seen[t].parts, np.int64)
    region = np.isin(main.labels, parts) if len(parts) else np.zeros(main.labels.shape, bool)
    volumes, lengths = [track.seen[t].volume_ml], [track.seen[t].long_mm]
    for view in views:
        touching = np.unique(view.labels[region])
        of = [view.parts[number - 1] for number in touching.tolist() if number]
        volumes.append(sum(part.volume_ml for part in of))
        lengths.append(sum(part.diameters.long_mm for part in of))
    edges = _edges(main, region)
    return (
        math.hypot(float(np.std(volumes, ddof=1)), edges[0]),
        math.hypot(float(np.std(lengths, ddof=1)), edges[1] * math.sqrt(len(parts))),
    )


def _whole_spread(main: Outlined, views: Sequence[Outlined]) -> tuple[float, float]:
    """Return the same of all lesions together: what the views differ by is not independent from lesion to lesion."""
    everything = [main, *views]
    volumes = [sum(part.volume_ml for part in one.parts) for one in everything]
    lengths = [sum(part.diameters.long_mm for part in one.parts) for one in everything]
    edges = _edges(main, main.there)
    return (
        math.hypot(float(np.std(volumes, ddof=1)), edges[0]),
        math.hypot(float(np.std(lengths, ddof=1)), edges[1] * math.sqrt(len(main.parts))),
    )


def _edges(outlined: Outlined, region: NDArray[np.bool_]) -> tuple[float, float]:
    """Return how far a volume in mL and a length in mm are known from voxels: an edge is uniform over one voxel.

    The faces of a surface are taken for independent; each voxel on it is in or out by a half on average.
    """
    if not region.any():
        return 0.0, 0.0
    surface = int(np.count_nonzero(region & ~ndimage.binary_erosion(region)))
    pixel = max(outlined.geometry.spacing_mm[1:])
    return outlined.geometry.voxel_ml * math.sqrt(surface / 12), pixel * math.sqrt(2 / 12)


def _difference(values: Sequence[float], deviations: Sequence[float]) -> dict[str, Any]:
    """Say how the last value differs from the first and from the least before it, with the interval of the former."""
    first, last, least = values[0], values[-1], min(values[:-1])
    difference, deviation = last - first, math.hypot(deviations[0], deviations[-1])
    low, high = difference - _DEVIATIONS * deviation, difference + _DEVIATIONS * deviation
    return {
        "difference": round(difference, DIGITS),
        "interval": [round(low, DIGITS), round(high, DIGITS)],
        "beyond_interval": not low <= 0 <= high,
        "percent": round(100 * difference / first, 1) if first else None,
        "percent_of_least": round(100 * (last - least) / least, 1) if least else None,
    }


def rows_of(change: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the rows of a table: one for each lesion and examination, and one for the sums of each."""
    for structure in change["structures"]:
        for lesion in structure["lesions"]:
            for seen in lesion["seen"]:
                shown = {key: value for key, value in seen.items() if key != "centre"}
                yield {"structure": structure["structure"], "lesion": lesion["lesion"], **shown}
        for t, examination in enumerate(change["examinations"]):
            yield {
                "structure": structure["structure"],
                "lesion": "all",
                "date": examination["date"],
                "volume_ml": structure["volume_ml"]["of"][t],
                "long_axis_mm": structure["sum_of_diameters_mm"]["of"][t],
            }
