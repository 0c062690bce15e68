"""What a scan keeps of one image file: the words that intake, data set and report share.

Everything here stays in the hospital.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from wardround_client.images.hanging import AS_STORED, Hanging, Turn, hanging_of

if TYPE_CHECKING:
    from wardround_client.intake.kept_pixels import Kept

Basis = Literal["patient-id", "same-study", "table", "subject", "study", "folder", "file"]
"""How a patient was identified (:mod:`wardround_client.intake.patients`); the last four are guesses."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One accepted image file."""

    file: str
    """Path relative to the hospital's folder, with ``/``."""
    patient: str = field(repr=False)
    """Whose image it is: equal for all images of a patient. A scan decides for each file by itself,
    :func:`wardround_client.intake.identification.identify` for the whole folder."""
    study_uid: str = field(repr=False)
    series_uid: str = field(repr=False)
    sop_uid: str = field(repr=False)
    modality: str
    """DICOM Modality; ``OTHER`` for PNG, JPEG, TIFF and NIfTI; of a plug-in's format what that says."""
    manufacturer: str
    scanner: str
    """ManufacturerModelName, or the empty string."""
    transfer_syntax: str
    """TransferSyntaxUID; what its format is called of a file that is no DICOM."""
    photometric: str
    bits: str
    """``allocated/stored``, such as ``16/12``."""
    rows: int
    columns: int
    frames: int
    spacing_mm: tuple[float, ...] | None
    size_bytes: int
    pixel_digest: str = field(repr=False)
    """SHA-256 of the decoded pixel array before any rescale or window."""
    likeness: str = field(repr=False)
    """What near-copies are found by, 256 small numbers in Base64; the empty string for an image of one value."""
    patient_id: str = field(default="", repr=False)
    """PatientID, or a plug-in's word for it, as the file states it, without padding; empty where it does not."""
    issuer: str = field(default="", repr=False)
    """IssuerOfPatientID, or the empty string."""
    identified_by: Basis = "patient-id"
    """How ``patient`` was decided."""
    accounts: tuple[str, ...] = field(default=(), repr=False)
    """The names under which the ledger charges the patient; empty where it is ``patient`` itself."""
    sop_class: str = ""
    """SOPClassUID; empty for PNG, JPEG, TIFF and NIfTI."""
    image_type: str = ""
    r"""ImageType, such as ``ORIGINAL\PRIMARY\AXIAL``; empty where it is not stated."""
    body_parts: tuple[str, ...] = ()
    """Each part of the body that the file says it is of; none where it says nothing."""
    turn: Turn = AS_STORED
    """What brings its image to the way it hangs in a viewer."""
    aspect: float = 1.0
    """How high a pixel is for its width, where it states that and no distances."""

    @property
    def hanging(self) -> Hanging:
        """How its image hangs."""
        return hanging_of(self.spacing_mm, self.turn, self.aspect)

    @property
    def plain(self) -> bool:
        """Whether its file is none of DICOM, and has no attributes: a format's name is in place of a UID."""
        return self.transfer_syntax[:1].isalpha()


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused file and why."""

    file: str
    reason: str
    """A short fixed word that scans count by, such as ``not-dicom`` or ``identifies-patient``."""
    detail: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Doubts:
    """Contradictions about who is a patient, counted; what was taken is said beside each."""

    shared_studies: int = 0
    """StudyInstanceUIDs under several patients, who are taken for one."""
    shared_images: int = 0
    """SOPInstanceUIDs under several patients, who are taken for one."""
    kept_apart: bool = False
    """Whether these patients are kept apart instead, as the hospital confirmed."""
    copies: int = 0
    """Files left out, since another one has their SOPInstanceUID."""
    other_pixels: int = 0
    """Of these, those whose pixels differ from those of the file that was kept."""
    joined_by_table: int = 0
    """Names of the table that stand with several PatientIDs, which are taken for one patient."""
    split_by_table: int = 0
    """PatientIDs that the table gives several names; they stay one patient."""
    unclear_issuers: int = 0
    """Numbers of several issuers that also stand without an issuer; those are taken for another patient."""
    alike: int = 0
    """PatientIDs that are others but for capital letters, signs or leading zeros; they stay different patients."""
    crowded: int = 0
    """PatientIDs with unusually many studies."""
    sides: int = 0
    """Guesses whose names are those of others but for a side, such as left and right; they stay different patients."""


@dataclass(frozen=True, slots=True)
class Index:
    """All that is known of a hospital's folder after a scan, sorted by file."""

    accepted: tuple[Instance, ...]
    refused: tuple[Refusal, ...]
    reread: int
    """How many files were read in this scan; the others had not changed."""
    allowed: tuple[str, ...]
    """What the hospital takes in by its own switch: words of ``record.ALLOWABLE``."""
    doubts: Doubts = Doubts()
    """What contradicts itself about who is a patient; known once the whole folder was looked at."""
    kept: Mapping[str, Kept] = field(default_factory=dict, repr=False)
    """By file: where the decoded pixels lie that the scan kept."""

    @property
    def all_refused(self) -> str:
        """Say how many files were refused, where none was accepted."""
        return f"all {len(self.refused):,} files were refused" if len(self.refused) > 1 else "the only file was refused"
