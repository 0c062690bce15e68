"""A series: the slices of one acquisition in their order, where they lie, and their values when they are asked for.

Built from the attributes of the files alone. What is no volume is refused with its reason, never silently wrong
(:mod:`wardround_client.volumes.assemble`).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from pydicom import Dataset, FileDataset
from pydicom.tag import BaseTag

from wardround_client.images.attributes import COLUMNS, ROWS, frames_of, integer, numbers, tag, text
from wardround_client.images.dicom import quiet, refusing
from wardround_client.images.formats.contract import Format
from wardround_client.images.formats.nifti import FORMAT as NIFTI
from wardround_client.images.formats.registry import format_of
from wardround_client.images.frames import group, varies
from wardround_client.images.meaning import Values
from wardround_client.images.plugin_formats import Guarded
from wardround_client.images.sop_class import other_object
from wardround_client.images.source import opened
from wardround_client.volumes.acquisition import Acquisition, acquisition_of
from wardround_client.volumes.assemble import Slice, stack
from wardround_client.volumes.frames import Frame, Pixels, Sources, Stamp, header_of
from wardround_client.volumes.geometry import Geometry
from wardround_client.volumes.nifti import NiftiSlice, nifti_of
from wardround_common.errors import ImageRefused

Stored = Literal["single-frame", "multi-frame", "nifti"]

_PATIENT, _STUDY, _SERIES, _SOP = (
    tag(word) for word in ("PatientID", "StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
)
_FRAME_OF_REFERENCE = tag("FrameOfReferenceUID")
_PLANE, _ORIENTED, _MEASURES = (
    tag(f"{word}Sequence") for word in ("PlanePosition", "PlaneOrientation", "PixelMeasures")
)
_POSITION, _ORIENTATION, _SPACING = tag("ImagePositionPatient"), tag("ImageOrientationPatient"), tag("PixelSpacing")
_BETWEEN, _THICKNESS = tag("SpacingBetweenSlices"), tag("SliceThickness")
_HEAD_BYTES = 352
"""Enough to tell DICOM and NIfTI from all else (:func:`wardround_client.images.formats.registry.format_of`)."""


class StoredSlice(Protocol):
    """What a series asks of its slices."""

    @property
    def sop_uid(self) -> str:
        """SOPInstanceUID of its file; empty for NIfTI."""

    @property
    def number(self) -> int:
        """Which frame of its file it is, from 0."""

    @property
    def file(self) -> Path:
        """The file that it is stored in."""

    def values(self) -> Values:
        """Read (rows, columns) float32."""


@dataclass(frozen=True, eq=False)
class Series:
    """The slices of one acquisition of one patient, in their order along the normal."""

    uid: str = field(repr=False)
    """SeriesInstanceUID; of a NIfTI file its path."""
    patient: str = field(repr=False)
    """PatientID; empty for NIfTI, where a table or a folder names the patient."""
    study_uid: str = field(repr=False)
    frame_of_reference: str = field(repr=False)
    acquisition: Acquisition
    geometry: Geometry
    stored: Stored
    slices: tuple[StoredSlice, ...] = field(repr=False)
    """Where each slice is stored, in order."""
    notes: tuple[str, ...] = ()
    """What its files contradict each other in, and which of them was trusted."""

    def __len__(self) -> int:
        return len(self.slices)

    def slice(self, number: int) -> Values:
        """Read one slice, from 0: (rows, columns) float32, as :func:`wardround_client.images.read_image` gives values.

        Raises:
            ImageRefused: the pixels cannot be read, or the file ``changed`` since the series was assembled.
        """
        return self.slices[number].values()

    def __iter__(self) -> Iterator[Values]:
        return (stored.values() for stored in self.slices)

    def volume(self) -> Values:
        """Read all slices at once: (slices, rows, columns) float32.

        Raises:
            ImageRefused: as :meth:`slice` does.
        """
        return np.stack([*self])

    @property
    def files(self) -> frozenset[Path]:
        """The files that hold its slices."""
        return frozenset(stored.file for stored in self.slices)


@dataclass(frozen=True)
class Refused:
    """A series, or a file that belongs to none, that is not taken in."""

    reason: str
    """A short fixed word that scans count by, such as ``missing-slice``."""
    what: str
    do: str
    files: tuple[Path, ...] = field(repr=False)
    uid: str = field(default="", repr=False)
    modality: str = ""
    """Of a series whose attributes could be read."""


@dataclass(frozen=True)
class Survey:
    """What lies in a hospital's files: series, what is refused, and what may outline them."""

    series: tuple[Series, ...]
    refused: tuple[Refused, ...]
    outlines: tuple[Path, ...] = field(default=(), repr=False)
    """DICOM segmentations and structure sets."""


