"""Single images in the form that a study's network sees: made once for these pixels, and read from the disk."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround_client.images import Image, dicom_pixels, plain_pixels, read_image
from wardround_client.images.dicom import Stored, refusing
from wardround_client.images.hanging import AS_STORED
from wardround_client.images.meaning import Grey
from wardround_client.images.units import in_hounsfield
from wardround_client.intake import kept_pixels
from wardround_client.intake.instance import Instance
from wardround_client.intake.kept_pixels import Kept
from wardround_client.intake.record import RETRIED
from wardround_client.preparation import preprocessing
from wardround_client.preparation.bags import series_of
from wardround_client.preparation.made_once import FOLDER, Facts, made_once
from wardround_client.preparation.source import Source
from wardround_client.preparation.stepped import asks_hounsfield, not_hounsfield
from wardround_client.volumes.frames import header_of
from wardround_common.errors import ImageRefused
from wardround_common.study.data import Data
from wardround_common.study.steps import Area, cuts, versions_of


@dataclass(frozen=True, eq=False)
class Prepared:
    """Images in the form of one study's network, on the disk."""

    key: str
    images: NDArray[np.float32]
    row_of: dict[str, int]
    refused: dict[str, str]
    areas: dict[str, Area] = field(default_factory=dict)
    """By file the part of its image that is left, where a step of the study cuts images."""


