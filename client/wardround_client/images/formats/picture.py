"""PNG, JPEG and TIFF, by Pillow."""

from __future__ import annotations

import struct
from io import BytesIO

import numpy as np
from PIL import Image as Pillow

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


def is_one_bit_png(data: bytes) -> bool:
    """Tell from its header (PNG 11.2.1) that a picture has one bit a pixel, as masks beside images have."""
    return data.startswith(b"\x89PNG") and data[12:16] == b"IHDR" and data[24:26] == b"\x01\0"


def picture_pixels(data: bytes, *, where: str) -> tuple[Stored, str]:
    """Decode a picture to ((frames,) rows, columns (, 3)) and name its format.

    Grey pictures keep their 8, 16 or 32 bits; palettes and every colour space become RGB; transparency is dropped. A
    picture that says how it is to be turned (EXIF, as cameras do) is turned, as viewers and Pillow's TIFF reader do.

    Raises:
        ImageRefused: ``codec``, ``truncated``, ``too-many-pixels``, or ``mask`` for one bit a pixel.
    """
    with (
        refusing("codec", "the picture cannot be decoded", where=where, do="Save it again as PNG or TIFF."),
        Pillow.open(BytesIO(data), formats=FORMATS) as picture,
    ):
        frames = int(getattr(picture, "n_frames", 1))
        check_pixel_count(picture.width * picture.height * frames * len(picture.getbands()), where=where)
        if picture.mode == "1":
            raise ImageRefused("mask", "one bit a pixel is an outline or a mask, not an image", where=where)
        decoded = []
        for frame in range(frames):
            if frames > 1:
                picture.seek(frame)
            turned = _turned(picture)
            grey = turned.mode in ("L", "LA", "I", "F") or turned.mode.startswith("I;16")
            decoded.append(
                np.asarray(turned.convert("L") if turned.mode == "LA" else turned if grey else turned.convert("RGB"))
            )
        if any(part.shape != decoded[0].shape for part in decoded):
            raise ImageRefused(
                "codec", "its pages have different sizes", where=where, do="Save each page as a file of its own."
            )
        return (np.stack(decoded) if frames > 1 else decoded[0]), str(picture.format)


def _turned(picture: Pillow.Image) -> Pillow.Image:
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
