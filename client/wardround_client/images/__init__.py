"""One way in for DICOM, PNG, JPEG, TIFF and NIfTI; one form out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from pydicom import FileDataset

from wardround_client.images.attributes import frames_of
from wardround_client.images.dicom import Stored, parse, refusing, stored_pixels
from wardround_client.images.formats.registry import format_of
from wardround_client.images.frames import spacing_of, stated_aspect_of
from wardround_client.images.image import Image
from wardround_client.images.intensity import check_image, colour, grey
from wardround_client.images.meaning import Colour, Grey, Meaning, Values, meaning_of
from wardround_client.images.orientation import towards_in, turn_in
from wardround_client.images.source import read_bytes

__all__ = ["Image", "decode", "dicom_pixels", "finite", "plain_pixels", "read_image", "read_with_header"]


def read_image(path: Path, *, voi: bool = False) -> Image:
    """Read one image file, whatever its format, as float32 with larger values brighter.

    Without ``voi`` the values are the modality's own (Hounsfield units in CT). With ``voi`` they are 0 to 1 after the
    file's VOI LUT or window; a file without one is stretched from its smallest to its largest value. Colour becomes
    red, green and blue. Pixel padding takes the smallest valid value.

    A decoder written in C can bring the whole process down on a damaged file; a scan reads such files in a process of
    their own, and only files that it has accepted should be read here.

    Raises:
        ImageRefused: the file is no image, is damaged, too large or encrypted; ``reason`` says which.
    """
    return read_with_header(path, voi=voi)[0]


def read_with_header(path: Path, *, voi: bool = False) -> tuple[Image, FileDataset | None]:
    """Read one image file as :func:`read_image` does, with the attributes that say what it is; None if not DICOM."""
    where = str(path)
    data = read_bytes(path)
    if form := format_of(data, where=where):
        plain = form.read(data, where)
        pixels = plain_pixels(plain.stored, colour=plain.colour, voi=voi, where=where)
        return Image(pixels, plain.spacing_mm, plain.modality, plain.patient), None
    dataset = parse(data, where=where)
    stored, photometric = stored_pixels(dataset, where=where)
    with refusing("unreadable", "the attributes of the image contradict each other", where=where):
        meaning = meaning_of(dataset, photometric, where=where)
        several = frames_of(dataset) > 1
        image = Image(
            dicom_pixels(meaning, stored, several=several, voi=voi, where=where),
            spacing_of(dataset, where=where),
            turn=turn_in(dataset),
            aspect=stated_aspect_of(dataset),
            towards=towards_in(dataset),
        )
        return image, dataset


def dicom_pixels(meaning: Meaning, stored: Stored, *, several: bool, voi: bool, where: str) -> Values:
    """Map decoded DICOM pixels, of ``several`` frames or one, to what :func:`read_image` gives.

    Raises:
        ImageRefused: ``pixel-values``, ``window`` or ``colour-space``.
    """
    if isinstance(meaning, Grey):
        values = grey(meaning, stored, several=several, voi=voi, where=where)
    else:
        values = colour(meaning, stored, voi=voi, where=where)
    return finite(_channels_first(values, has_channels=isinstance(meaning, Colour)))


def plain_pixels(stored: Stored, *, colour: bool, voi: bool, where: str) -> Values:
    """Map the decoded pixels of an image that is not DICOM to what :func:`read_image` gives.

    Raises:
        ImageRefused: ``pixel-values``.
    """
    check_image(stored, where=where)
    return _channels_first(finite(_stretched(stored) if voi else stored), has_channels=colour)


def decode(path: Path) -> Stored:
    """Decode the pixel values that a file stores, before any rescale, palette or window.

    Returns ((frames,) rows, columns (, samples)); for DICOM the bytes equal pydicom's ``pixel_array``.

    Raises:
        ImageRefused: as :func:`read_image` does.
    """
    where = str(path)
    data = read_bytes(path)
    if form := format_of(data, where=where):
        return form.read(data, where).stored
    return stored_pixels(parse(data, where=where), where=where)[0]


def _channels_first(values: Values, *, has_channels: bool) -> Values:
    return np.ascontiguousarray(np.moveaxis(values, -1, 0) if has_channels else values[None])


def _stretched(stored: Stored) -> Values:
    if stored.dtype == np.uint8:
        return stored.astype(np.float32) / np.float32(255)
    values = finite(stored)
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def finite(values: Stored) -> Values:
    """Return float32 values; what is not a number (float pixels, NIfTI) takes the smallest finite value.

    For values that :func:`wardround_client.images.intensity.check_values` passes.
    """
    found = np.asarray(values, np.float32)
    good = np.isfinite(found)
    if good.all():
        return found
    return np.where(good, found, found[good].min() if good.any() else np.float32(0))
