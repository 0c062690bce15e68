"""Detection in a hospital: boxes from a table or around outlines, a network that finds centres, sums over lesions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wardround_client.intake.boxes import Boxes, find_boxes
from wardround_client.intake.instance import Index, Instance
from wardround_client.preparation import box_page, outline_page
from wardround_client.preparation.asking import image_cases, series_cases, slices_of
from wardround_client.preparation.source import Source
from wardround_client.tasks import outline_choice, segmentation
from wardround_client.tasks.box_form import CLASS, NONE, around_parts, from_form, moved, to_form, together
from wardround_client.tasks.box_loss import box_loss
from wardround_client.tasks.box_peaks import drawn, finds, lesions_of
from wardround_client.tasks.contract import (
    Answer,
    Asked,
    Asking,
    Case,
    Chosen,
    Found,
    LocalTask,
    Outputs,
    Records,
    Targets,
)
from wardround_client.tasks.outline_measures import Places
from wardround_client.volumes import Refused, Series
from wardround_common.counting import chance, kept
from wardround_common.errors import ModelError
from wardround_common.metrics.boxes import BoxSums, edge_of
from wardround_common.metrics.boxes import bins_of as bins
from wardround_common.study.data import Data
from wardround_common.study.file import Study
from wardround_common.study.steps import Area
from wardround_common.tasks import detection
from wardround_common.tasks.detection import Detection

TOGETHER = 16
"""Records whose loss is computed at a time: it needs several times the memory of their outputs."""
PIXEL_DIGITS, DIGITS = 1, 4
"""Of a box in pixels, and of a confidence or of mm, that are written down."""


def _find(source: Source, index: Index, study: Study) -> Found:
    if _section(study).boxes == "masks":
        return segmentation.TASK.find(source, index, study)
    said = boxes_of(source, index, study)
    words = {
        file: ";".join(f"{b.left:g},{b.top:g},{b.right:g},{b.bottom:g},{study.groups[b.of_class]}" for b in boxes)
        or "nothing"
        for file, boxes in said.of.items()
    }
    centres = {
        file: [((b.top + b.bottom) / 2, (b.left + b.right) / 2) for b in boxes] for file, boxes in said.of.items()
    }
    more = (said, source.folder)
    return Found(words, said.patients, unmet=said.unmet, unmet_of="boxes", centres=centres, more=more)


def boxes_of(source: Source, index: Index, study: Study) -> Boxes:
    """Read the boxes of single images from where the study has them: a table, or structured reports.

    Raises:
        LabelError: they are not there, or what is said contradicts itself.
    """
    section = _section(study)
    if section.boxes != "reports":
        return find_boxes(source.folder, index, study.groups, csv=source.labels)
    from wardround_client.intake.box_reports import reported_boxes  # highdicom takes a second to come

    coded = {word: (scheme, value) for word, (scheme, value, _) in section.coded.items()}
    return reported_boxes(source.folder, index, study.groups, coded)


def _section(study: Study) -> Detection:
    if not isinstance(study.task, Detection):
        raise TypeError("this is a study of another task")
    return study.task


def _records(source: Source, study: Study, files: Sequence[Instance], found: Found) -> Records:
    """Return the slices of outlined series, each with a box around each part of its mask."""
    if segmentation.TASK.records is None:
        raise TypeError("outlines have records")
    made = segmentation.TASK.records(source, study, files, found)
    masks = made.targets
    voxels: NDArray[np.int64] = masks.voxels.sum(axis=1)  # type: ignore[attr-defined]  # MappedMasks
    boxes = [around_parts(masks[[row]][0], len(study.groups)) if voxels[row] else [] for row in range(len(made.rows))]
    return dataclasses.replace(made, targets=together(boxes))


def _targets(
    source: Source, data: Data, section: Detection, files: Sequence[Instance], found: Found
) -> NDArray[np.float32]:
    said: Boxes = found.more[0]
    areas = [found.areas.get(one.file) or Area.whole(one.rows, one.columns) for one in files]
    return together(
        [to_form(said.of[one.file], area, data.square, one.hanging) for one, area in zip(files, areas, strict=True)]
    )


def _strata(section: Detection, targets: Targets) -> NDArray[np.int64]:
    """Return 0 for a record without a lesion, else 1 more than the highest of its classes."""
    highest: NDArray[np.int64] = targets[:][:, :, CLASS].max(axis=1).astype(np.int64) + 1
    return highest


def _members(section: Detection, targets: Targets) -> NDArray[np.bool_]:
    numbers = np.arange(len(section.classes))
    members: NDArray[np.bool_] = (targets[:][:, :, CLASS, None] == numbers).any(axis=1)
    return members


def _trained(study: Study, targets: Targets, patients: NDArray[np.int64]) -> NDArray[np.int64]:
    """Take all images, and of slices those with a lesion and a few of each patient's without."""
    if _section(study).boxes != "masks":
        return np.arange(len(targets))
    lesions = (targets[:][:, :, CLASS] > NONE).sum(axis=1)
    return np.flatnonzero(outline_choice.chosen(lesions, patients))


