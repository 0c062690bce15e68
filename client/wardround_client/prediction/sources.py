"""What every object that is made of an answer has in common: whose it is, and which images it is of."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.multival import MultiValue
from pydicom.valuerep import DA, TM, format_number_as_ds

from wardround_client.images.dicom import quiet, refusing
from wardround_client.images.orientation import patient_orientation, towards
from wardround_client.tasks.contract import Case
from wardround_common.errors import ImageRefused
from wardround_common.results.model_folder import MODEL, Card

# highdicom logs the identifiers of images that it finds odd: no log may hold those.
logging.getLogger("highdicom").setLevel(logging.CRITICAL + 1)

LONG = 64
"""Characters of a text of one line (LO, PS3.5 6.2)."""
_MAY_BE_EMPTY = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "StudyID",
    "AccessionNumber",
    "ReferringPhysicianName",
)
"""What every object states and may state as empty (type 2); de-identified images leave it out, and highdicom stops."""
_CARRIED = (
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "TimezoneOffsetFromUTC",
    "InstitutionName",
)
"""What highdicom does not take over from the images."""
_IN_ANY_LETTERS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
"""Texts that SpecificCharacterSet is for (PS3.5 6.1.2.3)."""
_UTF_8 = "ISO_IR 192"
_SQUARE = 1e-3
"""Of a pixel's side."""
_WHEN: dict[str, tuple[re.Pattern[str], Callable[[str], object]]] = {
    "StudyDate": (re.compile(r"^(\d{4})\.(\d\d)\.(\d\d)$"), DA),
    "PatientBirthDate": (re.compile(r"^(\d{4})\.(\d\d)\.(\d\d)$"), DA),
    "StudyTime": (re.compile(r"^(\d\d):(\d\d):(\d\d(?:\.\d+)?)$"), TM),
}
"""The form that dates and times had before DICOM (PS3.5 6.2), which some images still have, and what checks today's."""
_PART_OF_A_DATE = re.compile(r"^\d{4}(0000|\d\d(00)?)?$")
"""A year, or a year and a month, which de-identification leaves of a birth date; a DICOM date has all three."""
Floats = NDArray[np.float64]
_METHODS = ("DeidentificationMethod", "DeidentificationMethodCodeSequence")


@dataclass(frozen=True)
class Equipment:
    """What a hospital states of where an object was made; empty for what it does not state."""

    institution: str = ""
    """InstitutionName; empty: that of the images."""
    department: str = ""
    station: str = ""
    manufacturer: str = ""
    """Empty: Wardround."""


NOT_STATED = Equipment()


@dataclass(frozen=True, eq=False)
class Plane:
    """Where the pixels of one image lie in the patient."""

    corner: Floats
    """(3,) mm: the outer corner of the first pixel, from which coordinates in an image count (PS3.3 C.18.6)."""
    steps: Floats
    """(3, 2) mm: from a pixel to the next of its row, and of its column."""

    @classmethod
    def of(cls, position: Sequence[Any], orientation: Sequence[Any], spacing: Sequence[Any]) -> Plane:
        """Make it of the attributes of an image."""
        first, cosines = np.array(position, np.float64), np.array(orientation, np.float64)
        rows_mm, columns_mm = map(float, spacing)
        steps = np.stack([cosines[:3] * columns_mm, cosines[3:] * rows_mm], axis=1)
        return cls(first - steps.sum(axis=1) / 2, steps)

    @property
    def is_square(self) -> bool:
        """Whether its pixels are as wide as they are high."""
        across, down = np.linalg.norm(self.steps, axis=0)
        return bool(np.isclose(across, down, rtol=_SQUARE))

    def to_pixels(self, places_mm: Floats) -> Floats:
        """Return (column, row), (n, 2), of places in this plane, (n, 3) mm; 0, 0 is the corner."""
        return np.asarray(np.linalg.lstsq(self.steps, (places_mm - self.corner).T, rcond=None)[0].T)

    def to_mm(self, pixels: Floats) -> Floats:
        """Return the places in mm, (n, 3), of (column, row), (n, 2)."""
        return np.asarray(pixels @ self.steps.T + self.corner)


