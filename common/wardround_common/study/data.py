"""``[data]``: which images are taken, and the form that the network sees."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from wardround_common.errors import StudyError
from wardround_common.one_form import one_form
from wardround_common.section import Section, each_once
from wardround_common.study.series import Wanted
from wardround_common.study.steps import MOST_STEPS, Stated
from wardround_common.study.task_keys import unused_keys
from wardround_common.study.template import example, toml_value
from wardround_common.study.variables import MOST_VARIABLES, Variable
from wardround_common.tasks.contract import TaskSection
from wardround_common.tasks.measurement import Measurement
from wardround_common.tasks.registry import task_of

Modality = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,15}$")]
BodyPart = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,15}$")]
SIZED = re.compile(r"[cdmnuµμ]?m[23²³]?|[cdmnuµμ]?[lL]|cc")
"""Units of lengths, areas and volumes."""
Millimetres = Annotated[float, Field(gt=0, le=100)]
Voxels = Annotated[int, Field(ge=8, le=512)]
Intensity = Literal["percentile", "window", "range", "steps"]
NEXT = (-1, 0, 1)
"""What a slice is shown with, counted from its own along the series; the ends stand for what is beyond them."""
THROUGH = 8
"""And how many images of its whole series, at equal distances; of a shorter one some are shown twice."""


class Data(Section):
    """``[data]``: which images are taken, and the form that the network sees."""

    modalities: Annotated[tuple[Modality, ...], Field(min_length=1, max_length=100, strict=False)]
    """DICOM Modality values such as MR, CR, DX, CT; ``OTHER`` also takes PNG, JPEG, TIFF and NIfTI."""
    image_size: Annotated[int, Field(ge=16, le=1024)] | None = None
    """Of images and slices: height and width in pixels; the aspect is kept and the rest is padded."""
    intensity: Intensity
    """percentile: 0.5 to 99.5 % become 0 to 1 · window: the file's VOI LUT or window · range: minimum to maximum ·
    steps: as the steps leave it."""
    channels: Literal[1, 3] = 1
    body_parts: Annotated[tuple[BodyPart, ...], Field(max_length=20, strict=False)] = ()
    """DICOM BodyPartExamined values of which one is an image's, if its file states any; left out: all are taken."""
    series: Annotated[tuple[Wanted, ...], Field(max_length=16, strict=False)] = ()
    """``[[data.series]]``: the series that are taken of each patient, each a channel of what the network sees."""
    spacing_mm: Annotated[tuple[Millimetres, Millimetres, Millimetres], Field(strict=False)] | None = None
    """Of volumes: distance between voxels towards the head, the back and the left, to which they are resampled."""
    patch_size: Annotated[tuple[Voxels, Voxels, Voxels], Field(strict=False)] | None = None
    """Of volumes: extent of what the network sees at a time, in voxels of that spacing and in that order."""
    patches_per_volume: Annotated[int, Field(ge=1, le=1000)] = 4
    """Of volumes: how many patches are drawn of each in a pass; every other one lies around a structure."""
    record: Literal["image", "slice", "series", "patient"] = "image"
    """What the network says something of: each image alone, each among others of its series (a slice), or all
    images of a series or of a patient together (a bag)."""
    bag_size: Annotated[int, Field(ge=1, le=512)] = 32
    """Of a bag: how many images it has at most; of more, this many are taken at equal distances."""
    variables: Annotated[tuple[Variable, ...], Field(max_length=MOST_VARIABLES, strict=False)] = ()
    """Of a bag: what the network is told of the patient besides images; what is missing is told as missing."""

    normalisation: Literal["federation"] | None = None
    """federation: images are standardised by mean and deviation over all hospitals' training patients, which they add
    up once, before the first round; under dp-sgd with noise, for ``normalisation_epsilon``. None: from 0 to 1."""

    steps: Annotated[tuple[Stated, ...], Field(max_length=MOST_STEPS, strict=False)] = ()
    """What is done to each image before its intensities are scaled, in order; each is a step with its settings."""

    LATER: ClassVar[tuple[str, ...]] = (
        "image_size",
        "body_parts",
        "series",
        "spacing_mm",
        "patch_size",
        "patches_per_volume",
        "record",
        "bag_size",
        "variables",
        "normalisation",
        "steps",
    )

    @property
    def bagged(self) -> bool:
        """Whether a record is several images together."""
        return self.record != "image"

    @property
    def gathered(self) -> bool:
        """Whether a record is all images of a series or of a patient, which the network makes one of."""
        return self.record in ("series", "patient")

    @property
    def cut_alike(self) -> bool:
        """Whether a step that cuts single images cuts all of a series alike, since they are looked at side by side."""
        return self.record in ("slice", "series") or bool(self.sequences)

    @property
    def sequences(self) -> tuple[Wanted, ...]:
        """Of a bag: the series that it takes, each of which has its own places; empty where it takes all alike."""
        return self.series if self.bagged else ()

    @property
    def share(self) -> int:
        """Of a bag: how many places a sequence has, or all images where they are not told apart."""
        return len(NEXT) + THROUGH if self.record == "slice" else self.bag_size // (len(self.sequences) or 1)

    @property
    def places(self) -> int:
        """Of a bag: how many places a record has for images."""
        return self.share * (len(self.sequences) or 1)

    @property
    def told(self) -> tuple[str, ...]:
        """The inputs of a record that may be missing, by name: each can be withheld to see what it is worth."""
        return (*(one.role for one in self.sequences), *(one.name for one in self.variables))

    @property
    def numbers(self) -> int:
        """How many numbers the network is told of a record besides its images; of a slice its place in the series."""
        return 1 if self.record == "slice" else sum(one.width for one in self.variables)

    @property
    def inputs(self) -> int:
        """How many channels the study's network sees."""
        return self.channels if self.bagged else len(self.series) or self.channels

    @property
    def extent(self) -> tuple[int, ...]:
        """What the network is trained on at a time: (rows, columns), or (slices, rows, columns) of a patch."""
        return self.patch_size or (self.square, self.square)

    @property
    def square(self) -> int:
        """Height and width of an image or slice.

        Raises:
            StudyError: the study is of volumes, which keep their own extents.
        """
        if self.image_size is None:
            raise StudyError("this study is of volumes, which have no image_size")
        return self.image_size

    @field_validator("series")
    @classmethod
    def _roles_differ(cls, series: tuple[Wanted, ...]) -> tuple[Wanted, ...]:
        each_once(tuple(one.role for one in series))
        return series

    @field_validator("variables")
    @classmethod
    def _names_differ(cls, variables: tuple[Variable, ...]) -> tuple[Variable, ...]:
        each_once(tuple(one.name for one in variables))
        return variables

    @field_validator("modalities", "body_parts")
    @classmethod
    def _words_differ(cls, words: tuple[str, ...]) -> tuple[str, ...]:
        return each_once(words)


