"""The layout of the pixel bytes: checked before anything is decoded, since a decoder believes what it is told.

A decoder that is told 12 bits where the file holds 16, or 8 where it holds 16, gives noise and no error. What DICOM
asks of these attributes (PS3.3 C.7.6.3, PS3.5 section 8) is asked here; the refusal names the attribute.
"""

from __future__ import annotations

from io import BytesIO

from pydicom import Dataset
from pydicom.encaps import parse_basic_offsets, parse_fragments

from wardround_client.images.attributes import (
    BITS_ALLOCATED,
    BITS_STORED,
    COLUMNS,
    HIGH_BIT,
    PHOTOMETRIC,
    PIXEL_DATA,
    PLANAR,
    ROWS,
    SAMPLES,
    SIGN,
    code,
    elements_of,
    frames_of,
    integer,
)
from wardround_common.errors import ImageRefused

_LEAST_COMPRESSED = 64  # bytes: more than the items that hold nothing
_SAMPLES = {"MONOCHROME1": 1, "MONOCHROME2": 1, "PALETTE COLOR": 1, "RGB": 3}


def check_layout(dataset: Dataset, *, compressed: bool, where: str) -> None:
    """Refuse integer pixels whose attributes are missing or contradict each other.

    Raises:
        ImageRefused: ``pixel-layout``, with the name of the attribute.
    """
    if PIXEL_DATA not in elements_of(dataset):
        return  # floating-point pixels have one layout only
    if problem := _problem(dataset, compressed=compressed):
        raise ImageRefused("pixel-layout", problem, where=where, do="Export the file again.")


def _problem(dataset: Dataset, *, compressed: bool) -> str | None:
    allocated, stored, high = (integer(dataset, which) for which in (BITS_ALLOCATED, BITS_STORED, HIGH_BIT))
    samples, sign, planar = (integer(dataset, which) for which in (SAMPLES, SIGN, PLANAR))
    wanted = _SAMPLES.get(code(dataset, PHOTOMETRIC))
    if allocated is None or stored is None or not 0 < stored <= allocated:
        return "BitsStored is missing, or is not within BitsAllocated"
    if high is not None and not stored - 1 <= high < allocated:
        return "HighBit is not within the bits of a pixel"
    if high is not None and high != stored - 1 and compressed:
        return "HighBit does not match the stored bits"
    if sign not in (0, 1):
        return "PixelRepresentation is missing, or is neither 0 nor 1"
    if samples is None or (wanted is not None and samples != wanted):
        return "SamplesPerPixel is missing, or is not that of the photometric interpretation"
    if samples > 1 and planar not in (0, 1) and not compressed:
        return "PlanarConfiguration is missing, or is neither 0 nor 1"
    return None


def check_length(dataset: Dataset, data: bytes, *, where: str) -> None:
    """Refuse uncompressed pixels if there are too few or too many of them.

    A few bytes at the end are padding; as many as a frame are a sign that rows, columns, bits or frames are not as the
    file says.

    Raises:
        ImageRefused: ``pixels-empty``, ``frames-missing``, ``truncated`` or ``pixel-layout``.
    """
    frames, photometric = frames_of(dataset), code(dataset, PHOTOMETRIC)
    rows, columns, allocated = (integer(dataset, which) or 0 for which in (ROWS, COLUMNS, BITS_ALLOCATED))
    bits = rows * columns * (integer(dataset, SAMPLES) or 1) * allocated
    bits = bits * 2 // 3 if photometric == "YBR_FULL_422" else bits
    expected, frame = bits * frames // 8, bits // 8
    if not data:
        raise _no_bytes(where)
    if len(data) < expected and frames > 1 and frame and len(data) >= frame and len(data) % frame <= len(data) % 2:
        raise _too_few(len(data) // frame, frames, where)
    if len(data) < expected:
        raise ImageRefused(
            "truncated", f"the pixels are truncated: only {len(data):,} of {expected:,} bytes are there", where=where
        )
    if len(data) - expected >= max(frame, 2):
        what = f"there are {len(data):,} bytes of pixels, where the attributes speak of {expected:,}"
        raise ImageRefused("pixel-layout", what, where=where, do="Export the file again.")


def check_fragments(dataset: Dataset, data: bytes, *, where: str) -> None:
    """Refuse compressed pixels without a fragment, or with fewer fragments than frames.

    Raises:
        ImageRefused: ``pixels-empty`` or ``frames-missing``.
    """
    frames = frames_of(dataset)
    if frames == 1 and len(data) > _LEAST_COMPRESSED:
        return
    content, count = BytesIO(data), 0
    if data:
        parse_basic_offsets(content)
        count, _ = parse_fragments(content)
    if not count:
        raise _no_bytes(where)
    if count < frames:
        raise _too_few(count, frames, where)


def _no_bytes(where: str) -> ImageRefused:
    return ImageRefused("pixels-empty", "the pixel data are empty", where=where, do="Export the file again.")


def _too_few(found: int, stated: int, where: str) -> ImageRefused:
    what = f"the file speaks of {stated:,} frames and holds {found:,}"
    return ImageRefused("frames-missing", what, where=where, do="Export the file again.")
