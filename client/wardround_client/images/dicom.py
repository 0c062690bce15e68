"""DICOM files: parsed once, refused with a reason, decoded to the pixel values that are stored in them.

What pydicom raises on a damaged file is nearly any exception, with text that may quote an attribute. So everything it
raises becomes an :class:`ImageRefused` whose words are ours.
"""

from __future__ import annotations

import logging
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, FileDataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.errors import BytesLengthException
from pydicom.pixels.decoders.base import Decoder, get_decoder
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGExtended12Bit,
)

from wardround_client.images.attributes import (
    BITS_ALLOCATED,
    BITS_STORED,
    COLUMNS,
    HIGH_BIT,
    PHOTOMETRIC,
    PIXEL_DATA,
    ROWS,
    SAMPLES,
    SIGN,
    code,
    elements_of,
    frames_of,
    integer,
    tag,
    text,
)
from wardround_client.images.layout import check_fragments, check_layout, check_length
from wardround_client.images.sop_class import other_object
from wardround_client.images.source import LARGEST_FILE_BYTES, PREAMBLE, check_pixel_count
from wardround_common.errors import ImageRefused

# pydicom logs attribute values that it finds odd, a patient's name among them: no log may hold those.
logging.getLogger("pydicom").addFilter(lambda _: False)
get_decoder(JPEGExtended12Bit).add_plugin("wardround", ("wardround_client.images.jpeg_extended", "decode_frame"))

Stored = NDArray[Any]
"""((frames,) rows, columns (, samples)), as integers or floats, before any rescale or window."""

