"""Whole volumes of a hospital's outlined series with their masks, in the form that a study's network sees; made once.

A record is the series on whose grid the mask lies, with the others that the study takes laid on that grid. It is turned
to the patient's axes, cut to the body and resampled (:mod:`wardround_client.preparation.volume_form`), slice by slice:
what is held at a time is one byte for each voxel of a series, for its mask, and of each channel its values where they
are up to 64 million, else a few slices. Each volume has files of its own, of which patches are read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from wardround_client.intake.instance import Index
from wardround_client.preparation.examinations import Chosen, Examination
from wardround_client.preparation.kept_volumes import IMAGE, MASK, VOXELS, KeptVolume, KeptVolumes
from wardround_client.preparation.made_once import Facts
from wardround_client.preparation.outlined import Masks, Outlined, prepare_outlined, said_of
from wardround_client.preparation.scaled import body_of, channels_of
from wardround_client.preparation.source import Source
from wardround_client.preparation.volume_form import Box, VolumeForm
from wardround_client.volumes.geometry import Geometry
from wardround_common.errors import ImageRefused, StudyError
from wardround_common.study.data import Data

VERSION = "volumes 2"
MOST_VOXELS = 10_000
"""Of a structure of a volume, evenly chosen, on which patches are centred, as in nnU-Net."""


def prepare_volumes(source: Source, index: Index, data: Data, classes: tuple[str, ...]) -> Outlined:
    """Prepare the outlined volumes of a hospital's folder, unless they are kept from before.

    Raises:
        StudyError: the study says nothing of volumes.
        DataError: no mask outlines a series here, or a table of the hospital's contradicts itself or the study.
        FullDiskError: the disk has no room for them.
    """
    if data.spacing_mm is None or data.patch_size is None:
        raise StudyError("this study is not of volumes")
    patch = data.patch_size

    def write(source: Source, chosen: Chosen, making: Path) -> Facts:
        return _write(source, chosen, data, len(classes), making)

    def read(folder: Path, facts: Facts) -> tuple[KeptVolumes, Any]:
        volumes = KeptVolumes(
            tuple(_kept(folder, one, data) for one in facts["stacks"]), patch, data.patches_per_volume
        )
        return volumes, volumes.masks

    return prepare_outlined(source, index, data, classes, version=VERSION, write=write, read=read)


def _write(source: Source, chosen: Chosen, data: Data, structures: int, making: Path) -> Facts:
    left_out = dict(chosen.left_out)
    stacks: list[Facts] = []
    for one in chosen.taken:
        path = making / f"{len(stacks)}"
        try:
            made = _write_one(one, data, structures, path)
        except ImageRefused as refusal:
            left_out |= dict.fromkeys(one.files, refusal.reason)
            for suffix in (IMAGE, MASK, VOXELS):
                path.with_suffix(suffix).unlink(missing_ok=True)
            continue
        files = sorted(str(file.relative_to(source.folder)) for file in one.files)
        stacks.append(made | {"files": files, "first": len(stacks)})
    digest = hashlib.sha256("\n".join(one["digest"] for one in stacks).encode()).hexdigest()
    return said_of(source, chosen, left_out) | {"stacks": stacks, "digest": digest}


def _write_one(one: Examination, data: Data, structures: int, path: Path) -> Facts:
    """Write one volume, its mask, and where its structures lie; return what is known of them.

    Raises:
        ImageRefused: a series cannot be read, does not lie where the mask does, or was outlined in part.
    """
    grid, outlined = one.reference.geometry, one.mask.volume()
    channels = channels_of(one.channels, grid, data)
    body = body_of(one.reference, channels[one.channels.index(one.reference)], grid, data)
    form = form_of(grid, body, outlined, one.mask.annotated, data)
    digest = hashlib.sha256(repr((form.counts, form.axes, form.against, form.spacing_mm)).encode())

    def read(number: int) -> torch.Tensor:
        return torch.from_numpy(np.stack([channel.slice(number) for channel in channels]))

    # Plain writes: a full disk is an error here, and a crash of the process with a writable memory map.
    with path.with_suffix(IMAGE).open("wb") as file:
        for plane in form.slices(read):
            file.write(written := plane.numpy().astype("<f4", copy=False).tobytes())
            digest.update(written)
    voxels = np.zeros(structures + 1, np.int64)
    with path.with_suffix(MASK).open("wb") as file:
        for classes in form.classes(outlined, structures):
            file.write(written := classes.tobytes())
            digest.update(written)
            voxels += np.bincount(classes.ravel(), minlength=structures + 1)
    mask = np.memmap(path.with_suffix(MASK), np.uint8, "r", shape=form.counts)
    chosen = [_chosen(mask, number, int(count)) for number, count in enumerate(voxels[1:], 1) if count]
    places = np.concatenate(chosen) if chosen else np.zeros((0, 4), np.int64)
    places[:, 1:] = _turned(places[:, 1:], form)
    path.with_suffix(VOXELS).write_bytes(places.astype("<i4").tobytes())
    return {
        "grid": [list(grid.shape), [list(line) for line in grid.matrix]],
        "box": [list(ends) for ends in form.box],
        "counts": list(form.counts),
        "axes": list(form.axes),
        "against": list(form.against),
        "spacing_mm": list(form.spacing_mm),
        "heights_mm": [0.0],
        "voxels": [voxels[1:].tolist()],
        "word": hashlib.sha256(np.ascontiguousarray(outlined).data).hexdigest(),
        "digest": digest.hexdigest(),
    }


def form_of(grid: Geometry, body: Box, outlined: Masks, annotated: tuple[bool, ...], data: Data) -> VolumeForm:
    """Return where a series is prepared: its body and what is outlined, at the study's spacing.

    Raises:
        ImageRefused: ``partly-outlined``.
    """
    return VolumeForm.of(grid, _kept_box(body, outlined, annotated), data.spacing_mm or grid.spacing_mm)


def _kept_box(body: Box, outlined: Masks, annotated: tuple[bool, ...]) -> Box:
    """Return what is kept of a series: its body and all that is outlined, in the slices that somebody looked at.

    Raises:
        ImageRefused: ``partly-outlined``: nobody looked at slices between others.
    """
    (looked,) = np.nonzero(np.array(annotated))
    first, last = int(looked[0]), int(looked[-1]) + 1
    if last - first != len(looked):
        raise ImageRefused(
            "partly-outlined",
            "it was outlined on some slices only, with others between them",
            do="Outline the slices between them too, or train slice by slice: [task] dims = 2.",
        )
    drawn = [np.nonzero(outlined.any(axis=others))[0] for others in ((1, 2), (0, 2), (0, 1))]
    ends = [
        (min(begin, int(there[0])), max(end, int(there[-1]) + 1)) if len(there) else (begin, end)
        for (begin, end), there in zip(body, drawn, strict=True)
    ]
    slices = max(ends[0][0], first), min(ends[0][1], last)
    return (slices if slices[0] < slices[1] else (first, last)), ends[1], ends[2]


def _chosen(mask: Masks, number: int, count: int) -> NDArray[np.int64]:
    """Choose voxels of a structure, evenly over their order: (voxels, 4), its number, slice, row and column."""
    ranks = np.unique(np.linspace(0, count - 1, min(count, MOST_VOXELS)).round().astype(np.int64))
    return np.concatenate([*_ranked(mask, number, ranks)])


def _ranked(mask: Masks, number: int, ranks: NDArray[np.int64]) -> Iterator[NDArray[np.int64]]:
    before = 0
    for at, plane in enumerate(mask):
        rows, columns = np.nonzero(plane == number)
        here = ranks[(ranks >= before) & (ranks < before + len(rows))] - before
        before += len(rows)
        yield np.column_stack([np.full(len(here), number), np.full(len(here), at), rows[here], columns[here]])


def _turned(places: NDArray[np.int64], form: VolumeForm) -> NDArray[np.int64]:
    """Turn indices (voxels, 3) in the order of the series to those of the prepared volume."""
    turned = places[:, form.axes]
    ends = np.array(form.shape) - 1
    return np.where(form.against, ends - turned, turned)


def _kept(folder: Path, facts: Facts, data: Data) -> KeptVolume:
    shape, matrix = facts["grid"]
    grid = Geometry(tuple(shape), tuple(tuple(line) for line in matrix))
    form = VolumeForm(
        grid,
        tuple(tuple(ends) for ends in facts["box"]),  # type: ignore[arg-type]  # three pairs, as it was written
        tuple(facts["counts"]),
        tuple(facts["axes"]),
        tuple(facts["against"]),
    )
    return KeptVolume(folder / f"{facts['first']}", data.inputs, form)
