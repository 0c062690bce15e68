"""What reading one file gives: an instance with what the de-identification check found, or a refusal.

A record does not depend on what the hospital allows, so a change of its switches reads no file again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from pydicom import FileDataset
from pydicom import __version__ as pydicom_version

from wardround_client.images import plugin_formats
from wardround_client.images.attributes import (
    BITS_ALLOCATED,
    BITS_STORED,
    COLUMNS,
    PHOTOMETRIC,
    ROWS,
    code,
    frames_of,
    integer,
    tag,
    text,
)
from wardround_client.images.body_part import body_parts_of
from wardround_client.images.dicom import (
    READ_BY_PYTHON,
    Stored,
    parse,
    place_in_file,
    quiet,
    refusing,
    stored_pixels,
    syntax_of,
)
from wardround_client.images.formats.contract import Plain
from wardround_client.images.formats.registry import format_of
from wardround_client.images.frames import spacing_of, stated_aspect_of
from wardround_client.images.hanging import Turn
from wardround_client.images.intensity import check_grey, check_image
from wardround_client.images.meaning import Grey, Meaning, meaning_of
from wardround_client.images.orientation import turn_in
from wardround_client.images.sop_class import other_object, sop_class_of
from wardround_client.images.source import PREAMBLE, read_bytes
from wardround_client.intake import deidentification, image_kinds, kept_pixels
from wardround_client.intake.duplicates import likeness
from wardround_client.intake.instance import Instance, Refusal
from wardround_client.intake.kept_pixels import Keeper, Kept, keep_in_place
from wardround_client.intake.patients import by_itself
from wardround_common.errors import DataError, ImageRefused

READER = f"19 pydicom {pydicom_version}"
"""The version of all that decides a record; an index made by another one is read again."""


ALLOWABLE: dict[str, str] = {**deidentification.FINDINGS, **image_kinds.KINDS}
"""What a hospital can take in with ``--allow``, and the reason under which a scan counts what it does not."""


def check_allowed(words: Collection[str]) -> None:
    """Check the words that a person allows.

    Raises:
        DataError: one is unknown.
    """
    if unknown := sorted(set(words) - ALLOWABLE.keys()):
        raise DataError(f"there is no finding {unknown[0]!r} to allow", do=f"Known: {', '.join(ALLOWABLE)}.")


RETRIED = frozenset(
    {
        "permission",
        "vanished",
        "disk-error",
        "not-a-file",
        "link-loop",
        "no-memory",
        "too-slow",
        "decoder-crashed",
        plugin_formats.FAILED,
    }
)
"""Refusals that need not come from the bytes of the file but from where it lies and what the machine did: not kept."""


class CodecNeededError(Exception):
    """The file's pixels are decoded by a library in C, which a damaged file can crash: read it in another process."""


@dataclass(frozen=True, slots=True)
class Record:
    """What one file gave."""

    read: Instance | Refusal
    findings: dict[str, str] = field(default_factory=dict)
    """What of :data:`ALLOWABLE` was found, and in which attributes."""
    kept: Kept | None = field(default=None, repr=False)
    """Where the image's pixels lie, decoded."""

    def verdict(self, allow: frozenset[str], by_study: tuple[str, str] | None = None) -> Instance | Refusal:
        """Accept the file or refuse it, given what the hospital allows and what its study says of it."""
        if isinstance(self.read, Refusal):
            return self.read
        for finding, detail in (*self.findings.items(), *([by_study] if by_study else [])):
            if finding not in allow:
                return Refusal(self.read.file, ALLOWABLE[finding], detail)
        return self.read


