"""The boxes of a hospital's lesions, from structured reports: planar regions of measurement reports (TID 1500).

A region of one of the study's classes is a box around it. An image that a report lists as its evidence, and marks
nothing on, is one in which nothing is; one with a region that is no box of the study is left out, as are images of
which two reports speak: one may correct the other.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from highdicom import sr
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from wardround_client.images.dicom import quiet
from wardround_client.images.sop_class import OURS
from wardround_client.intake.boxes import Box, Boxes
from wardround_client.intake.instance import Index, Instance
from wardround_client.intake.labels import patients_beside
from wardround_common.counting import count
from wardround_common.errors import LabelError
from wardround_common.metrics.boxes import MOST_BOXES
from wardround_common.one_form import one_form

REPORT = "report"
"""The reason under which a scan refuses a structured report: it is no image."""


@dataclass
class _Said:
    """What the reports say of one image, by its SOP instance UID."""

    reports: set[str] = field(default_factory=set)
    boxes: set[Box] = field(default_factory=set)
    doubt: str = ""
    """Why the image is left out; empty if it is not."""


def reported_boxes(folder: Path, index: Index, classes: tuple[str, ...], coded: Mapping[str, tuple[str, str]]) -> Boxes:
    """Read which boxes each accepted file has.

    ``coded``: the scheme and the value of each class that has a code. A region's finding is of a class by its code, or
    by the code's meaning where that is the class's word.

    Raises:
        LabelError: there is no report, or none speaks of an accepted image with a region of a class of the study.
    """
    unmet: Counter[str] = Counter()
    said: dict[str, _Said] = defaultdict(_Said)
    kinds = {pair: number for number, word in enumerate(classes) if (pair := coded.get(word))}
    kinds_by_word = {one_form(word).casefold(): number for number, word in enumerate(classes)}
    files = [refusal.file for refusal in index.refused if refusal.reason == REPORT]
    if not files:
        raise LabelError(
            "there are no structured reports",
            where=str(folder),
            do="Put the reports (TID 1500) into the folder of images and scan it again; docs/detection.md says which.",
        )
    for file in files:
        try:
            _read(folder / file, said, kinds, kinds_by_word)
        except _NoUseError as why:
            unmet[why.reason] += 1
    found: dict[str, tuple[Box, ...]] = {}
    for one in index.accepted:
        about = said.pop(one.sop_uid, None)
        if about is None:
            continue
        if reason := _why_not(about, one):
            unmet[reason] += 1
        else:
            found[one.file] = tuple(sorted(about.boxes))
    unmet["unknown-image"] += sum(bool(about.boxes) for about in said.values())
    if not any(found.values()):
        counted = ", ".join(f"{count} {reason}" for reason, count in sorted(unmet.items()) if count)
        raise LabelError(
            f"{count(len(files), 'structured report marks', 'structured reports mark')} no lesion of the study on an "
            f"accepted image{f' ({counted})' if counted else ''}",
            where=str(folder),
            do="The classes of the study are the codes or the meanings of the reports' findings; write codes in [task] "
            "where they are not. docs/detection.md says which regions are read.",
        )
    return Boxes(found, patients_beside(folder, index), {reason: count for reason, count in unmet.items() if count})


class _NoUseError(Exception):
    """A report that says nothing of use, with the reason that it is counted by."""

    def __init__(self, reason: str) -> None:
        self.reason = reason


def _read(path: Path, said: dict[str, _Said], kinds: Mapping[tuple[str, str], int], by_word: Mapping[str, int]) -> None:
    """Note what one report says of each image.

    Raises:
        _NoUseError: it is none of TID 1500, is not complete, or is not a person's.
    """
    try:
        with quiet():
            report = sr.srread(path)
            content = report.content
            if not isinstance(content, sr.MeasurementReport):
                raise _NoUseError("other-template")
            if report.get("CompletionFlag") == "PARTIAL":
                raise _NoUseError("not-complete")
            people = content.get_observer_contexts(observer_type=codes.DCM.Person)
            machines = content.get_observer_contexts(observer_type=codes.DCM.Device)
            if str(report.get("Manufacturer", "")) == OURS or (machines and not people):
                raise _NoUseError("by-a-machine")
            groups = list(content.get_planar_roi_measurement_groups())
            regions = [region for group in groups for region in _regions(group, kinds, by_word)]
            evidence = set(_evidence(report))
    except _NoUseError:
        raise
    except Exception:  # noqa: BLE001  # a file of anybody's: whatever is wrong is wrong with it, and it is counted
        raise _NoUseError("unreadable") from None
    for uid in evidence:
        said[uid].reports.add(str(report.SOPInstanceUID))
    for uid, box, doubt in regions:
        about = said[uid]
        about.reports.add(str(report.SOPInstanceUID))
        about.doubt = about.doubt or doubt
        if box is not None:
            about.boxes.add(box)


def _regions(
    group: Any, kinds: Mapping[tuple[str, str], int], by_word: Mapping[str, int]
) -> Iterator[tuple[str, Box | None, str]]:
    """Yield the image of a region, its box or None, and why it has none."""
    roi, finding = group.roi, group.finding_type
    if not isinstance(roi, sr.ImageRegion):
        uids = [str(item.ReferencedSOPInstanceUID) for item in _references(group)]
        yield from ((uid, None, "no-box") for uid in uids)
        return
    (reference,) = roi.ContentSequence[0].ReferencedSOPSequence
    uid = str(reference.ReferencedSOPInstanceUID)
    number = None
    if finding is not None:
        number = kinds.get((finding.scheme_designator, finding.value), by_word.get(_form(finding.meaning)))
    if number is None:
        yield uid, None, "other-finding"
        return
    frames = reference.get("ReferencedFrameNumber")
    corners = corners_of(str(roi.GraphicType), np.array(roi.GraphicData, np.float64).reshape(-1, 2))
    if corners is None or (frames is not None and frames != 1):
        yield uid, None, "no-box"
        return
    (left, top), (right, bottom) = corners
    yield uid, Box(top, left, bottom, right, number), ""


def _form(word: str) -> str:
    return one_form(word).casefold()


def _references(group: Any) -> Iterator[Dataset]:
    """Yield the references to images anywhere below a measurement group."""
    for item in group:
        for element in item.iterall():
            if element.keyword == "ReferencedSOPSequence":
                yield from element.value


def corners_of(kind: str, points: NDArray[np.float64]) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Return the upper left and the lower right corner (x, y) of the box around a region (PS3.3 C.18.6.1.2).

    ``points`` (n, 2) are column and row, from 0 at the upper left corner of the upper left pixel. None if the region
    has no area, or is no region, as a line that is not closed.
    """
    if kind == "CIRCLE" and len(points) == 2:
        reach = np.full(2, np.hypot(*(points[1] - points[0])))
        low, high = points[0] - reach, points[0] + reach
    elif kind == "ELLIPSE" and len(points) == 4:
        centre = points.mean(axis=0)
        reach = np.hypot(*((points[0] - points[1]) / 2, (points[2] - points[3]) / 2))
        low, high = centre - reach, centre + reach
    elif kind == "POLYLINE" and len(points) > 3 and np.allclose(points[0], points[-1]):
        low, high = points.min(axis=0), points.max(axis=0)
    else:
        return None
    if not (low < high).all():
        return None
    return (float(low[0]), float(low[1])), (float(high[0]), float(high[1]))


def _evidence(report: Dataset) -> Iterator[str]:
    for name in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in report.get(name, ()):
            for series in study.ReferencedSeriesSequence:
                for item in series.ReferencedSOPSequence:
                    yield str(item.ReferencedSOPInstanceUID)


def _why_not(about: _Said, one: Instance) -> str:
    """Say why an image of which reports speak is left out; empty if it is not."""
    if len(about.reports) > 1:
        return "two-reports"
    if len(about.boxes) > MOST_BOXES:
        return "too-many"
    outside = any(
        box.left < 0 or box.top < 0 or box.right > one.columns or box.bottom > one.rows for box in about.boxes
    )
    return "outside-image" if outside else about.doubt