def series_in(files: Iterable[Path]) -> list[Series | Refused]:
    """Assemble the series that these files hold; each is a series or a refusal with its reason."""
    found = survey(files)
    return [*found.series, *found.refused]


def survey(files: Iterable[Path]) -> Survey:
    """Read the attributes of these files, assemble the series that they hold, and note what may outline them.

    Pictures (PNG, JPEG, TIFF) are of no series and are passed over, as is what is no image at all by its SOP class.
    """
    sources, parts = Sources(), defaultdict[str, list[_Part]](list)
    acquisitions: dict[str, Acquisition] = {}
    series: list[Series] = []
    refused: list[Refused] = []
    outlines: list[Path] = []
    for path in files:
        try:
            with quiet():
                form = _format(path)
                if form is NIFTI:
                    series.append(_nifti(path))
                elif form is None:
                    header, pixels = header_of(path)
                    if other := _other(header, path):
                        outlines += [path] if other in ("segmentation", "contours") else []
                        continue
                    part = _part(header, pixels, path, sources, acquisitions)
                    parts[part.uid].append(part)
        except ImageRefused as error:
            refused.append(Refused(error.reason, error.what, error.do, (path,)))
    for uid, found in parts.items():
        try:
            series.append(_assembled(uid, found))
        except ImageRefused as error:
            files_of = tuple(sorted({part.file.path for part in found}))
            refused.append(Refused(error.reason, error.what, error.do, files_of, uid, acquisitions[uid].modality))
    return Survey(tuple(series), tuple(refused), tuple(outlines))


def _format(path: Path) -> Format | Guarded | None:
    with opened(path, largest=None) as file:
        return format_of(file.read(_HEAD_BYTES), where=str(path))


def _other(header: FileDataset, path: Path) -> str | None:
    with refusing("unreadable", "the attributes cannot be read", where=str(path)):
        found = other_object(header)
    return found[0] if found else None


@dataclass(frozen=True)
class _Part:
    """The slices that one file brings to its series."""

    uid: str
    patient: str
    study_uid: str
    frame_of_reference: str
    sop_uid: str
    acquisition: Acquisition
    file: Stamp
    frames: tuple[Frame, ...]
    places: tuple[Slice, ...]
    stated_mm: float | None
    thickness_mm: float | None


def _part(
    header: FileDataset, pixels: Pixels | None, path: Path, sources: Sources, acquisitions: dict[str, Acquisition]
) -> _Part:
    where = str(path)
    with refusing("unreadable", "the attributes cannot be read", where=where):
        uid, sop_uid = text(header, _SERIES), text(header, _SOP)
        if not uid:
            raise ImageRefused(
                "no-series",
                "the file does not say which series it belongs to",
                where=where,
                do="Export it again with SeriesInstanceUID.",
            )
        if uid not in acquisitions:  # the files of a series say the same
            acquisitions[uid] = acquisition_of(header)
        source = sources.of(header, pixels, Stamp.of(path))
        measures = group(header, _MEASURES, 0)
        count = frames_of(header)
        return _Part(
            uid=uid,
            patient=text(header, _PATIENT),
            study_uid=text(header, _STUDY),
            frame_of_reference=text(header, _FRAME_OF_REFERENCE),
            sop_uid=sop_uid,
            acquisition=acquisitions[uid],
            file=source.file,
            frames=tuple(Frame(source, number, sop_uid) for number in range(count)),
            places=tuple(_places(header, count)),
            stated_mm=_positive(measures, _BETWEEN),
            thickness_mm=_positive(measures, _THICKNESS),
        )


