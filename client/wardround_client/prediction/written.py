"""The files of one case: an outline as NIfTI, objects for the PACS, and a picture for a person to look at."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

import numpy as np

from wardround_client.prediction.capture import captures_of
from wardround_client.prediction.dicom_out import Kind, report_of, segmentation_of
from wardround_client.prediction.keeping import Kept
from wardround_client.prediction.nifti_mask import nifti_of
from wardround_client.prediction.pictures import pictures_of
from wardround_client.prediction.predicting import Done
from wardround_client.prediction.sources import content_of, sources_of
from wardround_client.preparation import preprocessing
from wardround_client.preparation.outline_page import overlaid
from wardround_common.results.model_folder import Card


def write_files(
    done: Done, kept: Kept, card: Card, *, preview: bool = False, dicom: Kind | None = None, captures: bool = True
) -> list[str]:
    """Write the files of a case into the folder of its run; name them.

    ``captures``: whether pictures are among the DICOM objects.

    Raises:
        ImageRefused: DICOM objects are asked for, and the images do not say what they need.
    """
    stem, outline = stem_of(done), done.answer.outline
    made: dict[str, bytes] = {}  # all of them before one is written: what is refused leaves nothing behind
    if outline is not None:
        made[f"{stem}.nii.gz"] = nifti_of(outline, done.case.series[0])
    if dicom is not None:
        sources = sources_of(done.case)
        segmentation = None
        if outline is not None:
            segmentation = segmentation_of(done.answer, sources, card, dicom)
            made[f"{stem}.seg.dcm"] = content_of(segmentation)
        made[f"{stem}.report.dcm"] = content_of(report_of(done.answer, sources, card, segmentation))
        if captures:
            drawn = captures_of(pictures_of(done, card), sources, card, f"Pictures of {card.name}")
            made |= {f"{stem}.picture-{number:02}.dcm": content_of(one) for number, one in enumerate(drawn, 1)}
    if preview:
        made[f"{stem}.png"] = picture_of(done)
    return [kept.write(name, content) for name, content in made.items()]


def stem_of(done: Done) -> str:
    """Return the name of a case's files: that of its file, or its series' UID, and no two alike."""
    name = done.case.name
    if done.case.series and done.case.series[0].stored != "nifti":
        return name
    plain = Path(name).name.removesuffix(".gz").removesuffix(".nii").encode("ascii", "replace").decode()
    return f"{plain.replace('?', '_')}-{hashlib.sha256(name.encode('utf-8', 'surrogateescape')).hexdigest()[:8]}"


def picture_of(done: Done) -> bytes:
    """Draw a case: the slice in which most is outlined, or the image as the network saw it. PNG."""
    outline = done.answer.outline
    if outline is None:
        image = done.asked.images[0, 0]
        return base64.b64decode(overlaid(image, np.zeros(image.shape, np.uint8)))
    counts = np.count_nonzero(outline, axis=(1, 2))
    at = int(counts.argmax()) if counts.any() else len(outline) // 2
    values = done.case.series[0].slice(at)
    low, high = np.percentile(values, preprocessing.PERCENTILES)
    grey = (values - low) / (high - low) if high > low else np.zeros_like(values)
    return base64.b64decode(overlaid(grey, outline[at]))
