"""Simple attributes, read without decoding the whole element: pydicom takes as long for that as for the pixels.

Text with other than ASCII, and whatever is out of the ordinary, is left to pydicom.
"""

from __future__ import annotations

import math
import re
import struct
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.multival import MultiValue
from pydicom.tag import BaseTag, Tag


def tag(keyword: str) -> BaseTag:
    """Look up the tag of a keyword once, when a module is imported."""
    return Tag(keyword)


ROWS, COLUMNS, FRAMES, SAMPLES = tag("Rows"), tag("Columns"), tag("NumberOfFrames"), tag("SamplesPerPixel")
BITS_ALLOCATED, BITS_STORED, SIGN = tag("BitsAllocated"), tag("BitsStored"), tag("PixelRepresentation")
HIGH_BIT, PLANAR = tag("HighBit"), tag("PlanarConfiguration")
PHOTOMETRIC, PIXEL_DATA = tag("PhotometricInterpretation"), tag("PixelData")


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


def code(dataset: Dataset, which: BaseTag) -> str:
    """Return a code string in capitals, without the spaces that some writers put before or after it."""
    return text(dataset, which).upper()


_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)(E[+-]?\d+)?", re.IGNORECASE)
_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "US or SS": "H"}


def numbers(dataset: Dataset, which: BaseTag) -> tuple[float, ...]:
    """Return the values of a numeric attribute; none where it is missing or empty.

    Raises:
        ValueError: one of them is no finite number: a decimal comma, a word, or bytes of another length.
    """
    element = dataset.get_item(which) if which in dataset.keys() else None  # noqa: SIM118  # 'in dataset' looks the tag up
    value = None if element is None else element.value
    written = dictionary_VR(which) if element is None or element.VR in (None, "UN", "OW", "OB") else element.VR
    if isinstance(value, bytes) and (kind := _BINARY.get(written)) is not None:
        order = ">" if dataset.original_encoding[1] is False else "<"
        try:
            found = tuple(float(number) for (number,) in struct.iter_unpack(order + kind, value))
        except struct.error:
            raise ValueError("not a number") from None
    else:
        words = [word.strip() for word in text(dataset, which).split("\\") if word.strip()]
        if not all(map(_DECIMAL.fullmatch, words)):
            raise ValueError("not a number")
        found = tuple(map(float, words))
    if not all(map(math.isfinite, found)):
        raise ValueError("not a finite number")
    return found


def integer(dataset: Dataset, which: BaseTag) -> int | None:
    """Give an unsigned short as a number; None where it is missing or is something else."""
    value = _undecoded(dataset, which)
    if isinstance(value, bytes):
        if len(value) == 2:
            return int.from_bytes(value, "big" if dataset.original_encoding[1] is False else "little")
        value = dataset[which].value
    return value if isinstance(value, int) else None


def frames_of(dataset: Dataset) -> int:
    """Count the frames; a missing or empty count is one."""
    return max(1, int(text(dataset, FRAMES) or 1))


def _undecoded(dataset: Dataset, which: BaseTag) -> Any:
    element = dataset.get_item(which) if which in dataset.keys() else None  # noqa: SIM118  # 'in dataset' looks the tag up
    return None if element is None else element.value
