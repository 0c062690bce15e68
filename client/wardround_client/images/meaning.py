"""What the stored values of an image mean, as its file states it: parsed once, and refused if it makes no sense.

A slope that is no number, a table that is too short, a shape that nobody knows: each changes what a pixel means, and
reading on as if it were not there gives an image that looks right and is not. What is absent or empty is not stated,
which is something else. PS3.3 C.11.1 (modality LUT and rescale), C.11.2 (VOI LUT and window), C.11.6 (presentation
LUT), C.7.5.1.1.2 (padding), C.7.6.16.2.9 (values of frames), C.7.9 (palettes).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.datadict import keyword_for_tag
from pydicom.pixels.processing import apply_color_lut
from pydicom.tag import BaseTag

from wardround_client.images.attributes import (
    BITS_ALLOCATED,
    BITS_STORED,
    PHOTOMETRIC,
    SIGN,
    code,
    elements_of,
    frames_of,
    integer,
    items_of,
    numbers,
    tag,
)
from wardround_client.images.frames import PER_FRAME, group, varies
from wardround_common.errors import ImageRefused

Values = NDArray[np.float32]

_UINT16 = 1 << 16
_CHANNELS = ("Red", "Green", "Blue")
_SLOPE, _INTERCEPT = tag("RescaleSlope"), tag("RescaleIntercept")
_CENTRE, _WIDTH, _FUNCTION = tag("WindowCenter"), tag("WindowWidth"), tag("VOILUTFunction")
_SHAPE, _PRESENTATION_LUT = tag("PresentationLUTShape"), tag("PresentationLUTSequence")
_PIXEL_DATA = tag("PixelData")
_PADDINGS = tuple(
    (tag(f"{kind}PixelPaddingValue"), tag(f"{kind}PixelPaddingRangeLimit")) for kind in ("", "Float", "DoubleFloat")
)
_PIXELS = (_PIXEL_DATA, tag("FloatPixelData"), tag("DoubleFloatPixelData"))
_TRANSFORMATION, _FRAME_VOI = tag("PixelValueTransformationSequence"), tag("FrameVOILUTSequence")
_MODALITY_LUT, _VOI_LUT = tag("ModalityLUTSequence"), tag("VOILUTSequence")


@dataclass(frozen=True, eq=False)
class Table:
    """A lookup table: values below and above take its first and its last entry."""

    first: int
    """The value that the first entry stands for."""
    entries: Values
    """(entries,) or, for a palette, (entries, 3)."""


@dataclass(frozen=True)
class Rescale:
    """Stored values times ``slope`` plus ``intercept``."""

    slope: float = 1.0
    intercept: float = 0.0


@dataclass(frozen=True)
class Window:
    """The range of modality values that the file proposes to show (PS3.3 C.11.2.1.2)."""

    centre: float
    width: float
    function: Literal["LINEAR", "LINEAR_EXACT", "SIGMOID"]


@dataclass(frozen=True)
class Unusable:
    """A window that is stated and says nonsense: the image cannot be shown as its file proposes."""

    why: str


@dataclass(frozen=True)
class Frame:
    """What the values of one frame mean, or of all of them."""

    modality: Table | Rescale
    voi: Table | Window | Unusable | None


@dataclass(frozen=True)
class Grey:
    """What the values of a grey image mean."""

    inverted: bool
    """Larger values are darker once the window is applied: MONOCHROME1, or PresentationLUTShape INVERSE."""
    stored_range: tuple[int, int] | None
    """The smallest and the largest value that the stored bits can express; None for floating-point pixels."""
    padding: tuple[float, float] | None
    """The stored values, both ends included, that stand for no measurement."""
    frames: tuple[Frame, ...]
    """One for all frames, or one for each."""


@dataclass(frozen=True)
class Colour:
    """What the values of a colour image mean: red, green and blue, or indices into a palette."""

    full: int
    """The value of full intensity, where there is no palette."""
    palette: tuple[Table, Table, Table] | None
    palette_bits: int
    """Bits of an entry of the palette, as its descriptor states them."""


Meaning = Grey | Colour


def meaning_of(dataset: Dataset, photometric: str, *, where: str) -> Meaning:
    """Parse what the stored values mean; ``photometric`` is that of the decoded pixels.

    Raises:
        ImageRefused: ``pixel-values``: what the file states contradicts itself or cannot be read; ``colour-space``.
    """
    if photometric in ("MONOCHROME1", "MONOCHROME2"):
        return _grey(dataset, where=where)
    return _colour(dataset, photometric, where=where)


def is_inverted(dataset: Dataset) -> bool:
    """Tell whether larger values are darker, as stored, so that they are turned round when they are read."""
    return code(dataset, PHOTOMETRIC) == "MONOCHROME1" or code(dataset, _SHAPE) == "INVERSE"


def _grey(dataset: Dataset, *, where: str) -> Grey:
    shape = code(dataset, _SHAPE)
    if shape not in ("", "IDENTITY", "INVERSE") or _PRESENTATION_LUT in elements_of(dataset):
        raise _nonsense("its presentation LUT is not one that is read", where)
    bits, low = integer(dataset, BITS_STORED) or integer(dataset, BITS_ALLOCATED) or 0, 0
    if _is_signed(dataset):
        low = -(2 ** (bits - 1))
    several = _frames_differ(dataset, where=where)
    return Grey(
        inverted=is_inverted(dataset),
        stored_range=(low, low + 2**bits - 1) if _PIXEL_DATA in elements_of(dataset) else None,
        padding=_padding(dataset, where=where),
        frames=tuple(
            Frame(_modality(dataset, frame, where=where), _voi(dataset, frame, where=where))
            for frame in range(frames_of(dataset) if several else 1)
        ),
    )


def _frames_differ(dataset: Dataset, *, where: str) -> bool:
    """Say whether frames have values of their own, and refuse the image where some have and others lack them."""
    several = [sequence for sequence in (_TRANSFORMATION, _FRAME_VOI) if varies(dataset, sequence)]
    groups = items_of(dataset, PER_FRAME) if several else ()
    for sequence in several:
        if len(groups) != frames_of(dataset) or not all(items_of(item, sequence) for item in groups):
            raise _nonsense("some frames say what their values mean and others do not", where)
    return bool(several)


def _modality(dataset: Dataset, frame: int, *, where: str) -> Table | Rescale:
    if (table := _table(dataset, _MODALITY_LUT, signed=_is_signed(dataset), where=where)) is not None:
        return table
    item = group(dataset, _TRANSFORMATION, frame)
    slope, intercept = (_only(item, which, where) for which in (_SLOPE, _INTERCEPT))
    if slope == 0:
        raise _nonsense("a RescaleSlope of zero erases the image", where)
    return Rescale(1.0 if slope is None else slope, 0.0 if intercept is None else intercept)


def _voi(dataset: Dataset, frame: int, *, where: str) -> Table | Window | Unusable | None:
    item = group(dataset, _FRAME_VOI, frame)
    centre, width = (_numbers(item, which, where) for which in (_CENTRE, _WIDTH))
    signed = _is_signed(dataset) or (_only(dataset, _INTERCEPT, where) or 0) < 0
    try:
        if (table := _table(item, _VOI_LUT, signed=signed, where=where)) is not None:
            return table
    except ImageRefused:
        return Unusable("its VOI LUT cannot be read")
    if not centre and not width:
        return None
    if not centre or not width:
        return Unusable("half of its window is missing")
    function = code(item, _FUNCTION) or "LINEAR"
    if function not in ("LINEAR", "LINEAR_EXACT", "SIGMOID"):
        return Unusable("its VOILUTFunction is not one of the standard")
    if width[0] <= 0 or (function == "LINEAR" and width[0] < 1):
        return Unusable("its window has no width")
    return Window(centre[0], width[0], function)  # type: ignore[arg-type]  # mypy does not narrow by 'in'


def _padding(dataset: Dataset, *, where: str) -> tuple[float, float] | None:
    value_tag, limit_tag = next(
        (tags for pixels, tags in zip(_PIXELS, _PADDINGS, strict=True) if pixels in elements_of(dataset)), _PADDINGS[0]
    )
    value, limit = _only(dataset, value_tag, where), _only(dataset, limit_tag, where)
    if value is None:
        return None
    ends = [_signed(value, dataset), _signed(value if limit is None else limit, dataset)]
    return min(ends), max(ends)


def _signed(value: float, dataset: Dataset) -> float:
    # These attributes are signed or unsigned as the pixels are, and some writers store the wrong one of the two.
    return value - _UINT16 if _is_signed(dataset) and value >= _UINT16 // 2 else value


def _is_signed(dataset: Dataset) -> bool:
    return integer(dataset, SIGN) == 1


def _colour(dataset: Dataset, photometric: str, *, where: str) -> Colour:
    full = 2 ** (integer(dataset, BITS_STORED) or integer(dataset, BITS_ALLOCATED) or 0) - 1
    if photometric == "RGB":
        return Colour(full, None, 0)
    if photometric != "PALETTE COLOR":
        raise ImageRefused("colour-space", "its photometric interpretation is not supported", where=where)
    descriptors = [dataset.get(f"{name}PaletteColorLookupTableDescriptor") for name in _CHANNELS]
    if any(found is None or len(found) != 3 for found in descriptors):
        raise _nonsense("its palette is not described", where)
    if "RedPaletteColorLookupTableData" not in dataset:
        return _segmented(dataset, descriptors[0], where=where)
    tables = []
    for name, (count, first, _) in zip(_CHANNELS, descriptors, strict=True):
        data = dataset.get(f"{name}PaletteColorLookupTableData")
        tables.append(Table(int(first), _entries(dataset, data, int(count) or _UINT16, where=where)))
    red, green, blue = tables
    return Colour(full, (red, green, blue), int(descriptors[-1][2]))


def _segmented(dataset: Dataset, descriptor: list[int], *, where: str) -> Colour:
    """Expand segmented tables (PS3.3 C.7.9.2) by looking every index up."""
    count, first = int(descriptor[0]) or _UINT16, int(descriptor[1])
    if "SegmentedRedPaletteColorLookupTableData" not in dataset:
        raise _nonsense("its palette is missing", where)
    entries = apply_color_lut(np.arange(first, first + count), dataset)[..., :3]  # (entries, 3)
    red, green, blue = (Table(first, entries[:, channel].astype(np.float32)) for channel in range(3))
    return Colour(0, (red, green, blue), 8 * entries.dtype.itemsize)


def _table(dataset: Dataset, sequence: BaseTag, *, signed: bool, where: str) -> Table | None:
    """Read the first table of a sequence; None where there is none."""
    items = items_of(dataset, sequence)
    if not items:
        return None
    descriptor, data = items[0].get("LUTDescriptor"), items[0].get("LUTData")
    if descriptor is None and data is None:  # some writers fill the whole template with empty attributes
        return None
    if descriptor is None or len(descriptor) != 3 or data is None:
        raise _nonsense(f"{keyword_for_tag(sequence)} holds no whole table", where)
    count, first = int(descriptor[0]) or _UINT16, int(descriptor[1])
    if signed and first >= _UINT16 // 2:
        first -= _UINT16
    return Table(first, _entries(dataset, data, count, where=where))


def _entries(dataset: Dataset, data: object, count: int, *, where: str) -> Values:
    if isinstance(data, bytes):
        if len(data) % 2 and len(data) != count:
            raise _nonsense("a lookup table is truncated", where)
        bytes_each = 1 if len(data) in (count, count + count % 2) else 2
        data = np.frombuffer(data, "u1" if bytes_each == 1 else _byte_order(dataset) + "u2")
    entries = np.atleast_1d(np.asarray(() if data is None else data, np.float32))[:count]
    if len(entries) < count:
        raise _nonsense("a lookup table has fewer entries than it says", where)
    return entries


def _byte_order(dataset: Dataset) -> str:
    return "<" if dataset.original_encoding[1] in (True, None) else ">"


def _only(dataset: Dataset, which: BaseTag, where: str) -> float | None:
    """Read a number that stands alone; None where it is not stated."""
    found = _numbers(dataset, which, where)
    if len(set(found)) > 1:
        raise _nonsense(f"{keyword_for_tag(which)} has several values", where)
    return found[0] if found else None


def _numbers(dataset: Dataset, which: BaseTag, where: str) -> tuple[float, ...]:
    """Read finite numbers; none where they are not stated."""
    try:
        return numbers(dataset, which)
    except ValueError:
        raise _nonsense(f"{keyword_for_tag(which)} is not a number", where) from None


def _nonsense(what: str, where: str) -> ImageRefused:
    return ImageRefused("pixel-values", what, where=where, do="Export the file again, or correct the attribute.")
