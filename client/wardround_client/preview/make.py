"""A preview of a study on a hospital's folder: a few examples, and the page that shows them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial

from wardround_client.intake.boxes import Boxes
from wardround_client.intake.instance import Index, Instance
from wardround_client.intake.scan_report import shown
from wardround_client.preparation.bags import series_of
from wardround_client.preparation.kept_images import areas_alike
from wardround_client.preparation.source import Source, fitting
from wardround_client.preview import chosen
from wardround_client.preview.page import written
from wardround_client.preview.stages import Example, of_examination, of_image
from wardround_client.tasks.detection import boxes_of
from wardround_common.errors import DataError, ImageRefused, LabelError
from wardround_common.refusals import explained
from wardround_common.study.file import Study
from wardround_common.study.plugins import admit_steps
from wardround_common.tasks.detection import Detection
from wardround_common.tasks.registry import task_of

MOST_IMAGES, MOST_VOLUMES = 6, 3
TRIED = 4
"""Times as many are tried where some cannot be prepared."""


@dataclass(frozen=True)
class Preview:
    """What a study makes of some of a hospital's images. It stays at the hospital."""

    page: str = field(repr=False)
    """HTML."""
    examples: int
    fitting: int
    series: bool


def preview(source: Source, index: Index, study: Study, made: datetime) -> Preview:
    """Show what a study makes of some of the images that a scan accepted; nobody needs to have labelled them.

    Raises:
        DataError: no image fits the study, or none that was tried can be prepared.
        LabelError: a table of the hospital's cannot be read, or contradicts itself or the study.
        PluginError: a step of a plug-in is not installed as the study names it, or does what no step may.
    """
    admit_steps(study)
    task = task_of(study.task)
    series, volumes = task.takes_series(study.task), task.dims(study.task) == 3
    taken, left_out = fitting(index.accepted, study.data)
    notes: list[str] = []
    if study.data.normalisation:
        notes.append(
            "Images are shown as they are before the model standardises them, by the mean and deviation of all "
            "hospitals together, which nobody knows before a run."
        )
    waiting: list[Callable[[], Example]]
    if series:
        found = chosen.examinations(source, index, taken, study)
        if found and found[0].mask is None:
            notes.append("No mask outlines what the study learns here, so that images are shown without.")
        waiting = [lambda one=one: of_examination(source.folder, one, index, study) for one in found]  # type: ignore[misc]  # of now
    else:
        boxes = _boxes(source, index, study, notes)
        of = boxes.of if boxes else {}

        def shown_of(one: Instance) -> Example:
            series = [other for other in taken if series_of(other) == series_of(one)]
            alike = areas_alike(source, study.data, series, index.kept)
            return of_image(source.folder, one, study, of.get(one.file), alike.get(one.file))

        waiting = [partial(shown_of, one) for one in chosen.images(taken, boxes)]
    there, most = len(waiting), MOST_VOLUMES if volumes else MOST_IMAGES
    examples: list[Example] = []
    refused: list[ImageRefused] = []
    for make in waiting[: most * TRIED]:
        if len(examples) == most:
            break
        try:
            examples.append(make())
        except ImageRefused as reason:
            refused.append(reason)
    counts = dict(left_out + Counter(reason.reason for reason in refused))
    if not examples:
        raise _none(source, study, counts, refused)
    page = written(study, examples, fitting=there, left_out=counts, notes=notes, series=series, made=made)
    return Preview(page, len(examples), there, series)


def _boxes(source: Source, index: Index, study: Study, notes: list[str]) -> Boxes | None:
    """Read the boxes of a study that learns them; what is wrong with the table is a note, since nobody trains yet."""
    if not isinstance(study.task, Detection):
        return None
    try:
        return boxes_of(source, index, study)
    except LabelError as error:
        notes.append(f"Without boxes: {error.what}.")
        return None


def _none(source: Source, study: Study, counts: dict[str, int], refused: list[ImageRefused]) -> DataError:
    why = explained(counts) or "no series fits it"
    takes = f"The study takes {', '.join(study.data.modalities)}"
    takes += f" of {', '.join(study.data.body_parts)}" if study.data.body_parts else ""
    return DataError(
        f"no image here can be shown as the study prepares it: {why}",
        where=shown(str(source.folder)),
        do=(refused[0].do if refused and refused[0].do else "")
        or f"{takes}; what the folder holds is in the scan's report.",
    )
