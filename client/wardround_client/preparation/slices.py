"""Slices of a hospital's outlined series with their masks, in the form that a study's network sees; prepared once.

A record is a slice of the series on whose grid the mask lies. The other series that the study takes are laid on that
grid by where they lie in the patient. Intensities are scaled by a whole series, never slice by slice: an empty slice
would otherwise be all noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from wardround_client.intake.instance import Index, Instance
from wardround_client.intake.record import RETRIED
from wardround_client.preparation import preprocessing
from wardround_client.preparation.examinations import (
    ROLES_FILE,
    STRUCTURES_FILE,
    Chosen,
    Examination,
    choose_examinations,
    mask_files,
)
from wardround_client.preparation.made_once import FOLDER, Facts, made_once
from wardround_client.preparation.regrid import OnGrid
from wardround_client.preparation.source import Source
from wardround_client.tasks.outline_form import spacing_in_form, to_form
from wardround_client.volumes import Geometry, Series
from wardround_common.errors import DataError, ImageRefused
from wardround_common.study.file import Data
from wardround_common.study.series import Wanted

VERSION = 1  # slices that were prepared by another version are made again
ANY = Wanted(role="image")
"""What a study takes that names no series: the only one of an examination."""
_PASSING = RETRIED | {"changed"}
_IMAGES, _MASKS = "images.f32", "masks.u8"

Images = NDArray[np.float32]
Masks = NDArray[np.uint8]


@dataclass(frozen=True)
class Stack:
    """The records of one examination."""

    files: frozenset[str] = field(repr=False)
    """The image files that they are made of, as the index names them."""
    rows: range
    """Where they lie among the prepared slices."""
    spacing_mm: tuple[float, float, float]
    """Between slices, rows and columns, in the network's form."""
    heights_mm: tuple[float, ...] = field(repr=False)
    """Of each slice along the normal."""
    word: str = field(repr=False)
    """The same for two examinations in which the same was outlined."""


@dataclass(frozen=True, eq=False)
class Slices:
    """All slices of a hospital's folder that a study can use."""

    images: Images = field(repr=False)
    """(slices, channels, size, size), 0 to 1, a memory map."""
    masks: Masks = field(repr=False)
    """(slices, size, size), a memory map: 0 is background, 1 the study's first structure."""
    digest: str
    """Of all of them, with their places."""
    stacks: tuple[Stack, ...]
    left_out: dict[str, str] = field(repr=False)
    """Image file to the reason why it is not used."""
    aside: frozenset[str] = field(repr=False)
    """Files that outline something, and are no images."""
    unmet: dict[str, int]
    """Masks that outline nothing here, counted by reason."""


def prepare_slices(source: Source, index: Index, data: Data, classes: tuple[str, ...]) -> Slices:
    """Prepare the outlined slices of a hospital's folder, unless they are kept from before.

    Raises:
        DataError: no mask outlines a series here, or a table of the hospital's contradicts itself or the study.
        FullDiskError: the disk has no room for them.
    """
    images = [one.file for one in index.accepted if one.modality in data.modalities]
    folder = source.state / FOLDER / _key(source, index, images, data, classes)
    wanted = data.series or (ANY,)

    def make(making: Path) -> Facts:
        chosen = choose_examinations(source, index, images, wanted, classes)
        return _write(source, chosen, data, making)

    facts = made_once(folder, make, again=lambda facts: bool(_PASSING & {*facts["left_out"].values(), *facts["unmet"]}))
    found = _read(folder, facts, (len(wanted), data.image_size, data.image_size))
    if not found.stacks:
        raise _none(source, found, classes)
    return found


def _none(source: Source, found: Slices, classes: Sequence[str]) -> DataError:
    why = [f"{count:,} mask{'' if count == 1 else 's'} {reason}" for reason, count in found.unmet.items()]
    counts: dict[str, int] = {}
    for reason in found.left_out.values():
        counts[reason] = counts.get(reason, 0) + 1
    why += [f"{count:,} image file{'' if count == 1 else 's'} {reason}" for reason, count in counts.items()]
    said = f" ({', '.join(why)})" if why else ""
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


def _key(source: Source, index: Index, images: Sequence[str], data: Data, classes: Sequence[str]) -> str:
    """Return a name for what is prepared from these files as they are now."""
    dicom, beside = mask_files(source, index)
    paths = [source.folder / file for file in images] + dicom + [one.mask for one in beside]
    paths += [path for name in (ROLES_FILE, STRUCTURES_FILE) if (path := source.folder / name).is_file()]
    stated = [repr((one.mask, one.patient, one.file, one.uid)) for one in beside]
    files = []
    for path in paths:
        try:
            seen = path.stat()
        except OSError:  # it went while we looked; the survey says so
            continue
        files.append(f"{path}\t{seen.st_size}\t{seen.st_mtime_ns}")
    lines = [str(VERSION), data.model_dump_json(), *classes, *stated, *files]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:32]


