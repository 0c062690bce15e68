"""PNG, JPEG and TIFF, by Pillow."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
from PIL import Image as Pillow
from PIL.TiffImagePlugin import TiffImageFile

from wardround_client.images.dicom import Stored, refusing
from wardround_client.images.formats.contract import Format, Plain
from wardround_client.images.source import check_pixel_count
from wardround_common.errors import ImageRefused

FORMATS = ("PNG", "JPEG", "TIFF")
BEGINNINGS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")

_ORIENTATION = 0x0112
_TURNS = {
    2: Pillow.Transpose.FLIP_LEFT_RIGHT,
    3: Pillow.Transpose.ROTATE_180,
    4: Pillow.Transpose.FLIP_TOP_BOTTOM,
    5: Pillow.Transpose.TRANSPOSE,
    6: Pillow.Transpose.ROTATE_270,
    7: Pillow.Transpose.TRANSVERSE,
    8: Pillow.Transpose.ROTATE_90,
}
"""What brings a picture upright whose EXIF orientation is not 1 (EXIF 2.32, 4.6.4 A)."""

_BITS, _PHOTOMETRIC, _PLANAR, _SAMPLE_FORMAT = 258, 262, 284, 339
"""Attributes of a TIFF picture (TIFF 6.0, sections 8 and 19), which Pillow does not obey in every case."""
_WHITE_IS_ZERO, _SEPARATE, _UNSIGNED, _SIGNED = 0, 2, 1, 2


_SAVE_AGAIN = "Save it again as PNG or TIFF: of 8 or 16 bits, or TIFF of 32-bit floating point."


def is_one_bit_png(data: bytes) -> bool:
    """Tell from its header (PNG 11.2.1) that a picture has one bit a pixel, as masks beside images have.

    Grey or by a palette: Pillow writes a mask with a palette of two colours so.
    """
    return data.startswith(b"\x89PNG") and data[12:16] == b"IHDR" and data[24:25] == b"\x01"


def picture_pixels(data: bytes, *, where: str) -> tuple[Stored, str]:
    """Decode a picture to ((frames,) rows, columns (, 3)) and name its format.

    Grey pictures keep their 8, 16 or 32 bits, and their sign; where zero is white they are turned round. Palettes and
    every colour space become RGB of 8 bits; transparency is dropped. Of a JPEG that carries further pictures, as
    telephones write them (a preview, a map of brightness), the first is read, as viewers do. A picture that says how it
    is to be turned (EXIF, as cameras do) is turned, as viewers and Pillow's TIFF reader do.

    Raises:
        ImageRefused: ``codec``, ``truncated``, ``too-many-pixels``, ``pixel-layout``, or ``mask`` for one bit a pixel.
    """
    with (
        refusing("codec", "the picture cannot be decoded", where=where, do=_SAVE_AGAIN),
        Pillow.open(BytesIO(data), formats=FORMATS) as picture,
    ):
        further = picture.format == "MPO"  # a JPEG with more pictures behind its own (CIPA DC-007)
        frames = 1 if further else int(getattr(picture, "n_frames", 1))
        check_pixel_count(picture.width * picture.height * frames * len(picture.getbands()), where=where)
        if picture.mode == "1":
            raise ImageRefused("mask", "one bit a pixel is an outline or a mask, not an image", where=where)
        decoded = []
        for frame in range(frames):
            if frames > 1:
                picture.seek(frame)
            _check_planes(picture, where=where)
            turned = upright(picture)
            if turned.mode in ("L", "LA", "I", "F") or turned.mode.startswith("I;16"):
                values = np.asarray(turned.convert("L") if turned.mode == "LA" else turned)
                decoded.append(_as_stated(values, picture))
            else:
                decoded.append(np.asarray(turned.convert("RGB")))
        if any(part.shape != decoded[0].shape for part in decoded):
            raise ImageRefused(
                "codec", "its pages have different sizes", where=where, do="Save each page as a file of its own."
            )
        return (np.stack(decoded) if frames > 1 else decoded[0]), "JPEG" if further else str(picture.format)


def _attribute(picture: Pillow.Image, number: int, usual: int) -> int:
    found = picture.tag_v2.get(number, usual) if isinstance(picture, TiffImageFile) else usual
    return int(found[0] if isinstance(found, tuple) else found)


def _check_planes(picture: Pillow.Image, *, where: str) -> None:
    """Refuse colours of more than 8 bits each in a plane of its own: Pillow makes noise of them."""
    if _attribute(picture, _PLANAR, 1) == _SEPARATE and _attribute(picture, _BITS, 1) > 8:
        raise ImageRefused(
            "pixel-layout",
            "its colours of more than 8 bits lie in planes of their own",
            where=where,
            do="Save it again with the colours of a pixel beside one another (PlanarConfiguration 1), or with 8 bits.",
        )


def _as_stated(values: Stored, picture: Pillow.Image) -> Stored:
    """Return grey values with the sign that a TIFF picture states, and turned round where its zero is white.

    Pillow does so of white at 8 bits, and of the sign at 16. Floating-point values have no range to mirror in: they are
    negated, as those of DICOM are.
    """
    sign = _attribute(picture, _SAMPLE_FORMAT, _UNSIGNED)
    if values.dtype == np.uint8 and sign == _SIGNED:
        return values.view(np.int8)
    if values.dtype == np.int32 and sign == _UNSIGNED and _attribute(picture, _BITS, 1) == 32:
        return values.view(np.uint32)
    if values.dtype != np.uint8 and _attribute(picture, _PHOTOMETRIC, 1) == _WHITE_IS_ZERO:
        return -values if values.dtype.kind == "f" else ~values
    return values


def upright(picture: Pillow.Image) -> Pillow.Image:
    """Return a picture turned as it says that it is to be turned (EXIF orientation)."""
    picture.load()  # which turns a TIFF file's, and then it no longer says so
    try:
        how = _TURNS.get(int(picture.getexif().get(_ORIENTATION) or 0))
    except (OSError, SyntaxError, TypeError, ValueError, struct.error):  # remarks that cannot be read state nothing
        return picture
    return picture if how is None else picture.transpose(how)


def _read(data: bytes, where: str) -> Plain:
    if is_one_bit_png(data):
        raise ImageRefused("mask", "one bit a pixel is an outline or a mask, not an image", where=where)
    stored, name = picture_pixels(data, where=where)
    colour = stored.ndim > 2 and stored.shape[-1] == 3
    frames = len(stored) if stored.ndim - colour == 3 else 1
    return Plain(stored, name, frames, colour)


FORMAT = Format(
    words=FORMATS, matches=lambda head: head.startswith(BEGINNINGS), read=_read, needs_no_codec=is_one_bit_png
)