@dataclass(frozen=True, eq=False)
class Sources:
    """The images that an answer is of."""

    images: tuple[Dataset, ...] = field(repr=False)
    """Without their pixels; of a series one for each slice, in its order, or the one object that holds all frames."""
    frames: tuple[int, ...] = ()
    """Of that object, the frame of each slice, from 0."""

    def reference(self, number: int) -> Dataset:
        """Refer to the image, or the frame of it, that a slice lies on, counted from 0."""
        image = self.images[0 if self.frames else number]
        made = Dataset()
        made.ReferencedSOPClassUID, made.ReferencedSOPInstanceUID = image.SOPClassUID, image.SOPInstanceUID
        if self.frames:
            made.ReferencedFrameNumber = self.frames[number] + 1
        return made

    def orientation(self, number: int) -> tuple[str, ...]:
        """Return where the rows and the columns of a slice run to, such as ``L`` and ``P``; empty where it is not said.

        By the position in the patient, or as a radiograph states it (PS3.3 C.7.6.1.1.1).
        """
        cosines = self._stated(number, "PlaneOrientationSequence").get("ImageOrientationPatient") or ()
        if len(cosines) == 6:
            return tuple(towards(np.array(one, np.float64)) for one in (cosines[:3], cosines[3:]))
        return patient_orientation(self.images[0 if self.frames else number])

    def side(self, number: int) -> str:
        """Return which side of the body a slice is of, as it is stated: L, R, B (both), U (one); empty if it is not."""
        image = self.images[0 if self.frames else number]
        if self.frames and (stated := self._stated(number, "FrameAnatomySequence").get("FrameLaterality")):
            return str(stated)
        return str(image.get("ImageLaterality") or image.get("Laterality") or "")

    def plane(self, number: int) -> Plane:
        """Return where the pixels of a slice lie, counted from 0."""
        position, orientation, measures = (
            self._stated(number, word)
            for word in ("PlanePositionSequence", "PlaneOrientationSequence", "PixelMeasuresSequence")
        )
        return Plane.of(position.ImagePositionPatient, orientation.ImageOrientationPatient, measures.PixelSpacing)

    def _stated(self, number: int, word: str) -> Dataset:
        """Return the attributes of a slice that a functional group of its frame holds, or else its object."""
        if not self.frames:
            return self.images[number]
        image = self.images[0]
        groups = (
            image.PerFrameFunctionalGroupsSequence[self.frames[number]],
            image.get("SharedFunctionalGroupsSequence", [Dataset()])[0],
        )
        found: Dataset = next((group[word][0] for group in groups if group.get(word)), Dataset())
        return found


def sources_of(case: Case) -> Sources:
    """Read the attributes of the images that a case is made of; of an examination, those of its first series.

    Raises:
        ImageRefused: ``not-dicom`` or ``no-study``: there is no study to which an object could belong; ``unreadable``;
            ``no-frame-of-reference``; ``several-files`` of many frames each.
    """
    if not case.series:
        return Sources((_attributes(case.files[0]),))
    series = case.series[0]
    if series.stored == "nifti":
        raise _not_dicom()
    if not series.frame_of_reference:
        raise ImageRefused(
            "no-frame-of-reference",
            "its images do not say from where they measure, so that no segmentation can refer to them",
            do="Leave out --dicom: the mask is written as NIfTI.",
        )
    if series.stored == "single-frame":
        images = tuple(_attributes(one.file) for one in series.slices)
        for image in images:
            if image.get("SliceThickness") is None:  # highdicom asks for one
                image.SliceThickness = format_number_as_ds(series.geometry.spacing_mm[0])
        return Sources(images)
    files = {one.file for one in series.slices}
    if len(files) > 1:
        raise ImageRefused(
            "several-files",
            "its frames are in several objects, and a segmentation refers to one",
            do="Leave out --dicom: the mask is written as NIfTI.",
        )
    frames = tuple(one.number for one in series.slices)
    return Sources((_shared(_attributes(files.pop()), frames, series.geometry.spacing_mm[0]),), frames)


