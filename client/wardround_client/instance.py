"""What a scan keeps of one image file: the words that intake, data set and report share.

Everything here stays in the hospital.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Instance:
    """One accepted image file."""

    file: str
    """Path relative to the hospital's folder, with ``/``."""
    patient: str = field(repr=False)
    """PatientID; for files without one, the name of the folder that holds the file, or else the file's own name."""
    study_uid: str = field(repr=False)
    series_uid: str = field(repr=False)
    sop_uid: str = field(repr=False)
    modality: str
    """DICOM Modality; ``OTHER`` for PNG, JPEG, TIFF and NIfTI."""
    manufacturer: str
    scanner: str
    """ManufacturerModelName, or the empty string."""
    transfer_syntax: str
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
    likeness: int = field(repr=False)
    """256-bit difference hash: near-duplicates differ in few bits; 0 for an image of one value."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """One refused file and why."""

    file: str
    reason: str
    """A short fixed word that scans count by, such as ``not-dicom`` or ``identifies-patient``."""
    detail: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Index:
    """All that is known of a hospital's folder after a scan, sorted by file."""

    accepted: tuple[Instance, ...]
    refused: tuple[Refusal, ...]
    reread: int
    """How many files were read in this scan; the others had not changed."""
    allowed: tuple[str, ...]
    """De-identification findings that the hospital allowed with its own switch."""
