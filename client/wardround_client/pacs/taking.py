"""What is kept of what an archive sends: checked, then written whole under a name that says nothing of a patient."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import FileDataset, dcmread
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    JPEG2000MC,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
)

from wardround_client.images.attributes import PIXEL_DATA
from wardround_client.images.dicom import READ_BY_PYTHON, parse, refusing, syntax_of
from wardround_client.images.layout import check_fragments, check_layout, check_length
from wardround_client.images.sop_class import OWN_RESULT, other_object
from wardround_client.pacs.archive import OUTLINES, Instance
from wardround_client.pacs.dimse import word
from wardround_common.errors import ImageRefused
from wardround_common.storage import sweep, write_atomically

LOSSY = frozenset({JPEGBaseline8Bit, JPEGExtended12Bit, JPEGLSNearLossless, JPEG2000, JPEG2000MC, HTJ2K})
_SAME = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
WHERE = "an instance"


@dataclass(frozen=True)
class Refused:
    """Why an instance is not kept: a short fixed word that is counted by, and words."""

    reason: str
    words: str


def place_of(instance: Instance, folder: Path) -> Path:
    """Return where an instance is kept: names that follow from its UIDs, and say neither them nor a patient."""
    return folder / _hidden(instance.study) / _hidden(instance.series) / f"{_hidden(instance.uid)}.dcm"


def _hidden(uid: str) -> str:
    return hashlib.sha256(uid.encode()).hexdigest()[:32]


def identify(data: bytes) -> tuple[str, str, str]:
    """Return the study, series and instance that a received file says it is of; empty words where it does not say."""
    try:
        with refusing("unreadable", "the header cannot be read", where=WHERE):
            found = dcmread(BytesIO(data), stop_before_pixels=True, specific_tags=list(_SAME))
            study, series, uid = (word(found, keyword) for keyword in _SAME)
    except ImageRefused:
        return "", "", ""
    return study, series, uid


def examine(data: bytes, asked: Instance) -> Refused | None:
    """Say why a file that arrived is not kept; None where it is a whole image or outline, and the one asked for.

    An archive may have transcoded it: pixels must lie as the transfer syntax says, and may not have become lossy.
    """
    if identify(data) != (asked.study, asked.series, asked.uid):
        return Refused("another", "its UIDs cannot be read, or are not those that the archive lists")
    try:
        dataset = parse(data, where=WHERE)
        if (other := other_object(dataset)) is not None:
            raise ImageRefused(*other)
        _check_pixels(dataset)
    except ImageRefused as refused:
        return None if refused.reason in {*OUTLINES, OWN_RESULT} else Refused(refused.reason, refused.what)
    if asked.syntax and asked.syntax not in LOSSY and syntax_of(dataset) in LOSSY:
        return Refused("made-lossy", "the archive compressed it with loss on the way")
    return None


def _check_pixels(dataset: FileDataset) -> None:
    compressed = syntax_of(dataset).encode() not in READ_BY_PYTHON
    with refusing("unreadable", "the attributes of the pixels cannot be read", where=WHERE):
        check_layout(dataset, compressed=compressed, where=WHERE)
        if PIXEL_DATA in dataset:
            (check_fragments if compressed else check_length)(dataset, dataset[PIXEL_DATA].value or b"", where=WHERE)


def keep(data: bytes, instance: Instance, folder: Path) -> None:
    """Write a file so that it is whole or absent, for its owner only.

    Raises:
        StorageError: it cannot be written.
    """
    write_atomically(place_of(instance, folder), data, private=True)


def sweep_images(folder: Path) -> None:
    """Remove what a killed fetch left half written, in the places where it writes."""
    for place in folder.glob("*/*"):
        sweep(place, "*.dcm")
