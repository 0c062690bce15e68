"""The files of one case: an outline as NIfTI, objects for the PACS, and a picture for a person to look at."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from pydicom import Dataset

from wardround_client.images.picture import png_of
from wardround_client.prediction.box_pictures import pictures_of_boxes
from wardround_client.prediction.capture import Picture, captures_of
from wardround_client.prediction.dicom_codes import Coded
from wardround_client.prediction.dicom_out import Kind, report_of, segmentation_of
from wardround_client.prediction.keeping import Kept
from wardround_client.prediction.nifti_mask import nifti_of
from wardround_client.prediction.pictures import pictures_of
from wardround_client.prediction.predicting import Done
from wardround_client.prediction.sources import NOT_STATED, Equipment, content_of, sources_of
from wardround_client.preparation.outline_page import overlaid
from wardround_common.results.model_folder import Card
from wardround_common.study.data import NEXT


@dataclass(frozen=True)
class Objects:
    """Which objects for the PACS are written, and what the study and the hospital state in them."""

    kind: Kind
    """Of segmentations."""
    captures: bool = True
    """Whether pictures are among them."""
    coded: Coded = field(default_factory=dict)
    equipment: Equipment = NOT_STATED


def write_files(
    done: Done, kept: Kept, card: Card, *, preview: bool = False, objects: Objects | None = None
) -> list[str]:
    """Write the files of a case into the folder of its run; name them.

    Raises:
        ImageRefused: DICOM objects are asked for, and the images do not say what they need.
    """
    stem, outline = stem_of(done), done.answer.outline
    made: dict[str, bytes] = {}  # all of them before one is written: what is refused leaves nothing behind
    if outline is not None:
        made[f"{stem}.nii.gz"] = nifti_of(outline, done.case.series[0])
    if objects is not None:
        made |= {f"{stem}.{kind}.dcm": content_of(one) for kind, one in _objects(done, card, objects)}
    if preview:
        made[f"{stem}.png"] = _preview(done, card)
    return [kept.write(name, content) for name, content in made.items()]


def _objects(done: Done, card: Card, wanted: Objects) -> Iterator[tuple[str, Dataset]]:
    sources, segmentation = sources_of(done.case), None
    stated = (wanted.coded, wanted.equipment)
    if done.answer.outline is not None:
        segmentation = segmentation_of(done.answer, sources, card, wanted.kind, *stated)
        yield "seg", segmentation
    whole = replace(done.answer, facts=done.asked.about | done.answer.facts)  # what its files lack is told too
    yield "report", report_of(whole, sources, card, segmentation, *stated)
    if wanted.captures:
        made = captures_of(_drawn(done, card), sources, card, f"Pictures of {card.name}", wanted.equipment)
        for number, one in enumerate(made, 1):
            yield f"picture-{number:02}", one


def stem_of(done: Done) -> str:
    """Return the name of a case's files: that of its file, or its series' UID, and no two alike."""
    name = done.case.name
    if done.case.series and done.case.series[0].stored != "nifti":
        return name
    plain = Path(name).name.removesuffix(".gz").removesuffix(".nii").encode("ascii", "replace").decode()
    return f"{plain.replace('?', '_')}-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def _drawn(done: Done, card: Card) -> list[Picture]:
    return (pictures_of_boxes if "boxes" in done.answer.facts else pictures_of)(done, card)


def _preview(done: Done, card: Card) -> bytes:
    """Draw a case as a PNG: the first of its pictures; without boxes or an outline, the image as the network saw it."""
    if done.answer.outline is not None or "boxes" in done.answer.facts:
        return png_of(_drawn(done, card)[0].pixels)
    image = done.asked.images[0, 0]
    if done.asked.members:  # several images, of which the case's first file weighs most
        image = image[done.asked.members.index(str(done.case.files[0]))]
    elif image.ndim > 2:  # of a slice among others, its own
        image = image[NEXT.index(0)]
    return base64.b64decode(overlaid(image, np.zeros(image.shape, np.uint8)))
