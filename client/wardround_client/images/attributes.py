"""Simple attributes, read without decoding the whole element: pydicom takes as long for that as for the pixels.

Text with other than ASCII, and whatever is out of the ordinary, is left to pydicom.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from pydicom import Dataset
from pydicom.datadict import dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
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
    """Return an attribute as text without its padding; empty if missing. Several values are joined by ``\\``."""
    element = elements_of(dataset).get(which)
    value = None if element is None else element.value
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
    element = elements_of(dataset).get(which)
    if element is None:
        return ()
    value = element.value
    written = dictionary_VR(which) if element.VR in (None, "UN", "OW", "OB") else element.VR
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
    """Return an unsigned short as a number; None where it is missing or is something else."""
    element = elements_of(dataset).get(which)
    value = None if element is None else element.value
    if isinstance(element, RawDataElement) and isinstance(value, bytes):
        if len(value) == 2 and element.VR not in ("IS", "DS"):
            return int.from_bytes(value, "little" if element.is_little_endian else "big")
        value = dataset[which].value
    return value if isinstance(value, int) else None


def frames_of(dataset: Dataset) -> int:
    """Count the frames; a missing or empty count is one."""
    return max(1, int(text(dataset, FRAMES) or 1))


def items_of(dataset: Dataset, which: BaseTag) -> Sequence[Dataset]:
    """Return the items of a sequence; none where it is missing or empty."""
    return dataset[which].value or () if which in elements_of(dataset) else ()


def elements_of(dataset: Dataset) -> Mapping[BaseTag, DataElement | RawDataElement]:
    """Return the elements of a data set as they were read: looking one up there decodes nothing."""
    keys: Any = dataset.keys()  # of a dictionary, though pydicom's types do not say so
    mapping: Mapping[BaseTag, DataElement | RawDataElement] = keys.mapping
    return mapping