def read_record(folder: Path, file: str, *, codecs: bool = True, keeper: Keeper | None = None) -> Record:
    """Read one file of a folder; whatever is wrong with it becomes a refusal.

    With a ``keeper`` decoded pixels are kept, so that preparing the image does not decode it again.

    Raises:
        CodecNeededError: a codec in C is needed and ``codecs`` is False.
    """
    try:
        with quiet():
            return _read(folder, file, codecs=codecs, keeper=keeper)
    except ImageRefused as refused:
        return Record(Refusal(file, refused.reason, refused.what))
    except MemoryError:
        return Record(Refusal(file, "no-memory", "there is not enough memory to read the file"))


def _read(folder: Path, file: str, *, codecs: bool, keeper: Keeper | None) -> Record:
    data = read_bytes(folder / file, peek=None if codecs else _refuse_codecs)
    if form := format_of(data, where=file):
        plain = form.read(data, file)
        check_image(plain.stored, where=file)
        kept = keeper.keep(plain.stored, None) if keeper and plain.frames == 1 else None
        return Record(_plain_instance(file, plain, len(data)), dict(plain.findings), kept)
    dataset = parse(data, where=file)
    with refusing("unreadable", "the attributes cannot be read", where=file):
        if other := other_object(dataset):
            raise ImageRefused(*other, where=file)
    if integer(dataset, BITS_ALLOCATED) == 1:
        raise ImageRefused("mask", "one bit a pixel is an outline or a mask, not an image", where=file)
    stored, photometric = stored_pixels(dataset, where=file)
    with refusing("unreadable", "the attributes cannot be read", where=file):
        meaning = meaning_of(dataset, photometric, where=file)
        if isinstance(meaning, Grey):
            check_grey(meaning, stored, several=frames_of(dataset) > 1, where=file)
        findings = {**deidentification.check(dataset), **image_kinds.kinds_of(dataset)}
        instance = _dicom_instance(file, dataset, stored, len(data))
    return Record(instance, findings, _keep(dataset, stored, meaning, keeper))


def _keep(dataset: FileDataset, stored: Stored, meaning: Meaning, keeper: Keeper | None) -> Kept | None:
    if keeper is None or frames_of(dataset) > 1:
        return None
    if (place := place_in_file(dataset)) is not None:
        return keep_in_place(stored, meaning, offset=place[0], shifts=place[1])
    return keeper.keep(stored, meaning)


_PLAIN_MARKS = tuple(
    b"UI" + len(uid + b"\0" * (len(uid) % 2)).to_bytes(2, "little") + uid + b"\0" * (len(uid) % 2)
    for uid in READ_BY_PYTHON
)


def _refuse_codecs(head: bytes) -> None:
    """Stop before the rest of a file is read that needs a codec: another process will read it."""
    try:
        form = format_of(head, where="", of_plugins=False)
    except ImageRefused:
        if plugin_formats.formats_let_in():  # whose code sees files in the other process first
            raise CodecNeededError from None
        raise
    if isinstance(form, plugin_formats.Guarded):
        raise CodecNeededError
    plain = form.needs_no_codec(head) if form else any(mark in head[PREAMBLE:] for mark in _PLAIN_MARKS)
    if not plain:
        raise CodecNeededError


_ISSUER, _ISSUER_QUALIFIERS, _ISSUER_ENTITY = (
    tag(word) for word in ("IssuerOfPatientID", "IssuerOfPatientIDQualifiersSequence", "UniversalEntityID")
)
_PATIENT_ID, _MODALITY, _MANUFACTURER = tag("PatientID"), tag("Modality"), tag("Manufacturer")
_SCANNER = tag("ManufacturerModelName")
_STUDY_UID, _SERIES_UID, _SOP_UID = tag("StudyInstanceUID"), tag("SeriesInstanceUID"), tag("SOPInstanceUID")