def unfit_form(data: Data, task: TaskSection | None) -> Iterator[str]:
    """Name the keys of ``[data]`` that images or volumes need and have not, or have and do not use."""
    volumes = task is not None and task_of(task).dims(task) == 3
    of_images, of_volumes = ("image_size",), ("spacing_mm", "patch_size", "patches_per_volume")
    needed, unused = (of_volumes, of_images) if volumes else (of_images, of_volumes)
    for key in needed:
        if getattr(data, key) is None:
            yield f"[data] {key}: this key is missing, such as {example('data', key)}"
    if data.normalisation and data.bagged:
        counted = "the place of a slice" if data.record == "slice" else "an image that is absent from a record"
        yield f"[data] normalisation = 'federation': {counted} would count as pixels; remove it"
    if task is None:
        return
    for key in unused:
        if (value := getattr(data, key)) != Data.model_fields[key].default:
            why = "of images and slices" if volumes else "of volumes ([task] dims = 3)"
            yield f"[data] {key} = {toml_value(value)}: this is a key {why}; remove it"


def unfit_series(data: Data, task: TaskSection) -> Iterator[str]:
    """Name what a task that takes series cannot do with single images, and the other way round."""
    if not task_of(task).takes_series(task):
        if data.bagged:
            yield from _unfit_sequences(data)
        elif data.series:
            yield (
                f"[data] series: the task '{task.name}' takes single images, and no series; write record = 'patient', "
                "or remove it"
            )
        return
    if data.intensity == "window":
        yield (
            "[data] intensity = 'window': intensities are scaled by a whole series, whose slices may propose windows "
            "that differ; write 'percentile' or 'range'"
        )
    if data.channels != 1:
        yield f"[data] channels = {data.channels}: each of [[data.series]] is one channel; remove it"


def _unfit_sequences(data: Data) -> Iterator[str]:
    """Name what a study whose records are several sequences cannot have."""
    if data.series and data.record != "patient":
        yield "[data] series: several series are one record with record = 'patient'; write that, or remove them"
    if len(data.series) == 1:
        yield "[data] series: one series alone is nothing to tell apart; name two or more, or remove it"
    if data.bag_size < len(data.series):
        yield f"[data] bag_size = {data.bag_size}: each of {len(data.series)} series needs a place; raise it"
    roles = {one.role for one in data.series}
    if twice := sorted(roles & {one.name for one in data.variables}):
        yield f"[data] variables: '{twice[0]}' is the name of a series, too; name it otherwise"


def unfit_bags(data: Data, task: TaskSection) -> Iterator[str]:
    """Name what a study of records of several images cannot have."""
    if data.bagged and (why := unused_keys(task).get(("data", "record"))):
        yield f"[data] record = '{data.record}': {why}; remove it"
    together = data.record in ("series", "patient")
    if not together and data.bag_size != Data.model_fields["bag_size"].default:
        yield f"[data] bag_size = {data.bag_size}: this is a key of record = 'series' or 'patient'; remove it"
    if not together and data.variables:
        yield (
            "[data] variables: they are told of a record of several images, of which there may be one; write "
            "record = 'patient', or remove them"
        )
    answers = {one_form(name).strip().casefold() for name in task_of(task).answers(task)}
    for one in data.variables:
        if one_form(one.written_in).strip().casefold() in answers:
            yield (
                f"[data] variables: the column '{one.written_in}' of '{one.name}' is what the task '{task.name}' "
                "learns to tell: a model that is told it learns nothing else; remove it"
            )


def why_uncut(task: TaskSection) -> str:
    """Say why no step may cut a study's images to a part of theirs; empty if one may."""
    if task_of(task).dims(task) == 3:
        return "volumes are cut to the body already"
    if isinstance(task, Measurement) and SIZED.fullmatch(task.unit):
        return (
            f"each image is enlarged by a factor of its own then, and a size in {task.unit} could not be told from it"
        )
    return ""
