"""From stored pixel values to what they mean: modality values, then the window that the file proposes.

PS3.3 C.11.1 (modality LUT and rescale), C.11.2 (VOI LUT and window), C.7.5.1.1.2 (padding), C.7.6.3.1.2 (photometric).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_client.images.dicom import Stored
from wardround_client.images.meaning import Colour, Frame, Grey, Rescale, Table, Unusable, Values, Window
from wardround_common.errors import ImageRefused

LARGEST_VALUE = 1e15
"""Of either sign: so that the squares of 2²⁸ values still have a sum in float32, whatever is computed of an image."""
_UINT16 = 1 << 16


def check_values(
    stored: Stored,
    *,
    where: str,
    slope: float = 1.0,
    intercept: float = 0.0,
    padding: NDArray[np.bool_] | None = None,
) -> None:
    """Refuse an image some of whose values are too large to compute with; NaN, infinity and padding are no values.

    Without this a 64-bit value beyond float32 would become infinite, and so the *smallest* of its image.

    Raises:
        ImageRefused: ``pixel-values``.
    """
    if stored.dtype.kind in "iu":
        limits = np.iinfo(stored.dtype)
        if max(-float(limits.min), float(limits.max)) * abs(slope) + abs(intercept) <= LARGEST_VALUE:
            return
    with np.errstate(over="ignore", invalid="ignore"):
        values = stored if (slope, intercept) == (1.0, 0.0) else stored * np.float64(slope) + intercept
        # Not by the absolute value: that of the least whole number of 64 bits is itself.
        beyond = np.isfinite(stored) & ~((values >= -LARGEST_VALUE) & (values <= LARGEST_VALUE))
    if padding is not None:
        beyond &= ~padding
    if beyond.any():
        raise ImageRefused(
            "pixel-values",
            f"{int(beyond.sum()):,} of its {stored.size:,} values lie beyond ±{LARGEST_VALUE:.0e}: they are no "
            "measurements",
            where=where,
            do="Export it again in a physical unit, with NaN or the declared padding value where nothing was measured.",
        )


def check_image(stored: Stored, *, where: str) -> None:
    """Refuse an image as :func:`check_values` and :func:`check_any` do.

    Raises:
        ImageRefused: ``pixel-values``.
    """
    check_values(stored, where=where)
    check_any(stored, where=where)


def check_any(stored: Stored, *, where: str) -> None:
    """Refuse an image without any value that is a number: it was read as black.

    Raises:
        ImageRefused: ``pixel-values``.
    """
    if stored.dtype.kind == "f" and not np.isfinite(stored).any():
        raise ImageRefused("pixel-values", f"none of its {stored.size:,} values is a number", where=where)


def check_grey(meaning: Grey, stored: Stored, *, several: bool, where: str) -> None:
    """Check the values of a grey image as :func:`check_values` does, once they are rescaled.

    Raises:
        ImageRefused: ``pixel-values``.
    """
    check_any(stored, where=where)
    frames = stored if several else stored[None]
    for number, frame in enumerate(meaning.frames):
        if isinstance(frame.modality, Rescale):
            part = frames[number : number + 1] if len(meaning.frames) > 1 else frames
            slope, intercept = frame.modality.slope, frame.modality.intercept
            padding = _is_padding(meaning, part)
            check_values(part, where=where, slope=slope, intercept=intercept, padding=padding)


def grey(meaning: Grey, stored: Stored, *, several: bool, voi: bool, where: str) -> Values:
    """Map the stored values of a grey image; larger is brighter, and padding takes the smallest valid value.

    Returns the shape of ``stored``, whose first axis counts frames if there are ``several``; float32. A negative is
    mirrored about the middle of the range that the stored bits can express, so that two images of one scanner stay
    comparable. With ``voi`` the file's VOI LUT or window, or else the image's own range, becomes 0 to 1.

    Raises:
        ImageRefused: ``pixel-values``, as :func:`check_values` does; ``window``: with ``voi``, the file's window says
            nonsense.
    """
    check_grey(meaning, stored, several=several, where=where)
    frames = stored if several else stored[None]  # (frames, rows, columns)
    values = np.empty(frames.shape, np.float32)
    # Frames that share their attributes are mapped at once, so that "the image's own range" is the whole volume's.
    own = len(meaning.frames) > 1
    for number, frame in enumerate(meaning.frames):
        part = slice(number, number + 1) if own else slice(None)
        found = _modality(frame.modality, frames[part])
        if voi:
            found = _voi(frame, found, _is_padding(meaning, frames[part]), where=where)
        values[part] = (1.0 if voi else sum(_range(meaning, frame.modality))) - found if meaning.inverted else found
    padding = _is_padding(meaning, frames)
    if padding is not None and padding.any() and not padding.all():
        values[padding] = values[~padding].min()
    return values.reshape(stored.shape)


def colour(meaning: Colour, stored: Stored, *, voi: bool, where: str) -> Values:
    """Map a colour image to (..., 3) float32 red, green and blue; with ``voi`` full intensity becomes 1.

    Raises:
        ImageRefused: ``colour-space``: an image without a palette does not have three samples a pixel.
    """
    if meaning.palette is not None:
        rgb = np.stack([_look_up(table, stored) for table in meaning.palette], axis=-1)
        full = 255 if meaning.palette_bits <= 8 and rgb.max() <= 255 else _UINT16 - 1
        return rgb / np.float32(full if voi else 1)
    if stored.ndim < 3 or stored.shape[-1] != 3:
        raise ImageRefused("colour-space", "its photometric interpretation is not supported", where=where)
    return stored.astype(np.float32) / np.float32(meaning.full if voi else 1)


def _look_up(table: Table, values: NDArray[np.generic]) -> Values:
    return table.entries[np.clip(values.astype(np.int64) - table.first, 0, len(table.entries) - 1)]


def _modality(modality: Table | Rescale, stored: Stored) -> Values:
    if isinstance(modality, Table):
        return _look_up(modality, stored)
    with np.errstate(over="ignore"):  # of padding, which takes another value
        return (stored * np.float64(modality.slope) + modality.intercept).astype(np.float32)


def _range(meaning: Grey, modality: Table | Rescale) -> tuple[float, float]:
    if isinstance(modality, Table):
        return float(modality.entries.min()), float(modality.entries.max())
    if meaning.stored_range is None:
        return 0.0, 0.0  # floating-point pixels have no range to mirror in: they are negated
    low, high = meaning.stored_range
    return low * modality.slope + modality.intercept, high * modality.slope + modality.intercept


def _voi(frame: Frame, values: Values, padding: NDArray[np.bool_] | None, *, where: str) -> Values:
    window = frame.voi
    if isinstance(window, Unusable):
        raise ImageRefused("window", window.why, where=where, do="Use a study that scales by percentiles or range.")
    if isinstance(window, Table):
        return _stretch(_look_up(window, np.rint(values)), float(window.entries.min()), float(window.entries.max()))
    if isinstance(window, Window):
        centre, width = window.centre, window.width
        if window.function == "SIGMOID":
            exponent = np.clip(-4 * (values - centre) / width, -80, 80)
            return np.asarray(1 / (1 + np.exp(exponent)), np.float32)
        if window.function == "LINEAR_EXACT":
            return _stretch(values, centre - width / 2, centre + width / 2)
        return _stretch(values, centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)
    valid = values if padding is None or padding.all() else values[~padding]
    return _stretch(values, float(valid.min()), float(valid.max()))


def _stretch(values: Values, low: float, high: float) -> Values:
    if high <= low:  # a window of width one, or an image of one value: a step
        return (values > low).astype(np.float32)
    return np.asarray(np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1), np.float32)


def _is_padding(meaning: Grey, stored: Stored) -> NDArray[np.bool_] | None:
    if meaning.padding is None:
        return None
    low, high = meaning.padding
    return (stored >= low) & (stored <= high)