def _shared(image: Dataset, frames: Sequence[int], thickness_mm: float) -> Dataset:
    """State for all frames together what a series' frames have in common: some scanners state it of each.

    highdicom looks there alone for the distances between pixels, and asks for a thickness.
    """
    if not image.get("SharedFunctionalGroupsSequence"):
        image.SharedFunctionalGroupsSequence = [Dataset()]
    shared = image.SharedFunctionalGroupsSequence[0]
    own = [image.PerFrameFunctionalGroupsSequence[one] for one in frames]
    for word in ("PixelMeasuresSequence", "PlaneOrientationSequence"):
        if not shared.get(word) and all(one.get(word) for one in own):
            shared[word] = deepcopy(own[0][word])
    if shared.get("PixelMeasuresSequence") and shared.PixelMeasuresSequence[0].get("SliceThickness") is None:
        shared.PixelMeasuresSequence[0].SliceThickness = format_number_as_ds(thickness_mm)
    return image


def _attributes(path: Path) -> Dataset:
    """Read the attributes of an image as highdicom takes them: texts in UTF-8, dates and times in the form of today."""
    what, do = "the file is not DICOM, so that there is no study to write back to", "Leave out --dicom."
    with refusing("not-dicom", what, where=str(path), do=do):
        header = dcmread(path, stop_before_pixels=True)
    for word in ("StudyInstanceUID", "SOPInstanceUID"):
        if not header.get(word):
            raise ImageRefused(
                "no-study",
                f"it states no {word}, so that there is no study to write back to",
                where=str(path),
                do="Export it from the archive again, or leave out --dicom.",
            )
    for element in [one for one in header if one.VR == "SQ" and not one.value]:
        del header[element.tag]  # scanners write some that may be left out, and not empty (ProcedureCodeSequence)
    for word in _MAY_BE_EMPTY:
        if word not in header:
            setattr(header, word, "")
    if _PART_OF_A_DATE.match(str(header["PatientBirthDate"].value or "")):
        header.PatientBirthDate = ""
    for word, (pattern, check) in _WHEN.items():
        stated = str(header[word].value or "")
        try:
            check(written := pattern.sub(r"\1\2\3", stated))
        except ValueError:
            raise ImageRefused(
                "unreadable",
                f"its {word} is not written as DICOM writes it",
                where=str(path),
                do="Correct it in the archive, or leave out --dicom.",
            ) from None
        if written != stated:
            setattr(header, word, written)
    if "SpecificCharacterSet" in header:  # highdicom knows no code extensions, as Japanese and Korean names have
        with refusing("unreadable", "its texts are not of the character set that it states", where=str(path), do=do):
            header.decode()
            for element in header.iterall():
                if element.VR == "PN" and element.value:  # else it keeps the bytes of the other character set
                    several = element.value if isinstance(element.value, MultiValue) else [element.value]
                    element.value = [str(name) for name in several]
            header.SpecificCharacterSet = _UTF_8
    return header


def _not_dicom() -> ImageRefused:
    return ImageRefused(
        "not-dicom", "this is not DICOM, so that there is no study to write back to", do="Leave out --dicom."
    )


def carried(made: Dataset, sources: Sources, equipment: Equipment) -> Dataset:
    """Let an object say of its patient and place what its images and the hospital say."""
    for word in _CARRIED:
        if word in sources.images[0]:
            made[word] = deepcopy(sources.images[0][word])
    if made.get("PatientIdentityRemoved") == "YES" and not any(word in made for word in _METHODS):
        made.DeidentificationMethod = "not stated by the images"  # a method is required where YES is stated
    stated = {
        "InstitutionName": equipment.institution,
        "InstitutionalDepartmentName": equipment.department,
        "StationName": equipment.station,
        "Manufacturer": equipment.manufacturer,
    }
    for word, value in stated.items():
        if value:
            made.pop(word, None)  # highdicom may share an element with the image that it is of
            setattr(made, word, value)
    in_utf_8 = made.get("SpecificCharacterSet") == _UTF_8
    if not in_utf_8 and any(e.VR in _IN_ANY_LETTERS and not _ascii(e.value) for e in made.iterall()):
        made.decode()
        made.SpecificCharacterSet = _UTF_8  # else letters that the images' character set lacks become question marks
    return made


def _ascii(value: Any) -> bool:
    several = value if isinstance(value, MultiValue) else [value]
    return all(str(one).isascii() for one in several)


def weights_of(card: Card) -> str:
    """Return what tells a model's weights from all others, short enough for a serial number."""
    return card.files[MODEL][:16]


def content_of(made: Dataset) -> bytes:
    """Write an object as the content of a file, in Explicit VR Little Endian."""
    with quiet():
        made.save_as(file := BytesIO(), enforce_file_format=True)
    return file.getvalue()