def _places(header: Dataset, count: int) -> Iterator[Slice]:
    """Read where the frames of a file lie; what they share is read once."""
    size = integer(header, ROWS) or 0, integer(header, COLUMNS) or 0
    # One position for all frames of a file is the position of none.
    placed = count == 1 or varies(header, _PLANE)
    turning, scaling = varies(header, _ORIENTED), varies(header, _MEASURES)
    orientation = spacing = None
    for number in range(count):
        position = _numbers(group(header, _PLANE, number), _POSITION, 3) if placed else None
        if turning or not number:
            orientation = _numbers(group(header, _ORIENTED, number), _ORIENTATION, 6)
        if scaling or not number:
            spacing = _numbers(group(header, _MEASURES, number), _SPACING, 2)
        usable = spacing is not None and min(spacing) > 0
        yield Slice(position, orientation, spacing if usable else None, size)  # type: ignore[arg-type]  # as long as asked


def _numbers(holder: Dataset, which: BaseTag, count: int) -> tuple[float, ...] | None:
    found = numbers(holder, which)
    return found if len(found) == count else None


def _positive(holder: Dataset, which: BaseTag) -> float | None:
    try:
        found = numbers(holder, which)
    except ValueError:
        return None
    return found[0] if len(found) == 1 and found[0] > 0 else None


def _assembled(uid: str, parts: list[_Part]) -> Series:
    """Make one series of the files that bear its UID, whatever their order and names.

    Raises:
        ImageRefused: ``several-patients``, ``mixed-frames-of-reference``, or as ``assemble.stack`` does.
    """
    if len({part.patient for part in parts}) > 1:
        raise ImageRefused("several-patients", "its files name several patients", do="Send the series again.")
    if len({part.frame_of_reference for part in parts}) > 1:
        raise ImageRefused(
            "mixed-frames-of-reference",
            "its files measure positions from different origins",
            do="Export each acquisition as a series of its own.",
        )
    kept, copies = _without_copies(parts)
    first = min(kept, key=lambda part: part.sop_uid)  # the same one in whatever order files are listed
    places = [place for part in kept for place in part.places]
    frames = [frame for part in kept for frame in part.frames]
    made = stack(places, stated_mm=first.stated_mm, thickness_mm=first.thickness_mm)
    notes = (f"copies of its files that were left out: {copies:,}",) if copies else ()
    return Series(
        uid=uid,
        patient=first.patient,
        study_uid=first.study_uid,
        frame_of_reference=first.frame_of_reference,
        acquisition=first.acquisition,
        geometry=made.geometry,
        stored="multi-frame" if len(frames) > len(kept) else "single-frame",
        slices=tuple(frames[number] for number in made.order),
        notes=made.notes + notes,
    )


def _without_copies(parts: list[_Part]) -> tuple[list[_Part], int]:
    """Leave out files that are another one byte for byte; others with its UID stay, and will be found in its place."""
    named = defaultdict[str, list[_Part]](list)
    for part in parts:
        named[part.sop_uid].append(part)
    kept: list[_Part] = []
    for same in named.values():
        by_content: Mapping[str, _Part] = {_digest(part.file.path): part for part in same} if len(same) > 1 else {}
        kept += by_content.values() if by_content else same
    return kept, len(parts) - len(kept)


def _digest(path: Path) -> str:
    with opened(path, largest=None) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _nifti(path: Path) -> Series:
    volume = nifti_of(path)
    return Series(
        uid=str(path),
        patient="",
        study_uid="",
        frame_of_reference="",
        acquisition=Acquisition(modality="OTHER", description=path.name.removesuffix(".gz").removesuffix(".nii")),
        geometry=volume.geometry,
        stored="nifti",
        slices=tuple(NiftiSlice(volume, number) for number in range(volume.geometry.shape[0])),
        notes=volume.notes,
    )
