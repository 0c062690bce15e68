"""Slices of a hospital's outlined series with their masks, in the form that a study's network sees; prepared once.

A record is a slice of the series on whose grid the mask lies. The other series that the study takes are laid on that
grid by where they lie in the patient. Intensities are scaled by a whole series, never slice by slice: an empty slice
would otherwise be all noise.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np

from wardround_client.intake.instance import Index
from wardround_client.preparation import preprocessing
from wardround_client.preparation.examinations import Chosen, Examination
from wardround_client.preparation.made_once import Facts
from wardround_client.preparation.outlined import Images, Masks, Outlined, prepare_outlined, said_of
from wardround_client.preparation.scaled import channels_of, series_area
from wardround_client.preparation.source import Source
from wardround_client.tasks.outline_form import spacing_in_form, to_form
from wardround_client.volumes import Geometry, Series
from wardround_common.errors import ImageRefused
from wardround_common.study.data import Data
from wardround_common.study.steps import Area

VERSION = "slices 5"
_IMAGES, _MASKS = "images.f32", "masks.u8"


def prepare_slices(source: Source, index: Index, data: Data, classes: tuple[str, ...]) -> Outlined:
    """Prepare the outlined slices of a hospital's folder, unless they are kept from before.

    Raises:
        DataError: no mask outlines a series here, or a table of the hospital's contradicts itself or the study.
        FullDiskError: the disk has no room for them.
    """

    def write(source: Source, chosen: Chosen, making: Path) -> Facts:
        return _write(source, chosen, data, len(classes), making)

    def read(folder: Path, facts: Facts) -> tuple[Images, Masks]:
        return _read(folder, facts, (data.inputs, *data.extent))

    return prepare_outlined(source, index, data, classes, version=VERSION, write=write, read=read)


def _write(source: Source, chosen: Chosen, data: Data, structures: int, making: Path) -> Facts:
    left_out = dict(chosen.left_out)
    stacks: list[dict[str, object]] = []
    digest, count = hashlib.sha256(), 0
    # Plain writes: a full disk is an error here, and a crash of the process with a writable memory map.
    with (making / _IMAGES).open("wb") as images, (making / _MASKS).open("wb") as masks:
        for one in chosen.taken:
            here, before = (images.tell(), masks.tell()), digest.copy()
            try:
                made = _write_one(one, data, structures, images, masks, digest)
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
    return said_of(source, chosen, left_out) | {"stacks": stacks, "digest": digest.hexdigest()}


def _write_one(
    one: Examination, data: Data, structures: int, images: BinaryIO, masks: BinaryIO, digest: hashlib._Hash
) -> dict[str, object]:
    grid, outlined = one.reference.geometry, one.mask.volume()
    between = grid.spacing_mm[0]
    area = series_area(one.channels[0], grid, data)
    if np.count_nonzero(area.of(outlined)) < np.count_nonzero(outlined):
        raise outside_crop()
    in_plane = spacing_in_form(*area.shape, grid.hanging, data.square)
    word, heights, voxels = hashlib.sha256(), [], []
    numbers: list[int] = np.flatnonzero(one.mask.annotated).tolist()
    for number, form in zip(numbers, forms(one.channels, grid, data, numbers, area), strict=True):
        (classes,) = to_form(area.of(outlined[number : number + 1]), data.square, grid.hanging)
        heights.append(number * between)
        voxels.append(np.bincount(classes.ravel(), minlength=structures + 1)[1:].tolist())
        for file, made in ((images, form.astype("<f4", copy=False)), (masks, classes)):
            file.write(written := made.tobytes())
            digest.update(written)
        word.update(outlined[number].tobytes())
    spacing = (between, *in_plane)
    digest.update(repr((spacing, heights)).encode())
    return {"spacing_mm": spacing, "heights_mm": heights, "word": word.hexdigest(), "voxels": voxels}


def outside_crop() -> ImageRefused:
    """Say why an image is left out of which a step cuts off what somebody outlined."""
    return ImageRefused(
        "outside-crop",
        "something is outlined in what the study's step 'crop' cuts off",
        do="'wardround scan FOLDER --preview STUDY' shows what is cut off; a study with a lower 'above' cuts off less.",
    )


def forms(
    channels: Sequence[Series], grid: Geometry, data: Data, numbers: Iterable[int], area: Area
) -> Iterator[Images]:
    """Yield an area of slices of a grid as the network sees it, (channels, size, size) from 0 to 1, by their numbers.

    Raises:
        ImageRefused: a series does not lie where the grid does, or cannot be read.
    """
    scaled = channels_of(channels, grid, data)
    for number in numbers:
        values = np.stack([area.of(channel.slice(number)) for channel in scaled])
        yield preprocessing.fit(values, data.square, grid.hanging)


def _read(folder: Path, facts: Facts, form: tuple[int, ...]) -> tuple[Images, Masks]:
    count = sum(len(one["heights_mm"]) for one in facts["stacks"])
    if not count:
        return np.empty((0, *form), np.float32), np.empty((0, *form[1:]), np.uint8)
    images: Images = np.memmap(folder / _IMAGES, "<f4", "r", shape=(count, *form))
    masks: Masks = np.memmap(folder / _MASKS, np.uint8, "r", shape=(count, *form[1:]))
    return images, masks