PIXEL_TAGS = (PIXEL_DATA, tag("FloatPixelData"), tag("DoubleFloatPixelData"))
_ENCRYPTED_ATTRIBUTES = tag("EncryptedAttributesSequence")
_SOP_CLASS, _SYNTAX = tag("SOPClassUID"), tag("TransferSyntaxUID")
_UNDEFINED = 0xFFFFFFFF
_MOST_INFLATED = 1032  # bytes that a byte can become: zlib's technical details, maximum compression factor
_GREY = ("MONOCHROME1", "MONOCHROME2")
_PLAIN = (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
READ_BY_PYTHON = frozenset(str(uid).encode() for uid in (*_PLAIN, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian))


def parse(data: bytes, *, where: str) -> FileDataset:
    """Parse a DICOM Part 10 file that holds an image of a plausible size; its pixels are not decoded yet.

    Raises:
        ImageRefused: ``unreadable``, ``truncated``, ``pixels-missing``, ``encrypted``, ``no-transfer-syntax``,
            ``too-many-pixels``, or the reason for an object that is no image.
    """
    with refusing("unreadable", "the DICOM attributes cannot be parsed", where=where):
        if b"1.2.840.10008.1.2.1.99" in data[PREAMBLE:1024]:
            _check_inflated_size(data, where=where)
        dataset = dcmread(BytesIO(data))
        tags = dataset.keys()
        if not any(tag in tags for tag in PIXEL_TAGS):
            if _ENCRYPTED_ATTRIBUTES in tags:
                raise ImageRefused("encrypted", "the attributes are encrypted", where=where, do="Decrypt it first.")
            if other := other_object(dataset):
                raise ImageRefused(*other, where=where)
            raise ImageRefused(*_without_pixels(dataset), where=where)
        if not syntax_of(dataset):
            raise ImageRefused("no-transfer-syntax", "the file does not state how its pixels are encoded", where=where)
        rows, columns = integer(dataset, ROWS), integer(dataset, COLUMNS)
        if rows is None or columns is None or integer(dataset, BITS_ALLOCATED) is None:
            raise ImageRefused("unreadable", "rows, columns or bits are missing, or are not numbers", where=where)
        if not rows or not columns:
            raise ImageRefused("no-image", "the image has no rows or no columns", where=where)
        check_pixel_count(rows * columns * frames_of(dataset) * (integer(dataset, SAMPLES) or 1), where=where)
    return dataset


def syntax_of(dataset: FileDataset) -> str:
    """Return the UID of the transfer syntax; empty where the file does not state it."""
    return text(dataset.file_meta, _SYNTAX)


def stored_pixels(dataset: FileDataset, *, where: str) -> tuple[Stored, str]:
    """Decode all frames, and name the photometric interpretation that they have once decoded.

    The array equals pydicom's ``pixel_array`` byte for byte: YBR has become RGB, palette indices are still indices.
    But where HighBit says that a pixel's bits lie at the top of its word, as in files of the old days, they are brought
    down; pydicom does not look at it. And a decoder gives the colours of a pixel beside one another whatever
    PlanarConfiguration says of compressed pixels, which pydicom believes: it would make noise of them.

    Raises:
        ImageRefused: ``pixel-layout``, ``pixels-empty``, ``frames-missing``, ``truncated`` or ``codec``.
    """
    with refusing("unreadable", "the attributes of the pixels cannot be read", where=where):
        check_layout(dataset, compressed=syntax_of(dataset).encode() not in READ_BY_PYTHON, where=where)
        plain = _plain_pixels(dataset, where=where)
        if plain is not None:
            return plain
        syntax = dataset.file_meta.TransferSyntaxUID
        how = syntax.name if syntax.is_transfer_syntax else "an unknown transfer syntax"
    with refusing("codec", f"the pixels cannot be decoded from {how}", where=where):
        try:
            decoder = get_decoder(syntax)
        except NotImplementedError:
            raise ImageRefused(
                "codec",
                "no decoder knows its transfer syntax" + (f" ({syntax.name})" if syntax.is_transfer_syntax else ""),
                where=where,
                do="Convert it to an uncompressed transfer syntax.",
            ) from None
        if PIXEL_DATA in dataset:
            data = dataset[PIXEL_DATA].value or b""
            (check_fragments if syntax.is_encapsulated else check_length)(dataset, data, where=where)
        if _lies_high(dataset):
            raise ImageRefused("pixel-layout", "HighBit does not match the stored bits", where=where)
        if (photometric := code(dataset, PHOTOMETRIC)) != dataset.get("PhotometricInterpretation"):
            dataset.PhotometricInterpretation = photometric  # with a space before it, or in small letters
        if syntax.is_encapsulated and (integer(dataset, SAMPLES) or 1) > 1:
            dataset.PlanarConfiguration = 0  # the decoders of RLE and JPEG-LS say otherwise themselves
        pixels, properties = _decoded(decoder, dataset)
    return pixels, str(properties.get("photometric_interpretation", ""))


def _decoded(decoder: Decoder, dataset: FileDataset) -> tuple[Stored, dict[str, Any]]:
    """Decode by whichever library reads the file; of lossless JPEG 2000 all give the same pixels, OpenJPEG first."""
    if dataset.file_meta.TransferSyntaxUID == JPEG2000Lossless:
        with suppress(RuntimeError):  # it cannot read what another one may
            return decoder.as_array(dataset, decoding_plugin="pylibjpeg", validate=True, raw=False)
    return decoder.as_array(dataset, validate=True, raw=False)


_within = threading.local()


@contextmanager
def quiet() -> Iterator[None]:
    """Silence the warnings of what is read within: they may quote an attribute. Once for a file is enough."""
    if getattr(_within, "quiet", False):
        yield
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        _within.quiet = True
        try:
            yield
        finally:
            _within.quiet = False


@contextmanager
def refusing(reason: str, what: str, *, where: str, do: str = "") -> Iterator[None]:
    """Turn whatever pydicom or a decoder raises or warns of into a refusal, and keep its words to ourselves."""
    try:
        with quiet():
            yield
    except ImageRefused:
        raise
    except MemoryError:
        raise ImageRefused("no-memory", "there is not enough memory to read the file", where=where) from None
    except (EOFError, BytesLengthException, struct.error):
        raise ImageRefused("truncated", f"{what}: the file is truncated or damaged", where=where) from None
    except BaseException as error:
        # A hostile file makes pydicom and its decoders raise nearly anything, a decoder in Rust even a panic.
        if isinstance(error, Exception) or type(error).__name__ == "PanicException":
            raise ImageRefused(reason, f"{what} ({type(error).__name__})", where=where, do=do) from None
        raise


def _lies_high(dataset: Dataset) -> bool:
    stored, high = integer(dataset, BITS_STORED), integer(dataset, HIGH_BIT)
    return stored is not None and high is not None and high != stored - 1


def place_in_file(dataset: FileDataset) -> tuple[int, tuple[int, int]] | None:
    """Say where in its file the pixels lie as they are, and by how many bits to shift them; None if they do not."""
    element = dataset.get_item(PIXEL_DATA)
    if not isinstance(element, RawDataElement) or syntax_of(dataset) not in _PLAIN:
        return None  # a decoder has read them
    return element.value_tell, _shifts(dataset)


def _shifts(dataset: Dataset) -> tuple[int, int]:
    allocated, stored, high = (integer(dataset, which) or 0 for which in (BITS_ALLOCATED, BITS_STORED, HIGH_BIT))
    return (allocated - 1 - high if HIGH_BIT in elements_of(dataset) else allocated - stored), allocated - stored


def _plain_pixels(dataset: FileDataset, *, where: str) -> tuple[Stored, str] | None:
    """Read the common plain case, grey little-endian integers, in a twentieth of the time that a decoder takes."""
    photometric = code(dataset, PHOTOMETRIC)
    if syntax_of(dataset) not in _PLAIN or photometric not in _GREY:
        return None
    rows, columns, frames = integer(dataset, ROWS), integer(dataset, COLUMNS), frames_of(dataset)
    allocated, stored, sign = (integer(dataset, which) for which in (BITS_ALLOCATED, BITS_STORED, SIGN))
    if rows is None or columns is None or stored is None or integer(dataset, SAMPLES) != 1:
        return None
    if allocated not in (8, 16) or not 0 < stored <= allocated or sign not in (0, 1):
        return None
    element = dataset.get_item(PIXEL_DATA)
    data, length = element.value if element else None, frames * rows * columns * allocated // 8
    if not isinstance(data, bytes) or not length <= len(data) <= length + 1:
        return None
    shape = (frames, rows, columns) if frames > 1 else (rows, columns)
    pixels = np.frombuffer(data, f"<{'iu'[sign == 0]}{allocated // 8}", count=length * 8 // allocated).reshape(shape)
    left, right = _shifts(dataset)
    below = right - left
    if below and (pixels & ((1 << below) - 1)).any():
        raise ImageRefused(
            "pixel-layout",
            "HighBit says that the lowest bits are not part of the pixel, but they are used",
            where=where,
        )
    if right:  # unused high bits carry nothing (PS3.5 section 8.1.1), or an overlay of the old days
        pixels = (pixels << left) >> right
    return pixels, photometric


def _check_inflated_size(data: bytes, *, where: str) -> None:
    """Refuse a deflated data set that grows beyond the limit, since pydicom would inflate it whole."""
    if len(data) * _MOST_INFLATED <= LARGEST_FILE_BYTES:
        return
    start = PREAMBLE
    while data[start : start + 2] == b"\x02\0":  # past the file meta information, which is never deflated
        long_form = data[start + 4 : start + 6] in (b"OB", b"UN", b"UT")
        length = data[start + 8 : start + 12] if long_form else data[start + 6 : start + 8]
        start += (12 if long_form else 8) + int.from_bytes(length, "little")
    inflater = zlib.decompressobj(-zlib.MAX_WBITS)
    size, rest = 0, data[start:]
    while rest and size <= LARGEST_FILE_BYTES:
        size += len(inflater.decompress(rest, 1 << 24))
        rest = inflater.unconsumed_tail
    if size > LARGEST_FILE_BYTES:
        raise ImageRefused("too-large", "the deflated data set grows beyond the limit", where=where)


def _without_pixels(dataset: FileDataset) -> tuple[str, str]:
    """Say why there are no pixels: cut off within an element, taken out of an image, or never meant to be there."""
    last = dataset.get_item(max(dataset.keys(), default=PIXEL_DATA))
    if isinstance(last, RawDataElement) and len(last.value or b"") < last.length < _UNDEFINED:
        return "truncated", "the file ends before its pixels"
    if "Rows" in dataset or "Image Storage" in UID(text(dataset, _SOP_CLASS)).name:
        return "pixels-missing", "the file is an image without its pixels: they were taken out, or it was cut off there"
    return "no-image", "this DICOM object holds no pixels"
