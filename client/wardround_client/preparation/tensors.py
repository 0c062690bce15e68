"""Images that are arrays already, in the form that a network sees: kept on the disk once, and taken in as files are.

So a researcher tries an idea without a DICOM file. Patients are split, near-copies joined and privacy charged by the
code that does it for files: each image is an instance with the patient who was named for it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_client.intake.duplicates import likeness
from wardround_client.intake.instance import Index, Instance
from wardround_client.preparation.made_once import DONE, FOLDER, Facts, made_once
from wardround_client.preparation.source import Source
from wardround_client.tasks.contract import Found, Records
from wardround_common.errors import DataError
from wardround_common.study.file import Study
from wardround_common.tasks.registry import task_of

IMAGES, TARGETS = "images.npy", "targets.npy"


def keep(folder: Path, images: NDArray[np.float32], targets: NDArray[Any], patients: Sequence[str]) -> Source:
    """Keep arrays in a folder, readable by its owner only, and return them as a hospital's source.

    ``images`` (images, channels, height, width) float32; ``targets`` (images,) int64 or (images, height, width) uint8;
    ``patients`` one for each image. The same arrays are kept once.
    """
    digest = hashlib.sha256()
    for part in (images, targets):
        digest.update(f"{part.dtype.str} {part.shape}\n".encode())
        digest.update(np.ascontiguousarray(part).data)
    digest.update(json.dumps(list(patients)).encode())
    key = digest.hexdigest()[:32]

    def make(making: Path) -> Facts:
        for name, part in ((IMAGES, images), (TARGETS, targets)):
            with (making / name).open("wb") as file:
                np.save(file, part)
        return {
            "patients": list(patients),
            "digests": [hashlib.sha256(np.ascontiguousarray(one).data).hexdigest() for one in images],
            "likenesses": [likeness(one[0]) for one in images],
        }

    made_once(folder / FOLDER / key, make, again=lambda facts: False)
    return Source(folder=folder / FOLDER / key, state=folder, arrays=key)


def take_in(source: Source, study: Study) -> tuple[Index, Found]:
    """Return the kept images as instances, and what is said of each: a class, or the digest of a mask.

    Raises:
        DataError: they are not there any more.
    """
    facts, targets = _facts(source), _loaded(source, TARGETS)
    rows, columns = _loaded(source, IMAGES).shape[2:]
    instances = tuple(
        Instance(
            file=f"{number:09d}",
            patient=patient,
            study_uid="",
            series_uid="",
            sop_uid="",
            modality=study.data.modalities[0],
            manufacturer="",
            scanner="arrays",
            transfer_syntax="",
            photometric="",
            bits="32/32",
            rows=int(rows),
            columns=int(columns),
            frames=1,
            spacing_mm=None,
            size_bytes=0,
            pixel_digest=facts["digests"][number],
            likeness=facts["likenesses"][number],
            patient_id=patient,
            identified_by="table",
        )
        for number, patient in enumerate(facts["patients"])
    )
    words = {one.file: _word(study, target) for one, target in zip(instances, targets, strict=True)}
    return Index(instances, (), 0, ()), Found(words)


def records(source: Source, study: Study, wanted: Sequence[Instance]) -> Records:
    """Return the records of these images; they stay on the disk.

    Raises:
        DataError: they are not there any more.
    """
    rows = np.array([int(one.file) for one in wanted], np.int64)
    targets = np.ascontiguousarray(_loaded(source, TARGETS)[rows])
    names = "\n".join(one.file for one in wanted)
    return Records(
        stamp=f"{source.arrays}\n{names}".encode() + targets.tobytes(),
        images=_loaded(source, IMAGES),
        rows=rows,
        targets=targets,
        files=tuple(wanted),
        patients=tuple(one.patient for one in wanted),
    )


def _word(study: Study, target: NDArray[Any]) -> str:
    if task_of(study.task).dense:
        return hashlib.sha256(np.ascontiguousarray(target).data).hexdigest()
    return study.groups[int(target)]


def _facts(source: Source) -> Facts:
    try:
        found: Facts = json.loads((source.folder / DONE).read_text())
    except (OSError, ValueError):
        raise _gone(source) from None
    return found


def _loaded(source: Source, name: str) -> NDArray[Any]:
    try:
        found: NDArray[Any] = np.load(source.folder / name, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError):
        raise _gone(source) from None
    return found


def _gone(source: Source) -> DataError:
    return DataError(
        "the arrays that were kept here are gone, or were changed",
        where=str(source.folder),
        do="Give the arrays again, with the same call.",
    )
