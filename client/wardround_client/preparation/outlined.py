"""What a hospital's folder has of outlined series, prepared once in files of its own: slices, or whole volumes.

What is done is the same for both: choose the examinations, write each in the study's form, leave out with a reason what
cannot be read, and keep what is known of the files beside them.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround_client.intake.instance import Index, Instance
from wardround_client.intake.labels import ROLES_FILE, STRUCTURES_FILE
from wardround_client.intake.record import RETRIED
from wardround_client.preparation.examinations import (
    Chosen,
    choose_examinations,
    mask_files,
)
from wardround_client.preparation.kept_volumes import KeptVolumes
from wardround_client.preparation.made_once import FOLDER, Facts, made_once
from wardround_client.preparation.source import Source, fitting
from wardround_common.errors import DataError
from wardround_common.refusals import explained
from wardround_common.study.data import Data
from wardround_common.study.series import Wanted
from wardround_common.study.steps import versions_of

ANY = Wanted(role="image")
"""What a study takes that names no series: the only one of an examination."""
_PASSING = RETRIED | {"changed"}

Images = NDArray[np.float32]
Masks = NDArray[np.uint8]


@dataclass(frozen=True)
class Stack:
    """The records of one examination."""

    files: frozenset[str] = field(repr=False)
    """The image files that they are made of, as the index names them."""
    rows: range
    """Where they lie among the prepared slices or volumes."""
    spacing_mm: tuple[float, float, float]
    """Between slices, rows and columns, in the network's form."""
    heights_mm: tuple[float, ...] = field(repr=False)
    """Of each slice along the normal."""
    word: str = field(repr=False)
    """The same for two examinations in which the same was outlined."""
    voxels: tuple[tuple[int, ...], ...] = field(repr=False)
    """Of each record, how many voxels each structure of the study has."""


@dataclass(frozen=True, eq=False)
class Outlined:
    """All records of a hospital's folder that a study can use."""

    images: Images | KeptVolumes = field(repr=False)
    """(slices, channels, size, size), 0 to 1, a memory map; or volumes, each in files of its own."""
    masks: Masks | Sequence[Masks] = field(repr=False)
    """(slices, size, size), a memory map, or one of each volume: 0 is background, 1 the study's first structure."""
    digest: str
    """Of all of them, with their places."""
    stacks: tuple[Stack, ...]
    left_out: dict[str, str] = field(repr=False)
    """Image file to the reason why it is not used."""
    aside: frozenset[str] = field(repr=False)
    """Files that outline something, and are no images."""
    unmet_masks: tuple[tuple[str, str], ...] = field(repr=False)
    """Masks that outline nothing here, each with the reason."""

    @property
    def unmet(self) -> dict[str, int]:
        """How many masks outline nothing here, by reason."""
        return dict(Counter(reason for _, reason in self.unmet_masks))


Write = Callable[[Source, Chosen, Path], Facts]
Read = Callable[[Path, Facts], tuple[Images | KeptVolumes, Masks | Sequence[Masks]]]


def prepare_outlined(
    source: Source, index: Index, data: Data, classes: tuple[str, ...], *, version: str, write: Write, read: Read
) -> Outlined:
    """Prepare the outlined series of a hospital's folder by ``write``, unless they are kept from before; ``read`` them.

    ``version``: what was prepared by another one is made again.

    Raises:
        DataError: no mask outlines a series here, or a table of the hospital's contradicts itself or the study.
        FullDiskError: the disk has no room for them.
    """
    images = [one.file for one in fitting(index.accepted, data)[0]]
    folder = source.state / FOLDER / _key(source, index, images, data, classes, version)

    def make(making: Path) -> Facts:
        return write(source, choose_examinations(source, index, images, data.series or (ANY,), classes), making)

    facts = made_once(folder, make, again=_may_pass)
    kept, masks = read(folder, facts)
    found = Outlined(
        images=kept,
        masks=masks,
        digest=facts["digest"],
        stacks=tuple(_stacks(facts)),
        left_out=facts["left_out"],
        aside=frozenset(facts["aside"]),
        unmet_masks=tuple((file, reason) for file, reason in facts["unmet"]),
    )
    if not found.stacks:
        raise _none(source, found, classes)
    return found


def _may_pass(facts: Facts) -> bool:
    return bool(_PASSING & {*facts["left_out"].values(), *(reason for _, reason in facts["unmet"])})


def said_of(source: Source, chosen: Chosen, left_out: dict[Path, str]) -> Facts:
    """Return what is known of a folder besides its stacks and their digest."""
    return {
        "left_out": {str(path.relative_to(source.folder)): reason for path, reason in left_out.items()},
        "aside": sorted(str(path.relative_to(source.folder)) for path in chosen.masks),
        "unmet": sorted((str(path.relative_to(source.folder)), reason) for path, reason in chosen.unmet),
    }


def _stacks(facts: Facts) -> Iterator[Stack]:
    for one in facts["stacks"]:
        heights = tuple(one["heights_mm"])
        rows = range(one["first"], one["first"] + len(heights))
        voxels = tuple(tuple(counts) for counts in one["voxels"])
        yield Stack(frozenset(one["files"]), rows, tuple(one["spacing_mm"]), heights, one["word"], voxels)


def first_of(stack: Stack, files: dict[str, Instance]) -> Instance | None:
    """Return the first of a stack's files that is among these, in the order of their names."""
    return next((files[file] for file in sorted(stack.files) if file in files), None)


def _none(source: Source, found: Outlined, classes: Sequence[str]) -> DataError:
    counted = Counter({f"mask-{reason}": count for reason, count in found.unmet.items()})
    counted.update(found.left_out.values())
    said = f": {explained(counted)}" if counted else ""
    if not found.aside:
        return DataError(
            f"this folder has no mask, and the study learns from outlines{said}",
            where=str(source.folder),
            do="Put DICOM segmentations or structure sets next to the images, or NIfTI masks into 'masks', named as "
            "their patient; docs/segmentation.md says how.",
        )
    if "unknown-class" in found.unmet:
        return DataError(
            f"no mask outlines what the study learns, {', '.join(map(repr, classes))}{said}",
            where=str(source.folder),
            do=f"Where the masks call it something else, say so in {STRUCTURES_FILE}; docs/segmentation.md says how.",
        )
    return DataError(
        f"no series that the study takes is outlined by a mask{said}",
        where=str(source.folder),
        do="docs/segmentation.md says what each reason means. If the folder is right, tell the coordinator.",
    )


def _key(source: Source, index: Index, images: Sequence[str], data: Data, classes: Sequence[str], version: str) -> str:
    """Return a name for what is prepared from these files as they are now."""
    dicom, beside = mask_files(source, index)
    paths = [source.folder / file for file in images] + dicom + [one.mask for one in beside]
    paths += [path for name in (ROLES_FILE, STRUCTURES_FILE) if (path := source.folder / name).is_file()]
    stated = [repr((one.mask, one.patient, one.files, one.uid)) for one in beside]
    files = []
    for path in paths:
        try:
            seen = path.stat()
        except OSError:  # it went while we looked; the survey says so
            continue
        files.append(f"{path}\t{seen.st_size}\t{seen.st_mtime_ns}")
    form = data.model_dump_json(exclude={"patch_size", "patches_per_volume"})  # which are for training alone
    lines = [version + versions_of(data.steps), form, *classes, *stated, *files]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:32]
