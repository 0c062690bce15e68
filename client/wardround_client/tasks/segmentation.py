"""Segmentation in a hospital: masks, Dice beside cross-entropy or focal loss, sums over patients' volumes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wardround_client.intake.instance import Index, Instance
from wardround_client.preparation import outline_page
from wardround_client.preparation.asking import series_cases, slice_by_slice, whole_volume
from wardround_client.preparation.mapped_masks import MappedMasks
from wardround_client.preparation.outlined import Outlined, first_of
from wardround_client.preparation.slices import prepare_slices
from wardround_client.preparation.source import Source
from wardround_client.preparation.volumes import prepare_volumes
from wardround_client.tasks import outline_choice
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
from wardround_client.tasks.outline_loss import Loss, loss_of_volume, outline_loss
from wardround_client.tasks.outline_measures import Places, measure, volumes_by_patient
from wardround_client.tasks.outline_sizes import Ends, Lesion, lesions, millilitres
from wardround_client.volumes import Refused, Series
from wardround_common.errors import ModelError
from wardround_common.metrics.outlines import Outlines, OutlineSums
from wardround_common.study.file import Study
from wardround_common.tasks import segmentation
from wardround_common.tasks.registry import task_of
from wardround_common.tasks.segmentation import Segmentation

Masks = NDArray[np.uint8]
DIGITS = 3
"""Of a length in mm or a volume in mL that is written down."""


def loss(section: Segmentation) -> Loss:
    """Return what training makes small: (records,) of logits (records, structures + 1, *space) and masks."""
    return outline_loss(section.loss)


def strata(section: Segmentation, targets: Targets) -> NDArray[np.int64]:
    """Return for each record whether the structures in its mask are none (0), small (1) or large (2)."""
    return outline_choice.strata(_voxels(section, targets).sum(axis=1))


def members(section: Segmentation, targets: Targets) -> NDArray[np.bool_]:
    """Return whether each structure is in each record's mask: (records, structures)."""
    return _voxels(section, targets) > 0


def _voxels(section: Segmentation, targets: Targets) -> NDArray[np.int64]:
    """Return how many voxels of each structure each record has: (records, structures)."""
    if isinstance(targets, MappedMasks):
        return targets.voxels
    wanted = len(section.classes) + 1
    counts = [np.bincount(mask.ravel(), minlength=wanted)[1:wanted] for mask in targets[:]]
    return np.array(counts, np.int64).reshape(len(targets), wanted - 1)


