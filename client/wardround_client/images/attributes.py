"""Simple attributes, read without decoding the whole element: pydicom takes as long for that as for the pixels.

Text with other than ASCII, and whatever is out of the ordinary, is left to pydicom.
"""

from __future__ import annotations

from typing import Any

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag


def tag(keyword: str) -> BaseTag:
    """Look up the tag of a keyword once, when a module is imported."""
    return Tag(keyword)


ROWS, COLUMNS, FRAMES, SAMPLES = tag("Rows"), tag("Columns"), tag("NumberOfFrames"), tag("SamplesPerPixel")
BITS_ALLOCATED, BITS_STORED, SIGN = tag("BitsAllocated"), tag("BitsStored"), tag("PixelRepresentation")
PHOTOMETRIC = tag("PhotometricInterpretation")


def text(dataset: Dataset, which: BaseTag) -> str:
    """Give an attribute as text without its padding; empty where it is missing. Several values are joined by ``\\``."""
    value = _undecoded(dataset, which)
    if isinstance(value, bytes):
        if value.isascii() and b"\x1b" not in value:
            return value.decode("ascii").strip(" \0")
        value = dataset[which].value
    if value is None:
        return ""
    return ("\\".join(str(part) for part in value) if isinstance(value, MultiValue) else str(value)).strip(" \0")


def integer(dataset: Dataset, which: BaseTag) -> int | None:
    """Give an unsigned short as a number; None where it is missing or is something else."""
    value = _undecoded(dataset, which)
    if isinstance(value, bytes):
        if len(value) == 2:
            return int.from_bytes(value, "big" if dataset.original_encoding[1] is False else "little")
        value = dataset[which].value
    return value if isinstance(value, int) else None


def _undecoded(dataset: Dataset, which: BaseTag) -> Any:
    element = dataset.get_item(which) if which in dataset.keys() else None  # noqa: SIM118  # 'in dataset' looks the tag up
    return None if element is None else element.value