def _sums(
    section: Detection, outputs: Outputs, targets: Outputs, patients: NDArray[np.int64], places: Places | None
) -> BoxSums:
    if not isinstance(outputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
        raise TypeError("images are judged together")
    _check_finite(outputs, "Training diverged? Lower the learning rate.")
    some = zip(torch.split(outputs, TOGETHER), torch.split(targets, TOGETHER), strict=True)
    losses: NDArray[np.float64] = torch.cat([box_loss(o.double(), t.double()) for o, t in some]).numpy()
    found, lesions = drawn(outputs), targets.numpy()
    return BoxSums.of(
        losses,
        lesions_of(list(lesions), len(section.classes)),
        np.concatenate([one.log_odds for one in found]),
        np.concatenate([one.of_class for one in found]),
        np.concatenate([finds(one, those) for one, those in zip(found, lesions, strict=True)]),
    )


def _check_finite(outputs: torch.Tensor, do: str) -> None:
    if not torch.isfinite(outputs).all():
        raise ModelError("the model's scores are not finite", do=do)


def _noise(section: Detection, records: int, space: tuple[int, ...]) -> torch.Tensor:
    """Return boxes that could be: one in the first record, two in the second, none in the third, and so on."""
    height, width = space[-2:]
    boxes = torch.full((records, 2, 5), NONE)
    for record in range(records):
        for number in range((record + 1) % 3):
            top, left = height * (1 + 3 * number) / 8, width * (1 + 3 * number + record % 2) / 8
            of_class = (record + number) % len(section.classes)
            boxes[record, number] = torch.tensor([top, left, top + height / 4, left + width / 4, of_class])
    return boxes


def _shown(found: Found, study: Study, made: datetime) -> tuple[str, str]:
    name = study.study.name
    if _section(study).boxes == "masks":
        counts = outline_page.counted(found.more)
        return outline_page.said(counts), box_page.of_masks(found.more, study.groups, name, made)
    said, folder = found.more
    return box_page.said_of_table(said), box_page.of_table(said, folder, study.data, study.groups, name, made)


def _cases(files: Sequence[Path], study: Study, allow: frozenset[str]) -> Iterator[Case | Refused]:
    if _section(study).boxes == "masks":
        return series_cases(files, study, allow, slices_of)
    return image_cases(files, study, allow)


def _answer(section: Detection, outputs: torch.Tensor, asked: Asked, case: Case, chosen: Chosen) -> Answer:
    """Draw the boxes that are confident enough, in pixels of the stored image; in mm where that is known."""
    _check_finite(outputs, "Its training diverged: do not use it.")
    if asked.area is None:
        raise TypeError("boxes need the part of the image that they are drawn on")
    point = chosen.point if isinstance(chosen.point, float) else None
    edge = 0 if point is None else edge_of(point)
    series = case.series[0] if case.series else None
    told = []
    for number, one in enumerate(drawn(outputs)):
        enough = bins(one.log_odds) >= edge
        boxes = from_form(one.boxes[enough], asked.area, outputs.shape[-1], asked.hanging)
        for box, log_odds, of_class in zip(boxes, one.log_odds[enough], one.of_class[enough], strict=True):
            top, left, bottom, right = map(float, box)
            if top < bottom and left < right:  # beside the image, which the network sees with a margin, there is none
                facts = {
                    "class": section.classes[of_class],
                    "confidence": kept(float(1 / (1 + np.exp(-np.float64(log_odds)))), DIGITS),
                    **{
                        name: round(at, PIXEL_DIGITS)
                        for name, at in zip(_EDGES, (left, top, right, bottom), strict=True)
                    },
                }
                told.append(facts | _in_mm((top, left, bottom, right), number, series, asked.hanging.spacing_mm))
    told.sort(key=lambda facts: -float(facts["confidence"]))
    return Answer({"boxes": told, "operating_point": None if point is None else kept(point, DIGITS)})


_EDGES = ("x0", "y0", "x1", "y1")


def _in_mm(
    box: tuple[float, float, float, float], number: int, series: Series | None, spacing_mm: tuple[float, float] | None
) -> dict[str, Any]:
    """Say how large a box is, and of a series in which slice and where in the patient: mm towards left, back, head."""
    top, left, bottom, right = box
    of_slice: dict[str, Any] = {}
    if series is not None:
        spacing_mm = series.geometry.spacing_mm[1:]
        centre = series.geometry.to_mm((number, (top + bottom - 1) / 2, (left + right - 1) / 2))
        of_slice = {
            "slice": number + 1,
            "sop_uid": series.slices[number].sop_uid,
            "centre_mm": [round(float(mm), DIGITS) for mm in centre],
        }
    if spacing_mm is None:
        return of_slice
    down, across = spacing_mm
    sides = {
        "width_mm": round((right - left) * across, PIXEL_DIGITS),
        "height_mm": round((bottom - top) * down, PIXEL_DIGITS),
    }
    return of_slice | sides


def _rows(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    columns = ("class", "confidence", *_EDGES, "width_mm", "height_mm", "slice")
    return [{name: box.get(name, "") for name in columns} for box in facts["boxes"]] or [dict.fromkeys(columns, "")]


def _said(facts: Mapping[str, Any]) -> str:
    boxes = facts["boxes"]
    if not boxes:
        return "no box"
    first = boxes[0]
    where = f"{first['x0']:g}, {first['y0']:g} to {first['x1']:g}, {first['y1']:g}"
    where += f" of slice {first['slice']}" if "slice" in first else ""
    most = f"{first['class']} at {where} (confidence {chance(first['confidence'], 2)})"
    return most if len(boxes) == 1 else f"{len(boxes)} boxes, the most confident: {most}"


TASK = LocalTask[Detection, BoxSums](
    task=detection.TASK,
    find=_find,
    targets=_targets,
    records=_records,
    strata=_strata,
    members=_members,
    loss=lambda section, training, device: box_loss,
    sums=_sums,
    noise=_noise,
    moved=moved,
    shown=_shown,
    shown_as="Boxes",
    trained=_trained,
    asking=Asking(_answer, _rows, _said, _cases),
)