def _write(source: Source, chosen: Chosen, data: Data, making: Path) -> Facts:
    left_out = dict(chosen.left_out)
    stacks: list[dict[str, object]] = []
    digest, count = hashlib.sha256(), 0
    # Plain writes: a full disk is an error here, and a crash of the process with a writable memory map.
    with (making / _IMAGES).open("wb") as images, (making / _MASKS).open("wb") as masks:
        for one in chosen.taken:
            here, before = (images.tell(), masks.tell()), digest.copy()
            try:
                made = _write_one(one, data, images, masks, digest)
            except ImageRefused as refusal:
                left_out |= dict.fromkeys(one.files, refusal.reason)
                images.seek(here[0])
                masks.seek(here[1])
                digest = before
                continue
            files = sorted(str(path.relative_to(source.folder)) for path in one.files)
            stacks.append(made | {"files": files, "first": count})
            count += len(made["heights_mm"])  # type: ignore[arg-type]  # a list
        images.truncate()
        masks.truncate()
    return {
        "stacks": stacks,
        "left_out": {str(path.relative_to(source.folder)): reason for path, reason in left_out.items()},
        "aside": sorted(str(path.relative_to(source.folder)) for path in chosen.masks),
        "unmet": dict(chosen.unmet),
        "digest": digest.hexdigest(),
    }


def _write_one(
    one: Examination, data: Data, images: BinaryIO, masks: BinaryIO, digest: hashlib._Hash
) -> dict[str, object]:
    grid, outlined = one.reference.geometry, one.mask.volume()
    between, rows_mm, columns_mm = grid.spacing_mm
    in_plane = spacing_in_form(*grid.shape[1:], (rows_mm, columns_mm), data.image_size)
    word, heights = hashlib.sha256(), []
    numbers: list[int] = np.flatnonzero(one.mask.annotated).tolist()
    for number, form in zip(numbers, forms(one.channels, grid, data, numbers), strict=True):
        (classes,) = to_form(outlined[number : number + 1], data.image_size)
        heights.append(number * between)
        for file, made in ((images, form.astype("<f4", copy=False)), (masks, classes)):
            file.write(written := made.tobytes())
            digest.update(written)
        word.update(outlined[number].tobytes())
    spacing = (between, *in_plane)
    digest.update(repr((spacing, heights)).encode())
    return {"spacing_mm": spacing, "heights_mm": heights, "word": word.hexdigest()}


def forms(channels: Sequence[Series], grid: Geometry, data: Data, numbers: Iterable[int]) -> Iterator[Images]:
    """Yield slices of a grid as the network sees them, (channels, size, size) from 0 to 1, by their numbers.

    Raises:
        ImageRefused: a series does not lie where the grid does, or cannot be read.
    """
    scaled = [_Scaled(OnGrid(series, grid), data) for series in channels]
    for number in numbers:
        values = np.stack([channel.slice(number) for channel in scaled])
        yield preprocessing.fit(torch.from_numpy(values), data.image_size).numpy()


class _Scaled:
    """A series with intensities from 0 to 1, by all of its values."""

    def __init__(self, values: OnGrid, data: Data) -> None:
        self._values = values
        sample = values.sample()
        if data.intensity == "percentile":
            self._low, self._high = (float(limit) for limit in np.percentile(sample, preprocessing.PERCENTILES))
        else:
            self._low, self._high = float(sample.min()), float(sample.max())

    def slice(self, number: int) -> Images:
        values = self._values.slice(number)
        if not self._high > self._low:
            return np.zeros_like(values)
        scaled: Images = np.clip((values - self._low) / (self._high - self._low), 0, 1).astype(np.float32, copy=False)
        return scaled


def _read(folder: Path, facts: Facts, form: tuple[int, ...]) -> Slices:
    stacks = tuple(_stacks(facts))
    count = sum(len(stack.rows) for stack in stacks)
    if count:
        images: Images = np.memmap(folder / _IMAGES, "<f4", "r", shape=(count, *form))
        masks: Masks = np.memmap(folder / _MASKS, np.uint8, "r", shape=(count, *form[1:]))
    else:
        images, masks = np.empty((0, *form), np.float32), np.empty((0, *form[1:]), np.uint8)
    aside = frozenset(facts["aside"])
    return Slices(images, masks, facts["digest"], stacks, facts["left_out"], aside, facts["unmet"])


def _stacks(facts: Facts) -> Iterator[Stack]:
    for one in facts["stacks"]:
        heights = tuple(one["heights_mm"])
        rows = range(one["first"], one["first"] + len(heights))
        yield Stack(frozenset(one["files"]), rows, tuple(one["spacing_mm"]), heights, one["word"])


def first_of(stack: Stack, files: dict[str, Instance]) -> Instance | None:
    """Return the first of a stack's files that is among these, in the order of their names."""
    return next((files[file] for file in sorted(stack.files) if file in files), None)
