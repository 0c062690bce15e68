"""What a format is: how its files begin, and how one is read. DICOM, which says far more, has modules of its own.

A format is a value, ``FORMAT``, in a file of its own in this package; scans, preparation and predictions read it from
then on, and tell it by the first bytes of a file, never by its name. It may also be a part of a plug-in
(``images.plugin_formats``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from wardround_client.images.dicom import Stored


@dataclass(frozen=True, eq=False)
class Plain:
    """What a file holds that says little besides its pixels."""

    stored: Stored = field(repr=False)
    """((frames,) rows, columns (, 3)): grey, or red, green and blue."""
    name: str
    """How a scan lists it, such as ``PNG``."""
    frames: int = 1
    colour: bool = False
    spacing_mm: tuple[float, ...] | None = None
    """(row, column) or (slice, row, column) distances in mm; None where the file does not say."""
    findings: Mapping[str, str] = field(default_factory=dict)
    """What a hospital must allow before the file is taken in, as the de-identification check words it."""
    patient: str = field(default="", repr=False)
    """Whose image it is, as the file states it: what PatientID is in DICOM; empty where it does not."""
    modality: str = "OTHER"
    """As DICOM words it, such as ``MR``; ``OTHER`` where the file does not say."""


def _never(head: bytes) -> bool:
    return False


@dataclass(frozen=True)
class Format:
    """A format of image files."""

    words: tuple[str, ...]
    """What people call it, such as ``("PNG", "JPEG", "TIFF")``."""
    matches: Callable[[bytes], bool]
    """Whether a file is one, from its first 1,024 bytes."""
    read: Callable[[bytes, str], Plain]
    """Read a whole file; the second argument names it in errors.

    Raises:
        ImageRefused: it is damaged, too large, or no image.
    """
    told_late: bool = False
    """Whether it is told by bytes that could be anything in another format, which is therefore asked first."""
    needs_no_codec: Callable[[bytes], bool] = _never
    """Whether this file can be read without a library in C, which a damaged file might crash."""
