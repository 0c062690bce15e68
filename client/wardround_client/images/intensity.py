"""From stored pixel values to what they mean: modality values, then the window that the file proposes.

PS3.3 C.11.1 (modality LUT and rescale), C.11.2 (VOI LUT and window), C.7.5.1.1.2 (padding), C.7.6.3.1.2 (photometric).
"""

from __future__ import annotations

import math
import struct

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.pixels.processing import apply_color_lut

from wardround_client.images.dicom import Stored, frames_of
from wardround_client.images.frames import group, varies
from wardround_common.errors import ImageRefused

Values = NDArray[np.float32]

_UINT16 = 1 << 16


def grey(dataset: Dataset, stored: Stored, *, voi: bool) -> Values:
    """Map the stored values of a grey image; larger is brighter, and padding takes the smallest valid value.

    Returns the shape of ``stored``, float32. MONOCHROME1 is mirrored about the middle of the range that the stored bits
    can express, so that two images of one scanner stay comparable. With ``voi`` the file's VOI LUT or window, or else
    the image's own range, becomes 0 to 1.
    """
    inverted = dataset.get("PhotometricInterpretation") == "MONOCHROME1"
    frames = stored if frames_of(dataset) > 1 else stored[None]  # (frames, rows, columns)
    values = np.empty(frames.shape, np.float32)
    several = any(varies(dataset, sequence) for sequence in ("PixelValueTransformationSequence", "FrameVOILUTSequence"))
    # Frames that share their attributes are mapped at once, so that "the image's own range" is the whole volume's.
    parts = [slice(frame, frame + 1) for frame in range(len(frames))] if several else [slice(None)]
    for part in parts:
        frame = part.start or 0
        found = _modality(dataset, frame, frames[part])
        if voi:
            found = _voi(dataset, frame, found, _padding(dataset, frames[part]))
        values[part] = (1.0 if voi else sum(_modality_range(dataset, frame))) - found if inverted else found
    padding = _padding(dataset, frames)
    if padding is not None and padding.any() and not padding.all():
        values[padding] = values[~padding].min()
    return values.reshape(stored.shape)


def colour(dataset: Dataset, stored: Stored, photometric: str, *, voi: bool, where: str) -> Values:
    """Map a colour image to (..., 3) float32 red, green and blue; with ``voi`` full intensity becomes 1.

    Raises:
        ImageRefused: ``colour-space``: what is decoded is neither RGB nor a palette.
    """
    if photometric == "PALETTE COLOR" and dataset.get("SamplesPerPixel") == 1:
        rgb, full = _through_palette(dataset, stored)
    elif photometric == "RGB" and stored.ndim >= 3 and stored.shape[-1] == 3:
        rgb, full = stored, 2 ** int(dataset.get("BitsStored") or dataset.BitsAllocated) - 1
    else:
        raise ImageRefused("colour-space", "its photometric interpretation is not one that is read", where=where)
    return rgb.astype(np.float32) / np.float32(full if voi else 1)


def _through_palette(dataset: Dataset, stored: Stored) -> tuple[Stored, int]:
    if "RedPaletteColorLookupTableData" not in dataset:  # segmented tables (PS3.3 C.7.9.2)
        rgb = apply_color_lut(stored, dataset)[..., :3]
        return rgb, int(np.iinfo(rgb.dtype).max)
    channels = []
    for name in ("Red", "Green", "Blue"):
        count, first, bits = (int(n) for n in dataset[f"{name}PaletteColorLookupTableDescriptor"].value)
        entries = _entries(dataset, dataset[f"{name}PaletteColorLookupTableData"].value, count or _UINT16)
        channels.append(entries[np.clip(stored.astype(np.int64) - first, 0, len(entries) - 1)])
    rgb = np.stack(channels, axis=-1)
    return rgb, 255 if bits <= 8 and rgb.max() <= 255 else _UINT16 - 1


def _modality(dataset: Dataset, frame: int, stored: Stored) -> Values:
    lut = _lut(dataset, "ModalityLUTSequence", signed=_is_signed(dataset))
    if lut is not None:
        first, entries = lut
        return entries[np.clip(stored.astype(np.int64) - first, 0, len(entries) - 1)]
    slope, intercept = _rescale(dataset, frame)
    if (slope, intercept) == (1.0, 0.0):
        return stored.astype(np.float32)
    return (stored * np.float64(slope) + intercept).astype(np.float32)