def noise(section: Segmentation, records: int, space: tuple[int, ...]) -> torch.Tensor:
    """Return masks that could be, uint8 (records, *space): blocks of each structure in turn, and background."""
    classes = len(section.classes) + 1
    masks = torch.zeros(records, *space, dtype=torch.uint8)
    for record in range(records):
        inner = tuple(slice(extent // 8 + record % 2, extent - extent // 8) for extent in space)
        masks[record][inner] = record % classes
    return masks


def outlines(
    section: Segmentation,
    outputs: Outputs,
    targets: Sequence[Masks] | Masks,
    patients: NDArray[np.int64],
    places: Places,
) -> Outlines:
    """Measure each patient: outputs (records, structures + 1, *space) on the CPU, masks (records, *space)."""
    predicted = [logits.argmax(0).to(torch.uint8).numpy() for logits in outputs]
    structures = len(section.classes)
    found = [measure(volumes, structures) for volumes in volumes_by_patient(predicted, targets, patients, places)]
    return Outlines.together(found, structures)


def sums(
    section: Segmentation,
    outputs: Outputs,
    targets: Outputs,
    patients: NDArray[np.int64],
    places: Places | None = None,
) -> OutlineSums:
    """Return the sums over some patients, all of whose records must be among these.

    ``outputs`` (records, structures + 1, *space) logits and ``targets`` uint8 (records, *space) on the CPU, or one
    tensor for each record where they differ in extent; ``patients`` int64 (records,). Without ``places`` nothing is
    measured in mm or mL.

    Raises:
        ModelError: an output is not a finite number (the training diverged).
    """
    if not all(torch.isfinite(logits).all() for logits in outputs):
        raise ModelError("the model's scores are not finite", do="Training diverged? Lower the learning rate.")
    where = Places.unknown(patients) if places is None else places
    of_records = loss(section)
    losses = [
        loss_of_volume(section.loss, logits, mask)
        if mask.dim() == 3
        else float(of_records(logits[None].double(), mask[None]))
        for logits, mask in zip(outputs, targets, strict=True)
    ]
    masks = [mask.numpy() for mask in targets]
    return OutlineSums.of(outlines(section, outputs, masks, patients, where), np.array(losses, np.float64))


def _find(source: Source, index: Index, study: Study) -> Found:
    prepared = prepare_volumes if _of_volumes(study) else prepare_slices
    outlined = prepared(source, index, study.data, study.groups)
    words = {file: stack.word for stack in outlined.stacks for file in stack.files}
    return Found(words, left_out=outlined.left_out, aside=outlined.aside, unmet=outlined.unmet, more=outlined)


def _of_volumes(study: Study) -> bool:
    return task_of(study.task).dims(study.task) == 3


def _records(source: Source, study: Study, files: Sequence[Instance], found: Found) -> Records:
    outlined: Outlined = found.more
    wanted = {one.file: one for one in files}
    used = [(stack, one) for stack in outlined.stacks if (one := first_of(stack, wanted)) is not None]
    rows = np.array([row for stack, _ in used for row in stack.rows], np.int64)
    counts = [len(stack.rows) for stack, _ in used]
    places = Places(
        np.repeat(np.arange(len(used)), counts),
        np.array([height for stack, _ in used for height in stack.heights_mm], np.float64),
        np.repeat(np.array([stack.spacing_mm for stack, _ in used], np.float64).reshape(-1, 3), counts, axis=0),
    )
    voxels = np.array([each for stack, _ in used for each in stack.voxels], np.int64)
    return Records(
        stamp=outlined.digest.encode() + rows.tobytes(),
        images=outlined.images,
        rows=rows,
        targets=MappedMasks(outlined.masks, rows, voxels.reshape(len(rows), len(study.groups))),
        files=tuple(one for one in files if one.file in found.words),
        patients=tuple(one.patient for (_, one), count in zip(used, counts, strict=True) for _ in range(count)),
        places=places,
    )


def _trained(study: Study, targets: Targets, patients: NDArray[np.int64]) -> NDArray[np.int64]:
    if _of_volumes(study):
        return np.repeat(np.arange(len(targets)), study.data.patches_per_volume)
    voxels = _voxels(study.task, targets).sum(axis=1)  # type: ignore[arg-type]  # a study of outlines
    return np.flatnonzero(outline_choice.chosen(voxels, patients))


def _shown(found: Found, study: Study, made: datetime) -> tuple[str, str]:
    outlined: Outlined = found.more
    return outline_page.said(outline_page.counted(outlined)), outline_page.render(
        outlined, study.groups, study.study.name, made=made
    )


def _cases(files: Sequence[Path], study: Study, allow: frozenset[str]) -> Iterator[Case | Refused]:
    return series_cases(files, study, allow, whole_volume if _of_volumes(study) else slice_by_slice)


def _answer(section: Segmentation, outputs: torch.Tensor, asked: Asked, case: Case, chosen: Chosen) -> Answer:
    """Outline an examination on the grid of its first series, and measure each structure there."""
    if not torch.isfinite(outputs).all():
        raise ModelError("the model's scores are not finite", do="Its training diverged: do not use it.")
    if asked.back is None:
        raise TypeError("outlines need the way back to the grid of their series")
    outline, series = asked.back(outputs), case.series[0]
    structures = []
    for number, word in enumerate(section.classes, 1):
        found = lesions(outline == number, series.geometry)
        structures.append(
            {
                "structure": word,
                "volume_ml": round(sum(lesion.volume_ml for lesion in found), DIGITS),
                "voxels": sum(lesion.voxels for lesion in found),
                "lesions": [_facts(lesion, series) for lesion in found],
            }
        )
    return Answer({"structures": structures}, outline)


def _facts(lesion: Lesion, series: Series) -> dict[str, Any]:
    shown = lesion.diameters
    return {
        "volume_ml": round(lesion.volume_ml, DIGITS),
        "long_axis_mm": round(shown.long_mm, DIGITS),
        "short_axis_mm": round(shown.short_mm, DIGITS),
        "slice": lesion.slice + 1,
        "sop_uid": series.slices[lesion.slice].sop_uid,
        "long_axis": _places(lesion.slice, shown.long_ends, series),
        "short_axis": _places(lesion.slice, shown.short_ends, series),
        "centre": _place(lesion.centre, series),
    }


def _places(at: int, ends: Ends, series: Series) -> list[list[float]]:
    return [_place((at, *end), series) for end in ends]


def _place(index: Sequence[float], series: Series) -> list[float]:
    """Return where an index (slice, row, column) lies in the patient: mm towards left, back and head."""
    return [round(float(mm), DIGITS) for mm in series.geometry.to_mm(index)]


def _rows(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    rows = []
    for one in facts["structures"]:
        longest: Mapping[str, Any] = max(one["lesions"], key=lambda lesion: float(lesion["long_axis_mm"]), default={})
        sizes = {name: longest.get(name, "") for name in ("long_axis_mm", "short_axis_mm", "slice")}
        rows.append(
            {"structure": one["structure"], "volume_ml": one["volume_ml"], "lesions": len(one["lesions"]), **sizes}
        )
    return rows


def _said(facts: Mapping[str, Any]) -> str:
    found = []
    for row in _rows(facts):
        parts = f"{row['lesions']} part{'' if row['lesions'] == 1 else 's'}"
        size = f", the longest {row['long_axis_mm']:.1f} x {row['short_axis_mm']:.1f} mm" if row["lesions"] else ""
        found.append(
            f"{row['structure']} {millilitres(row['volume_ml'])} in {parts}{size}" if size else f"no {row['structure']}"
        )
    return "; ".join(found)


TASK = LocalTask[Segmentation, OutlineSums](
    task=segmentation.TASK,
    find=_find,
    records=_records,
    strata=strata,
    members=members,
    loss=lambda section, training, device: loss(section),
    sums=sums,
    noise=noise,
    shown=_shown,
    trained=_trained,
    whole_patients=True,
    asking=Asking(_answer, _rows, _said, _cases),
)