def keep_images(source: Source, data: Data, wanted: Sequence[Instance], kept: Mapping[str, Kept]) -> Prepared:
    """Return the images of ``wanted`` in the study's form, as a memory map; they are made once for these pixels.

    ``kept`` has, by file, what a scan kept of the decoded pixels.
    """
    # Hospitals that are cut from one folder share nothing here: each prepares what it uses.
    form = (
        data.model_dump_json(exclude={"modalities", "body_parts", "variables", "series"})
        + f" {preprocessing.VERSION}"
        + versions_of(data.steps)
        # Of an image's bytes in the memory there is a digest, and none of what a plug-in's format makes of them.
        + "".join(f" {one}" for one in sorted(source.formats))
    )
    together = cuts(data.steps) and data.cut_alike  # then what is left of an image hangs on the others of its series
    named = "\n".join(
        "\t".join((one.file, one.pixel_digest, *_hung(one), *(series_of(one) if together else ()))) for one in wanted
    )
    key = hashlib.sha256(f"{form}\n{named}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
    folder = source.state / FOLDER / key
    facts = made_once(
        folder,
        lambda making: _make_images(source, data, wanted, kept, making),
        again=lambda facts: bool(RETRIED & {*facts["refused"].values()}),
    )
    shape = (len(facts["row_of"]), data.channels, data.square, data.square)
    if not facts["row_of"]:
        return Prepared(key, np.empty(shape, np.float32), {}, facts["refused"])
    images = np.memmap(folder / "images.f32", "<f4", "r", shape=shape)
    areas = {file: Area(*sides) for file, sides in facts.get("areas", {}).items()}
    return Prepared(key, images, facts["row_of"], facts["refused"], areas)


def areas_alike(source: Source, data: Data, wanted: Sequence[Instance], kept: Mapping[str, Kept]) -> dict[str, Area]:
    """Return, by file, the part that is left of each image where all images of a series are cut alike; else nothing.

    An image that cannot be read has none: it says why when it is prepared.
    """
    if not (cuts(data.steps) and data.cut_alike):
        return {}
    together: dict[tuple[str, str], list[Instance]] = defaultdict(list)
    for one in wanted:
        together[series_of(one)].append(one)

    def read(images: Sequence[Instance]) -> Iterator[tuple[str, None, Image]]:
        for one in images:
            with suppress(ImageRefused):
                of = kept.get(one.file)
                yield one.file, None, _image(source, data, one, of, _stored(source, data, one, of))

    found: dict[str, Area] = {}
    for images in together.values():  # one after the other, so that one series at a time is in memory
        found |= preprocessing.cut_alike(read(images), data)
    return found


def _stored(source: Source, data: Data, instance: Instance, kept: Kept | None) -> Stored | None:
    """Return what the scan kept of an image's pixels; None if nothing.

    Raises:
        ImageRefused: the file holds several images, or is not in the unit that a step asks for.
    """
    if instance.frames > 1:
        raise ImageRefused(
            "volume",
            "the study's network sees single images, and this file holds several",
            do="Export its slices or frames as single images.",
        )
    if asks_hounsfield(data.steps):
        with refusing("unreadable", "the attributes cannot be read", where=instance.file):
            if not in_hounsfield(header_of(source.folder / instance.file)[0]):
                raise not_hounsfield()
    return kept_pixels.read(kept, instance, folder=source.folder, state=source.state) if kept else None


def _image(source: Source, data: Data, instance: Instance, kept: Kept | None, stored: Stored | None) -> Image:
    """Read one image, from what the scan kept of it, or else from its file.

    Raises:
        ImageRefused: the file cannot be read, or has no window that can be applied.
    """
    voi, where = data.intensity == "window", instance.file
    if kept is None or stored is None:
        return read_image(source.folder / where, voi=voi)
    if kept.meaning is None:
        return Image(plain_pixels(stored, colour=stored.ndim == 3, voi=voi, where=where), instance.spacing_mm)
    values = dicom_pixels(kept.meaning, stored, several=False, voi=voi, where=where)
    return Image(values, instance.spacing_mm, turn=instance.turn, aspect=instance.aspect)


def _hung(instance: Instance) -> tuple[str, ...]:
    """Name the form of an image's pixels where they are not square, and how it is turned where it is stored unlike."""
    aspect, turn = preprocessing.aspect_of(instance.hanging.sides), instance.turn
    turned = () if turn == AS_STORED else ("".join(str(int(one)) for one in turn),)
    return turned if aspect == 1 else (f"{aspect:.6g}", *turned)


def _network_form(
    source: Source, data: Data, instance: Instance, kept: Kept | None, area: Area | None = None
) -> tuple[NDArray[np.float32], Area]:
    """Bring one image into the study's form, and say which part of it that is: ``area`` where it is known already.

    Raises:
        ImageRefused: the file cannot be read, is a volume, or has no window that can be applied.
    """
    stored = _stored(source, data, instance, kept)
    meaning = kept.meaning if kept else None
    if isinstance(meaning, Grey) and meaning.padding is None and stored is not None and stored.dtype.kind in "iu":
        voi, where = data.intensity == "window", instance.file

        def values_of(levels: Stored) -> NDArray[np.float32]:
            values: NDArray[np.float32] = dicom_pixels(meaning, levels[None], several=False, voi=voi, where=where)[0, 0]
            return values

        form = preprocessing.levels_to_network_form(stored, values_of, data, instance.hanging)
        if form is not None:
            return form, Area.whole(*stored.shape)
    return preprocessing.located(_image(source, data, instance, kept, stored), data, area)


def _make_images(
    source: Source, data: Data, wanted: Sequence[Instance], kept: Mapping[str, Kept], making: Path
) -> Facts:
    row_of: dict[str, int] = {}
    refused: dict[str, str] = {}
    areas: dict[str, tuple[int, ...]] = {}
    alike = areas_alike(source, data, wanted, kept)
    # Plain writes: a full disk is an error here, and a crash of the process with a writable memory map.
    with (making / "images.f32").open("wb") as images:
        for instance in wanted:
            try:
                form, area = _network_form(source, data, instance, kept.get(instance.file), alike.get(instance.file))
                images.write(form.astype("<f4", copy=False).tobytes())
                row_of[instance.file] = len(row_of)
                areas[instance.file] = (area.top, area.left, area.bottom, area.right)
            except ImageRefused as refusal:
                refused[instance.file] = refusal.reason
    facts: Facts = {"row_of": row_of, "refused": refused}
    return facts | {"areas": areas} if cuts(data.steps) else facts
