"""Segmentation in a hospital: masks, Dice beside cross-entropy or focal loss, sums over patients' volumes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import numpy as np
import torch
from numpy.typing import NDArray

from wardround_client.intake.instance import Index, Instance
from wardround_client.preparation import outline_page
from wardround_client.preparation.slices import Slices, first_of, prepare_slices
from wardround_client.preparation.source import Source
from wardround_client.tasks import outline_choice
from wardround_client.tasks.contract import Found, LocalTask, Records
from wardround_client.tasks.outline_loss import Loss, outline_loss
from wardround_client.tasks.outline_measures import Places, measure, volumes_by_patient
from wardround_common.errors import ModelError, StudyError
from wardround_common.metrics.outlines import Outlines, OutlineSums
from wardround_common.study.file import Study
from wardround_common.tasks import segmentation
from wardround_common.tasks.registry import task_of
from wardround_common.tasks.segmentation import Segmentation

Masks = NDArray[np.uint8]


def loss(section: Segmentation) -> Loss:
    """Return what training makes small: (records,) of logits (records, structures + 1, *space) and masks."""
    return outline_loss(section.loss)


def strata(section: Segmentation, targets: Masks) -> NDArray[np.int64]:
    """Return for each record whether the structures in its mask are none (0), small (1) or large (2)."""
    return outline_choice.strata(outline_choice.voxels_of(targets))


def members(section: Segmentation, targets: Masks) -> NDArray[np.bool_]:
    """Return whether each structure is in each record's mask: (records, structures)."""
    flat = targets.reshape(len(targets), -1)
    found = [(flat == structure).any(axis=1) for structure in range(1, len(section.classes) + 1)]
    return np.stack(found, axis=1)


def noise(section: Segmentation, records: int, space: tuple[int, ...]) -> torch.Tensor:
    """Return masks that could be, uint8 (records, *space): blocks of each structure in turn, and background."""
    classes = len(section.classes) + 1
    masks = torch.zeros(records, *space, dtype=torch.uint8)
    for record in range(records):
        inner = tuple(slice(extent // 8 + record % 2, extent - extent // 8) for extent in space)
        masks[record][inner] = record % classes
    return masks


def outlines(
    section: Segmentation, outputs: torch.Tensor, targets: Masks, patients: NDArray[np.int64], places: Places
) -> Outlines:
    """Measure each patient: outputs (records, structures + 1, *space) on the CPU, masks (records, *space)."""
    predicted = outputs.argmax(1).to(torch.uint8).numpy()
    structures = len(section.classes)
    found = [measure(volumes, structures) for volumes in volumes_by_patient(predicted, targets, patients, places)]
    return Outlines.together(found, structures)


def sums(
    section: Segmentation,
    outputs: torch.Tensor,
    targets: torch.Tensor,
    patients: NDArray[np.int64],
    places: Places | None = None,
) -> OutlineSums:
    """Return the sums over some patients, all of whose records must be among these.

    ``outputs`` (records, structures + 1, *space) logits and ``targets`` uint8 (records, *space) on the CPU,
    ``patients`` int64 (records,). Without ``places`` nothing is measured in mm or mL.

    Raises:
        ModelError: an output is not a finite number (the training diverged).
    """
    if not torch.isfinite(outputs).all():
        raise ModelError("the model's scores are not finite", do="Training diverged? Lower the learning rate.")
    where = Places.unknown(patients) if places is None else places
    of_records = loss(section)
    losses = [float(of_records(outputs[[row]].double(), targets[[row]])) for row in range(len(outputs))]
    return OutlineSums.of(outlines(section, outputs, targets.numpy(), patients, where), np.array(losses, np.float64))


def _find(source: Source, index: Index, study: Study) -> Found:
    if task_of(study.task).dims(study.task) != 2:
        raise StudyError(
            "[task] dims = 3: hospitals of this version prepare slices, and no volumes",
            where=f"study {study.study.name}",
            do="Write dims = 2: each slice by itself, judged over whole volumes.",
        )
    slices = prepare_slices(source, index, study.data, study.groups)
    words = {file: stack.word for stack in slices.stacks for file in stack.files}
    return Found(words, left_out=slices.left_out, aside=slices.aside, unmet=slices.unmet, more=slices)


def _records(source: Source, study: Study, files: Sequence[Instance], found: Found) -> Records:
    slices: Slices = found.more
    wanted = {one.file: one for one in files}
    used = [(stack, one) for stack in slices.stacks if (one := first_of(stack, wanted)) is not None]
    rows = np.array([row for stack, _ in used for row in stack.rows], np.int64)
    counts = [len(stack.rows) for stack, _ in used]
    places = Places(
        np.repeat(np.arange(len(used)), counts),
        np.array([height for stack, _ in used for height in stack.heights_mm], np.float64),
        np.repeat(np.array([stack.spacing_mm for stack, _ in used], np.float64).reshape(-1, 3), counts, axis=0),
    )
    return Records(
        stamp=slices.digest.encode() + rows.tobytes(),
        images=slices.images,
        rows=rows,
        targets=slices.masks[rows],
        files=tuple(one for one in files if one.file in found.words),
        patients=tuple(one.patient for (_, one), count in zip(used, counts, strict=True) for _ in range(count)),
        places=places,
    )


def _trained(targets: Masks, patients: NDArray[np.int64]) -> NDArray[np.bool_]:
    return outline_choice.chosen(outline_choice.voxels_of(targets), patients)


def _shown(found: Found, study: Study, made: datetime) -> tuple[str, str]:
    slices: Slices = found.more
    return outline_page.said(outline_page.counted(slices)), outline_page.render(
        slices, study.groups, study.study.name, made=made
    )


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
)
