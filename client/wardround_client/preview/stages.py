"""One image or examination from its file to what the network is trained on: after each step, and as random views.

Each stage comes from the functions that training calls; nothing here prepares anything of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from wardround_client.images import read_with_header
from wardround_client.images.units import in_hounsfield
from wardround_client.intake.boxes import Box
from wardround_client.intake.instance import Index, Instance
from wardround_client.masks.find import Mask
from wardround_client.masks.fullest import fullest
from wardround_client.preparation import preprocessing
from wardround_client.preparation.scaled import body_of, channels_of, series_area
from wardround_client.preparation.slices import forms
from wardround_client.preparation.stepped import after_each, asks_hounsfield, not_hounsfield, series_after_each
from wardround_client.preparation.volumes import form_of
from wardround_client.tasks import box_form, outline_form
from wardround_client.tasks.patches import cut
from wardround_client.tasks.registry import local_task
from wardround_client.training.augmentation import augment
from wardround_client.volumes import Series
from wardround_common.randomness import Stream, insecure_stream
from wardround_common.study.file import Study
from wardround_common.study.steps import Area, Stated, step_of
from wardround_common.tasks.detection import Detection
from wardround_common.tasks.registry import task_of

VIEWS = 3
"""Random views of each image."""
Pixels = NDArray[np.float32]
Classes = NDArray[np.uint8]
Form = Sequence[Sequence[float]]
"""Boxes: upper, left, lower, right edge and the number of the class."""


@dataclass(frozen=True, eq=False)
class Stage:
    """What an image is at one place on its way."""

    name: str
    pixels: Pixels = field(repr=False)
    """(channels, rows, columns), or (slices, rows, columns) of one channel where ``volume``."""
    low: float
    """The smallest value of the image, the slice that is shown, or the volume."""
    high: float
    scaled: bool
    """Whether its values lie from 0 to 1, and are drawn so."""
    mask: Classes | None = field(default=None, repr=False)
    """(rows, columns), or as ``pixels`` where it is a volume."""
    boxes: Form = field(default=(), repr=False)
    spacing_mm: tuple[float, ...] | None = None
    volume: bool = False


@dataclass(frozen=True, eq=False)
class Example:
    """An image, or an examination of which one slice is shown, with its stages in their order."""

    title: str
    file: str = field(repr=False)
    stages: tuple[Stage, ...] = field(repr=False)


@dataclass(frozen=True, eq=False)
class Shown:
    """An examination that can be shown."""

    channels: tuple[Series, ...] = field(repr=False)
    reference: Series = field(repr=False)
    """The series that is shown: the one on whose grid the mask lies, or the first."""
    mask: Mask | None = field(repr=False)

    @property
    def patient(self) -> str:
        """Whose it is."""
        return self.reference.patient or str(min(self.reference.files))

    def made_by(self, index: Index) -> tuple[str, str]:
        """Return manufacturer and scanner, as the scan has them."""
        names = {str(path) for path in self.reference.files}
        found = next((one for one in index.accepted if any(name.endswith(f"/{one.file}") for name in names)), None)
        return (found.manufacturer, found.scanner) if found else ("", "")


def of_image(
    folder: Path, instance: Instance, study: Study, boxes: Sequence[Box] | None, area: Area | None = None
) -> Example:
    """Return the stages of a single image; ``area``: the part of it that is left, where its series is cut alike.

    Raises:
        ImageRefused: it cannot be read, or is not what the study's steps take.
    """
    data, path = study.data, folder / instance.file
    image, header = read_with_header(path, voi=data.intensity == "window")
    if asks_hounsfield(data.steps) and (header is None or not in_hounsfield(header)):
        raise not_hounsfield()
    form, area = preprocessing.located(image, data, area)
    pixels, drawn = preprocessing.match_channels(image.pixels, data.channels), _drawn(boxes or ())
    scaled = data.intensity == "window"
    stored = "As stored, by its own window" if scaled else "As stored"
    stages = [_stage(stored, pixels, pixels, scaled, boxes=drawn, spacing_mm=image.spacing_mm)]
    height, width = pixels.shape[1:]
    drawn = [
        (top - area.top, left - area.left, bottom - area.top, right - area.left, of)
        for top, left, bottom, right, of in drawn
    ]
    for one, after in zip(data.steps, after_each(area.of(pixels), data.steps), strict=True):
        scaled = scaled or step_of(one.step).scales
        stages.append(_stage(_name(one, area, (height, width)), after, after, scaled, boxes=drawn))
    formed = box_form.to_form(boxes or (), area, data.square, image.hanging)
    stages.append(_stage("What the network sees", form, form, True, boxes=formed))
    for view, targets in _views(form, _targets(study, None, formed), study):
        seen = [] if targets is None else targets.tolist()
        stages.append(_stage("A random view", view, view, True, boxes=seen))
    return Example(_title(instance.manufacturer, instance.scanner, (height, width)), instance.file, tuple(stages))


def of_examination(folder: Path, one: Shown, index: Index, study: Study) -> Example:
    """Return the stages of an examination, at the slice in which most is outlined, or the middle one.

    Raises:
        ImageRefused: a series cannot be read, or is not what the study's steps take.
    """
    data, series = study.data, one.reference
    outlined = None if one.mask is None else one.mask.volume()
    number = len(series) // 2 if outlined is None else fullest(outlined)
    at = None if outlined is None else outlined[number]
    shape = series.geometry.shape[1:]
    whole_slice, area = Area.whole(*shape), series_area(one.channels[0], series.geometry, data)
    stages, scaled = [_of_series("As stored", series, number, False, at, whole_slice)], False
    for stated, after in zip(data.steps, series_after_each(series, data.steps), strict=True):
        scaled = scaled or step_of(stated.step).scales
        stages.append(_of_series(_name(stated, area, shape), after, number, scaled, at, area))
    whole = _volume if task_of(study.task).dims(study.task) == 3 else _slice
    stages += whole(one, number, outlined, study)
    file = str(min(series.files).relative_to(folder))
    said = "" if len(one.channels) == 1 else f", one of {len(one.channels)} series"
    return Example(_title(*one.made_by(index), series.geometry.shape) + said, file, tuple(stages))


def _slice(one: Shown, number: int, outlined: Classes | None, study: Study) -> list[Stage]:
    data, grid = study.data, one.reference.geometry
    place = one.channels.index(one.reference)
    area = series_area(one.channels[0], grid, data)
    (form,) = forms(one.channels, grid, data, [number], area)
    mask = None
    if outlined is not None:
        (mask,) = outline_form.to_form(area.of(outlined[number : number + 1]), data.square, grid.hanging)
    boxes: Form = ()
    if isinstance(study.task, Detection) and mask is not None:
        boxes, mask = box_form.around_parts(mask, len(study.groups)), None
    stages = [_stage("What the network sees", form[place, None], form, True, mask=mask, boxes=boxes)]
    for view, targets in _views(form, _targets(study, mask, boxes), study):
        seen = view[place, None]
        if isinstance(study.task, Detection):
            stages.append(_stage("A random view", seen, view, True, boxes=() if targets is None else targets.tolist()))
        else:
            stages.append(_stage("A random view", seen, view, True, mask=targets))
    return stages


def _volume(one: Shown, number: int, outlined: Classes | None, study: Study) -> list[Stage]:
    data, grid = study.data, one.reference.geometry
    place, channels = one.channels.index(one.reference), channels_of(one.channels, grid, data)
    annotated = (True,) * len(one.reference) if one.mask is None else one.mask.annotated
    nothing = np.zeros(grid.shape, np.uint8) if outlined is None else outlined
    form = form_of(grid, body_of(one.reference, channels[place], grid, data), nothing, annotated, data)

    def read(at: int) -> torch.Tensor:
        return torch.from_numpy(np.stack([channel.slice(at) for channel in channels]))

    planes = np.stack([plane.numpy() for plane in form.slices(read)])  # (slices, channels, rows, columns) of the series
    volume = form.turned(planes.swapaxes(0, 1))
    mask = form.turned(np.stack([*form.classes(nothing, len(study.groups))]))
    spacing, shown = form.spacing_mm, None if outlined is None else mask
    stages = [
        Stage("What the network sees, in patches", volume[place], *_ends(volume), True, shown, (), spacing, volume=True)
    ]
    extent = data.patch_size or form.shape
    there = np.argwhere(mask)
    centre = there[len(there) // 2] if len(there) else np.array(form.shape) // 2
    corner = np.array([int(c) - side // 2 for c, side in zip(centre, extent, strict=True)])
    patch, of_patch = cut(volume, corner, extent), cut(mask, corner, extent)
    for view, targets in _views(np.ascontiguousarray(patch), _targets(study, of_patch, ()), study):
        at = fullest(of_patch if targets is None else targets)
        seen = None if targets is None or outlined is None else targets[at]
        stages.append(_stage("A random view of a patch", view[place, at][None], view, True, mask=seen))
    return stages


def _views(form: Pixels, targets: torch.Tensor | None, study: Study) -> list[tuple[Pixels, NDArray[np.generic] | None]]:
    """Return random views of an image (channels, *space), as training draws them, with their targets."""
    if not study.training.augmentations:
        return []
    stream, found = insecure_stream(study.model.seed, "preview"), []
    for number in range(VIEWS):
        found.append(_view(form, targets, study, stream.child(number)))
    return found


def _view(
    form: Pixels, targets: torch.Tensor | None, study: Study, stream: Stream
) -> tuple[Pixels, NDArray[np.generic] | None]:
    image = torch.from_numpy(form.copy())[None]
    given = torch.zeros(1) if targets is None else targets[None]
    move = local_task(study.task).moved if targets is not None else None
    view, moved = augment(image, given, study.training.augmentations, stream, move)
    return view[0].numpy(), None if targets is None else moved[0].numpy()


def _targets(study: Study, mask: Classes | None, boxes: Form) -> torch.Tensor | None:
    """Return what is moved along with an image: boxes (most, 5), a mask, or nothing."""
    if isinstance(study.task, Detection):
        return torch.from_numpy(box_form.together([boxes])[0])
    return None if mask is None else torch.from_numpy(np.ascontiguousarray(mask))


def _of_series(name: str, series: Series, number: int, scaled: bool, mask: Classes | None, area: Area) -> Stage:
    plane, spacing = area.of(series.slice(number)), series.geometry.spacing_mm
    return _stage(name, plane[None], plane, scaled, mask=None if mask is None else area.of(mask), spacing_mm=spacing)


def _stage(
    name: str,
    pixels: Pixels,
    whole: Pixels,
    scaled: bool,
    *,
    mask: Classes | NDArray[np.generic] | None = None,
    boxes: Form = (),
    spacing_mm: tuple[float, ...] | None = None,
) -> Stage:
    of = None if mask is None else np.asarray(mask, np.uint8)
    there = [box for box in boxes if box[box_form.CLASS] >= 0]
    return Stage(name, pixels, *_ends(whole), scaled, of, there, spacing_mm)


def _ends(values: Pixels) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _drawn(boxes: Sequence[Box]) -> Form:
    return [(box.top, box.left, box.bottom, box.right, box.of_class) for box in boxes]


def _name(one: Stated, area: Area, shape: tuple[int, int]) -> str:
    """Say what a step does; of one that cuts, also where it had nothing to cut off."""
    said = one.said[:1].upper() + one.said[1:]
    whole = step_of(one.step).area is not None and area == Area.whole(*shape)
    return f"{said}; here nothing is cut off" if whole else said


def _title(manufacturer: str, scanner: str, shape: Sequence[int]) -> str:
    size = " × ".join(map(str, shape))
    return f"{f'{manufacturer} {scanner}'.strip() or 'Unknown scanner'}, {size}"