def _modality_range(dataset: Dataset, frame: int) -> tuple[float, float]:
    lut = _lut(dataset, "ModalityLUTSequence", signed=_is_signed(dataset))
    if lut is not None:
        return float(lut[1].min()), float(lut[1].max())
    if "PixelData" not in dataset:
        return 0.0, 0.0  # floating-point pixels have no range to mirror in: they are negated
    bits = int(dataset.get("BitsStored") or dataset.BitsAllocated)
    low = -(2 ** (bits - 1)) if _is_signed(dataset) else 0
    slope, intercept = _rescale(dataset, frame)
    return low * slope + intercept, (low + 2**bits - 1) * slope + intercept


def _rescale(dataset: Dataset, frame: int) -> tuple[float, float]:
    item = group(dataset, "PixelValueTransformationSequence", frame)
    slope, intercept = _number(item, "RescaleSlope"), _number(item, "RescaleIntercept")
    # A slope of zero would erase the image: such a file does not mean it.
    return (slope if slope else 1.0), (intercept if intercept is not None else 0.0)


def _voi(dataset: Dataset, frame: int, values: Values, padding: NDArray[np.bool_] | None) -> Values:
    item = group(dataset, "FrameVOILUTSequence", frame)
    signed = _is_signed(dataset) or (_number(dataset, "RescaleIntercept") or 0) < 0
    if (lut := _lut(item, "VOILUTSequence", signed=signed)) is not None:
        first, entries = lut
        chosen = entries[np.clip(np.rint(values).astype(np.int64) - first, 0, len(entries) - 1)]
        return _stretch(chosen, float(entries.min()), float(entries.max()))
    centre, width = _number(item, "WindowCenter"), _number(item, "WindowWidth")
    function = str(item.get("VOILUTFunction") or "LINEAR").strip().upper()
    if centre is not None and width is not None and width > 0:
        if function == "SIGMOID":
            exponent = np.clip(-4 * (values - centre) / width, -80, 80)
            return np.asarray(1 / (1 + np.exp(exponent)), np.float32)
        if function == "LINEAR_EXACT":
            return _stretch(values, centre - width / 2, centre + width / 2)
        if width >= 1:
            return _stretch(values, centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)
    valid = values if padding is None or padding.all() else values[~padding]
    return _stretch(values, float(valid.min()), float(valid.max()))


def _stretch(values: Values, low: float, high: float) -> Values:
    if high <= low:  # a window of width one, or an image of one value: a step
        return (values > low).astype(np.float32)
    return np.asarray(np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1), np.float32)


def _padding(dataset: Dataset, stored: Stored) -> NDArray[np.bool_] | None:
    value, limit = _number(dataset, "PixelPaddingValue"), _number(dataset, "PixelPaddingRangeLimit")
    if value is None:
        return None
    ends = [_signed(value, dataset), _signed(value if limit is None else limit, dataset)]
    return (stored >= min(ends)) & (stored <= max(ends))


def _signed(value: float, dataset: Dataset) -> float:
    # These attributes are signed or unsigned as the pixels are, and some writers store the wrong one of the two.
    return value - _UINT16 if _is_signed(dataset) and value >= _UINT16 // 2 else value


def _is_signed(dataset: Dataset) -> bool:
    return bool(dataset.get("PixelRepresentation") == 1)


def _lut(dataset: Dataset, sequence: str, *, signed: bool) -> tuple[int, Values] | None:
    """Read the first table of a sequence: the value that its first entry stands for, and its entries."""
    items = dataset.get(sequence)
    if not items:
        return None
    descriptor, data = items[0].get("LUTDescriptor"), items[0].get("LUTData")
    if descriptor is None or len(descriptor) != 3 or data is None:
        return None
    count, first = int(descriptor[0]) or _UINT16, int(descriptor[1])
    if signed and first >= _UINT16 // 2:
        first -= _UINT16
    entries = _entries(dataset, data, count)
    return (first, entries) if entries.size else None


def _entries(dataset: Dataset, data: object, count: int) -> Values:
    if isinstance(data, bytes):
        data = np.frombuffer(data, "u1" if len(data) < 2 * count else _byte_order(dataset) + "u2")
    return np.atleast_1d(np.asarray(data, np.float32))[:count]


def _byte_order(dataset: Dataset) -> str:
    return "<" if dataset.original_encoding[1] in (True, None) else ">"


def _number(dataset: Dataset, word: str) -> float | None:
    """Read the first value of a numeric attribute; what is no finite number counts as not given."""
    value = dataset.get(word)
    if isinstance(value, bytes):  # written without a value representation that the dictionary knows
        value = struct.unpack("<H", value)[0] if len(value) == 2 else None
    if value is not None and not isinstance(value, (str, int, float)) and hasattr(value, "__len__"):
        value = value[0] if len(value) else None
    try:
        number = float(value) if value is not None and value != "" else None
    except (TypeError, ValueError):
        return None
    return number if number is not None and math.isfinite(number) else None
