"""What a format of masks is: which files it is told by, and how one is read onto a series.

A format is a value, ``FORMAT``, in a file of its own in this package; the search for masks picks it up from then on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pydicom import FileDataset

from wardround_client.masks.meet import Classes, Outlined
from wardround_client.masks.structures import Structures
from wardround_client.masks.target import Target
from wardround_client.volumes import Series

Reader = Callable[[Path, Series, Structures], Outlined]
"""Read a mask onto the grid of a series.

Raises:
    ImageRefused: it does not meet the series.
"""


@dataclass(frozen=True)
class DicomFormat:
    """Masks that are DICOM objects, and say themselves what they outline."""

    name: str
    sop_classes: tuple[str, ...]
    target: Callable[[FileDataset], Target]
    """What a mask says that it outlines, from its attributes."""
    read: Reader


@dataclass(frozen=True)
class VolumeFormat:
    """Masks of a whole series that lie where they say, and do not say whose they are."""

    name: str
    endings: tuple[str, ...]
    """How the names of its files end, the longest first."""
    read: Reader


@dataclass(frozen=True)
class SliceFormat:
    """Masks of one image, which lie nowhere but next to it."""

    name: str
    endings: tuple[str, ...]
    read: Callable[[Path, tuple[int, int], Structures], Classes]
    """Read the mask of an image of (rows, columns)."""


Format = DicomFormat | VolumeFormat | SliceFormat