def _dicom_instance(file: str, dataset: FileDataset, stored: Stored, size_bytes: int) -> Instance:
    bits = integer(dataset, BITS_ALLOCATED)
    patient_id, study_uid = text(dataset, _PATIENT_ID), text(dataset, _STUDY_UID)
    patient, identified_by = by_itself(patient_id, study_uid, file)
    return Instance(
        file=file,
        patient=patient,
        study_uid=study_uid,
        series_uid=text(dataset, _SERIES_UID),
        sop_uid=text(dataset, _SOP_UID),
        modality=text(dataset, _MODALITY),
        manufacturer=text(dataset, _MANUFACTURER),
        scanner=text(dataset, _SCANNER),
        transfer_syntax=syntax_of(dataset),
        photometric=code(dataset, PHOTOMETRIC),
        bits=f"{bits}/{integer(dataset, BITS_STORED) or bits}",
        rows=integer(dataset, ROWS) or 0,
        columns=integer(dataset, COLUMNS) or 0,
        frames=frames_of(dataset),
        spacing_mm=spacing_of(dataset, where=file),
        size_bytes=size_bytes,
        pixel_digest=_digest(stored),
        likeness=likeness(stored),
        patient_id=patient_id,
        issuer=_issuer(dataset),
        identified_by=identified_by,
        sop_class=sop_class_of(dataset),
        image_type=image_kinds.image_type_of(dataset),
        body_parts=body_parts_of(dataset),
        turn=turn_in(dataset),
        aspect=stated_aspect_of(dataset),
    )


def _issuer(dataset: FileDataset) -> str:
    """Return who issued the PatientID: in words, else as the universal identifier of the qualifiers."""
    if (issuer := text(dataset, _ISSUER)) or _ISSUER_QUALIFIERS not in dataset:
        return issuer
    items = dataset[_ISSUER_QUALIFIERS].value
    return text(items[0], _ISSUER_ENTITY) if items else ""


def _plain_instance(file: str, plain: Plain, size_bytes: int) -> Instance:
    stored = plain.stored
    rows, columns = stored.shape[1:3] if plain.frames > 1 else stored.shape[:2]
    bits = stored.dtype.itemsize * 8
    patient, identified_by = by_itself(plain.patient, "", file)
    return Instance(
        file=file,
        patient=patient,
        study_uid="",
        series_uid="",
        sop_uid="",
        modality=plain.modality,
        manufacturer="",
        scanner="",
        transfer_syntax=plain.name,
        photometric="RGB" if plain.colour else "MONOCHROME2",
        bits=f"{bits}/{bits}",
        rows=rows,
        columns=columns,
        frames=plain.frames,
        spacing_mm=plain.spacing_mm,
        size_bytes=size_bytes,
        pixel_digest=_digest(stored),
        likeness=likeness(stored),
        patient_id=plain.patient,
        identified_by=identified_by,
    )


def _digest(stored: Stored) -> str:
    return hashlib.sha256(np.ascontiguousarray(stored).data).hexdigest()


def to_json(record: Record) -> str:
    """Write a record as one line of JSON; names that are not UTF-8 survive as escapes."""
    kind = "instance" if isinstance(record.read, Instance) else "refusal"
    values = [getattr(record.read, name) for name in record.read.__slots__]
    return json.dumps([kind, values, record.findings, kept_pixels.to_json(record.kept)], separators=(",", ":"))


def from_json(text: str) -> Record:
    """Read what :func:`to_json` wrote.

    Raises:
        ValueError: it is not such a line.
    """
    try:
        kind, values, findings, kept = json.loads(text)
        if kind == "refusal":
            return Record(Refusal(*values), findings)
        values[_SPACING] = None if values[_SPACING] is None else tuple(values[_SPACING])
        for place in _TUPLES:
            values[place] = tuple(values[place])
        values[_TURN] = Turn(*values[_TURN])
        return Record(Instance(*values), findings, kept_pixels.from_json(kept))
    except (TypeError, IndexError, KeyError) as error:
        raise ValueError("not a record") from error


_SPACING = Instance.__slots__.index("spacing_mm")
_TURN = Instance.__slots__.index("turn")
_TUPLES = (Instance.__slots__.index("accounts"), Instance.__slots__.index("body_parts"))
