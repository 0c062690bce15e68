"""One slice of a series: where its pixels are stored, what they mean, and its values when they are asked for.

The attributes of a file are read once, up to its pixels. When a slice is asked for, only its own bytes are read and
decoded: they are handed to the reader of every image as an object of one frame, so that layout, codecs, rescale and
padding follow one set of rules (:mod:`wardround_client.images`). What cannot be read in this way, such as
floating-point pixels, is read whole by :func:`wardround_client.images.read_image`.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

from pydicom import DataElement, FileDataset, dcmread
from pydicom.dataelem import RawDataElement
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate, get_frame
from pydicom.tag import BaseTag
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from wardround_client.images import dicom_pixels, read_image
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
    tag,
)
from wardround_client.images.dicom import parse, refusing, stored_pixels, syntax_of
from wardround_client.images.meaning import Grey, Values, meaning_of
from wardround_client.images.source import PREAMBLE, opened, read_bytes
from wardround_common.errors import ImageRefused

_LAYOUT = (ROWS, COLUMNS, SAMPLES, BITS_ALLOCATED, BITS_STORED, HIGH_BIT, SIGN, PHOTOMETRIC, PLANAR)
_OFFSETS, _LENGTHS = tag("ExtendedOffsetTable"), tag("ExtendedOffsetTableLengths")
HEAD_BYTES = 1024
"""The file meta information lies within these."""
_GROUP_LENGTH_BYTES = 12
_UNDEFINED = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Stamp:
    """A file as it was when its attributes were read."""

    path: Path = field(repr=False)
    size: int
    changed_ns: int

    @classmethod
    def of(cls, path: Path) -> Stamp:
        """Note the size and the time of a file.

        Raises:
            ImageRefused: ``vanished``.
        """
        try:
            found = path.stat()
        except OSError:
            raise ImageRefused("vanished", "the file is no longer there", where=str(path)) from None
        return cls(path, found.st_size, found.st_mtime_ns)

    def check(self) -> None:
        """Refuse a file that is another one by now.

        Raises:
            ImageRefused: ``changed`` or ``vanished``.
        """
        if Stamp.of(self.path) != self:
            raise ImageRefused(
                "changed",
                "the file changed while its series was read",
                where=str(self.path),
                do="Scan the folder again once nothing writes to it.",
            )


@dataclass(frozen=True, eq=False)
class Layout:
    """How the pixels of a file are stored; the slices of a series mostly share one."""

    elements: Mapping[BaseTag, DataElement] = field(repr=False)
    syntax: UID

    @cached_property
    def frame_bytes(self) -> int:
        """Bytes of a frame that is not compressed; 0 where the attributes do not say."""
        sizes = [self.elements[which].value for which in (ROWS, COLUMNS, BITS_ALLOCATED) if which in self.elements]
        whole = len(sizes) == 3 and all(isinstance(size, int) for size in sizes) and sizes[2] % 8 == 0
        return math.prod(sizes) // 8 if whole else 0

    def holds(self, frames: int, length: int) -> bool:
        """Say whether pixel data of this length hold this many frames."""
        if self.syntax.is_encapsulated:
            return length == _UNDEFINED and self.frame_bytes > 0
        return self.frame_bytes > 0 and length in (frames * self.frame_bytes, frames * self.frame_bytes + 1)

    def of_one_frame(self, data: bytes) -> FileDataset:
        """Make an object of one frame of these bytes, as the decoders take it."""
        made = FileDataset(
            "",
            dict(self.elements),
            file_meta=self._meta,
            is_implicit_VR=self.syntax == ImplicitVRLittleEndian,
            is_little_endian=self.syntax != ExplicitVRBigEndian,
        )
        narrow = self.syntax.is_encapsulated or int(self.elements[BITS_ALLOCATED].value) <= 8
        made[PIXEL_DATA] = DataElement(PIXEL_DATA, "OB" if narrow else "OW", data)
        return made

    @cached_property
    def _meta(self) -> FileMetaDataset:
        meta = FileMetaDataset()
        deflated = self.syntax == DeflatedExplicitVRLittleEndian  # but not the bytes that are handed over
        meta.TransferSyntaxUID = ExplicitVRLittleEndian if deflated else self.syntax
        return meta


@dataclass(frozen=True, eq=False)
class Source:
    """A DICOM file whose attributes were read and whose pixels are still on the disk."""

    file: Stamp
    frames: int
    layout: Layout | None = None
    """None if the file has to be read whole."""
    meaning: Grey | None = field(default=None, repr=False)
    pixels_at: int = 0
    """Where the bytes of the pixels begin: in the file, or in the data set once it is inflated."""
    deflated_from: int = 0
    """Where a deflated data set begins in its file."""
    offsets: tuple[bytes, bytes] | None = field(default=None, repr=False)
    """The extended offset table, where the file has one."""

    def values(self, number: int) -> Values:
        """Read the values of a frame, from 0: (rows, columns) float32, as ``read_image`` gives them.

        Raises:
            ImageRefused: as :func:`wardround_client.images.read_image` does, and ``changed`` if the file is another
                one than when its attributes were read.
        """
        self.file.check()
        where = str(self.file.path)
        if self.layout is None or self.meaning is None:
            pixels: Values = read_image(self.file.path).pixels[0]
            if self.frames > 1:
                pixels = pixels[number]
            return pixels
        stored, _ = stored_pixels(self.layout.of_one_frame(self._bytes(self.layout, number)), where=where)
        meanings = self.meaning.frames
        meaning = replace(self.meaning, frames=meanings[number : number + 1]) if len(meanings) > 1 else self.meaning
        with refusing("unreadable", "the attributes of the image contradict each other", where=where):
            values: Values = dicom_pixels(meaning, stored, several=False, voi=False, where=where)[0]
        return values

    def _bytes(self, layout: Layout, number: int) -> bytes:
        length = layout.frame_bytes
        start = self.pixels_at + (0 if layout.syntax.is_encapsulated else number * length)
        with (
            opened(self.file.path, largest=None) as file,
            refusing("truncated", "the frame cannot be found in the file", where=str(self.file.path)),
        ):
            if layout.syntax == DeflatedExplicitVRLittleEndian:
                file.seek(self.deflated_from)
                inflated = zlib.decompressobj(-zlib.MAX_WBITS).decompress(file.read(), start + length)
                return _even(inflated[start:])
            file.seek(start)
            if not layout.syntax.is_encapsulated:
                return _even(file.read(length))
            with BufferedReader(file) as buffered:
                frame = get_frame(buffered, number, number_of_frames=self.frames, extended_offsets=self.offsets)
            return encapsulate([frame])


@dataclass(frozen=True, slots=True)
class Frame:
    """One slice: a frame of a file."""

    source: Source
    number: int
    """From 0."""
    sop_uid: str = field(default="", repr=False)

    @property
    def file(self) -> Path:
        """The file that it is stored in."""
        return self.source.file.path

    def values(self) -> Values:
        """Read the values of the slice: (rows, columns) float32, as ``read_image`` gives them.

        Raises:
            ImageRefused: as :meth:`Source.values` does.
        """
        return self.source.values(self.number)


@dataclass(frozen=True, slots=True)
class Pixels:
    """Where the pixels of a file begin, and how many bytes the file says that they have."""

    at: int
    length: int
    deflated_from: int = 0


def header_of(path: Path) -> tuple[FileDataset, Pixels | None]:
    """Read the attributes of a DICOM file up to its pixels, and find these; None where they must be read whole.

    Raises:
        ImageRefused: ``unreadable``, ``truncated``, or as :func:`wardround_client.images.source.opened` does.
    """
    where = str(path)
    with (
        opened(path, largest=None) as file,
        refusing("unreadable", "the DICOM attributes cannot be parsed", where=where),
        BufferedReader(file) as buffered,
    ):
        head = buffered.peek(HEAD_BYTES)
        if DeflatedExplicitVRLittleEndian.encode() not in head[PREAMBLE:HEAD_BYTES]:
            header = dcmread(buffered, stop_before_pixels=True)
            return header, _pixels_at(buffered, syntax_of(header))
    dataset = parse(read_bytes(path), where=where)
    element, meta = dataset.get_item(PIXEL_DATA), dataset.file_meta.get("FileMetaInformationGroupLength")
    if not isinstance(element, RawDataElement) or not isinstance(meta, int):
        return dataset, None
    return dataset, Pixels(element.value_tell, element.length, PREAMBLE + _GROUP_LENGTH_BYTES + meta)


def _pixels_at(file: BinaryIO, syntax: str) -> Pixels | None:
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    at, element = file.tell(), file.read(12)
    if len(element) < 12 or element[:4] != struct.pack(order + "HH", PIXEL_DATA.group, PIXEL_DATA.element):
        return None
    if syntax == ImplicitVRLittleEndian:
        return Pixels(at + 8, int.from_bytes(element[4:8], "little"))
    if element[4:6] not in (b"OB", b"OW", b"UN"):
        return None
    return Pixels(at + 12, struct.unpack(order + "I", element[8:])[0])


class Sources:
    """Makes sources, and lets those that store and mean the same share one description of it."""

    def __init__(self) -> None:
        self._layouts: dict[tuple[object, ...], Layout] = {}
        self._meanings: dict[Grey, Grey] = {}

    def of(self, header: FileDataset, pixels: Pixels | None, file: Stamp) -> Source:
        """Note how the pixels of a file are stored and what they mean; nothing is decoded.

        Raises:
            ImageRefused: ``colour``, or as :func:`wardround_client.images.meaning.meaning_of` does.
        """
        where = str(file.path)
        with refusing("unreadable", "the attributes of the image contradict each other", where=where):
            photometric, frames = code(header, PHOTOMETRIC), frames_of(header)
            if photometric not in ("MONOCHROME1", "MONOCHROME2"):
                raise ImageRefused(
                    "colour",
                    "a colour image has no single value per voxel",
                    where=where,
                    do="Leave it out: series are of grey images.",
                )
            if pixels is None or not (syntax := syntax_of(header)):
                return Source(file, frames)
            written = elements_of(header)
            # As they are written: pydicom takes as long to decode these as to read the whole header.
            key = (syntax, *(written[which].value if which in written else None for which in _LAYOUT))
            layout = self._layouts.get(key)
            if layout is None:
                layout = Layout({which: header[which] for which in _LAYOUT if which in written}, UID(syntax))
                self._layouts[key] = layout
            if not layout.holds(frames, pixels.length):
                return Source(file, frames)
            header[PIXEL_DATA] = DataElement(PIXEL_DATA, "OB", b"")  # which was not read, and says: integers
            meaning = meaning_of(header, photometric, where=where)
            if not isinstance(meaning, Grey):
                raise ImageRefused(
                    "colour",
                    "a colour image has no single value per voxel",
                    where=where,
                    do="Leave it out: series are of grey images.",
                )
            tables = [header[which].value for which in (_OFFSETS, _LENGTHS) if which in elements_of(header)]
            return Source(
                file,
                frames,
                layout,
                self._meanings.setdefault(meaning, meaning),
                pixels.at,
                pixels.deflated_from,
                (tables[0], tables[1]) if len(tables) == 2 else None,
            )


def _even(data: bytes) -> bytes:
    return data + b"\0" * (len(data) % 2)
