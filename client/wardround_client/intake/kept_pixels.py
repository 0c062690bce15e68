"""The decoded pixels of images, kept from a scan, so that preparing a study's images decodes nothing a second time.

Of an image that lies in its file as it is, only the place in that file is kept. What a codec had to decode is written
into files of the hospital's state, up to a limit. Single grey or colour images are kept whose meaning is a few
numbers; whatever else there is (tables, palettes, volumes) is decoded again.

What is kept is believed only if its bytes have the digest that the record states, so it need not be kept in step with
the images: a file that changed, was cut off or is gone is decoded again.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
import uuid
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from wardround_client.images.dicom import Stored
from wardround_client.images.meaning import Colour, Frame, Grey, Meaning, Rescale, Unusable, Window
from wardround_client.intake.instance import Instance

FOLDER = "pixels"
MOST_BYTES = 8 << 30
"""Of decoded pixels that one hospital's state keeps."""
SHARE_OF_FREE = 10
"""No more than a tenth of what is free on the disk when a scan begins."""
_LONGEST_SCAN_S = 24 * 3600
"""A file that no record names, and that is older, belongs to no scan that still runs."""


@dataclass(frozen=True, slots=True)
class Kept:
    """Where the pixels of an image lie, and what they mean."""

    place: str
    """The name of a file among the kept ones, or empty: the image's own file."""
    offset: int
    dtype: str
    shape: tuple[int, ...]
    shifts: tuple[int, int]
    """By how many bits each value is shifted to the left and then to the right, to drop the bits that hold no pixel."""
    meaning: Meaning | None
    """None for a picture that is not DICOM."""


@dataclass
class Room:
    """How many bytes of pixels may still be kept, for all together that read in one scan."""

    free: int

    def lend(self, among: int) -> int:
        """Take an equal part for one of ``shares``, which returns what is left of it."""
        part = self.free // among
        self.free -= part
        return part

    def give_back(self, unused: int) -> None:
        """Put back what was lent and not used."""
        self.free += unused


@dataclass
class Keeper:
    """Writes decoded pixels into one file of its own, as long as there is room."""

    folder: Path
    room: Room
    used: int = 0
    _name: str = field(default_factory=lambda: f"{uuid.uuid4().hex}.raw")
    _handle: int | None = None

    def keep(self, stored: Stored, meaning: Meaning | None) -> Kept | None:
        """Write the pixels of a single image; None if they are not kept."""
        if not _is_kept(stored, meaning) or stored.nbytes > self.room.free:
            return None
        with suppress(OSError):  # a disk that is full meanwhile costs a second decoding, not the scan
            if self._handle is None:
                self.folder.mkdir(mode=0o700, exist_ok=True)
                self._handle = os.open(self.folder / self._name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            offset, content = self.used, np.ascontiguousarray(stored)
            self.used += stored.nbytes
            self.room.free -= stored.nbytes
            if os.pwrite(self._handle, content.data.cast("B"), offset) == stored.nbytes:
                return Kept(self._name, offset, _dtype(stored), stored.shape, (0, 0), meaning)
        self.room.free = 0
        return None

    def close(self) -> None:
        """Close the file, if one was begun."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None


def keep_in_place(stored: Stored, meaning: Meaning | None, *, offset: int, shifts: tuple[int, int]) -> Kept | None:
    """Note where the pixels lie in the image's own file; None if they are not worth it."""
    if not _is_kept(stored, meaning):
        return None
    return Kept("", offset, _dtype(stored), stored.shape, shifts, meaning)


def read(kept: Kept, image: Instance, *, folder: Path, state: Path) -> Stored | None:
    """Read the stored values again; None if what lies there is not what the scan saw."""
    file = state / FOLDER / kept.place if kept.place else folder / image.file
    dtype = np.dtype(kept.dtype)
    length = int(np.prod(kept.shape)) * dtype.itemsize
    try:
        handle = os.open(file, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            data = os.pread(handle, length, kept.offset)
        finally:
            os.close(handle)
    except OSError:
        return None
    if len(data) != length:
        return None
    stored = np.frombuffer(data, dtype).reshape(kept.shape)
    left, right = kept.shifts
    if left or right:
        stored = (stored << left) >> right
    return stored if hashlib.sha256(stored.data).hexdigest() == image.pixel_digest else None


def room_for(state: Path) -> int:
    """Return how many more bytes of pixels may be kept."""
    used = sum(file.stat().st_size for file in (state / FOLDER).glob("*.raw"))
    return max(0, min(MOST_BYTES - used, shutil.disk_usage(state).free // SHARE_OF_FREE))


def sweep(state: Path, kept: Iterable[Kept]) -> None:
    """Remove files of kept pixels that no record names any more."""
    named = {one.place for one in kept}
    for file in (state / FOLDER).glob("*.raw"):
        with suppress(FileNotFoundError):
            if file.name not in named and time.time() - file.stat().st_mtime > _LONGEST_SCAN_S:
                file.unlink()


def to_json(kept: Kept | None) -> Any:
    """Return what JSON can hold of it."""
    if kept is None:
        return None
    return [kept.place, kept.offset, kept.dtype, kept.shape, kept.shifts, _meaning_to_json(kept.meaning)]


def from_json(values: Any) -> Kept | None:
    """Read what :func:`to_json` returned.

    Raises:
        ValueError, TypeError, IndexError: it is not such a thing.
    """
    if values is None:
        return None
    place, offset, dtype, shape, shifts, meaning = values
    left, right = shifts
    return Kept(place, offset, dtype, tuple(shape), (left, right), _meaning_from_json(meaning))


def _is_kept(stored: Stored, meaning: Meaning | None) -> bool:
    if isinstance(meaning, Grey):
        simple = len(meaning.frames) == 1 and isinstance(meaning.frames[0].modality, Rescale)
        return simple and isinstance(meaning.frames[0].voi, Window | Unusable | None) and stored.ndim == 2
    if isinstance(meaning, Colour) and meaning.palette is not None:
        return False
    return stored.ndim == 2 or (stored.ndim == 3 and stored.shape[-1] == 3)


def _dtype(stored: Stored) -> str:
    return stored.dtype.str


def _meaning_to_json(meaning: Meaning | None) -> Any:
    if meaning is None:
        return None
    if isinstance(meaning, Colour):
        return ["colour", meaning.full]
    modality, voi = meaning.frames[0].modality, meaning.frames[0].voi
    if not isinstance(modality, Rescale):
        raise TypeError("a table is not kept")
    shown: list[Any] | None = None
    if isinstance(voi, Window):
        shown = [voi.centre, voi.width, voi.function]
    elif isinstance(voi, Unusable):
        shown = [voi.why]
    scale = [modality.slope, modality.intercept]
    return ["grey", meaning.inverted, meaning.stored_range, meaning.padding, scale, shown]


def _meaning_from_json(values: Any) -> Meaning | None:
    if values is None:
        return None
    if values[0] == "colour":
        return Colour(values[1], None, 0)
    _, inverted, stored_range, padding, (slope, intercept), shown = values
    voi = None if shown is None else Unusable(*shown) if len(shown) == 1 else Window(*shown)
    frame = Frame(Rescale(slope, intercept), voi)
    return Grey(
        inverted,
        None if stored_range is None else (stored_range[0], stored_range[1]),
        None if padding is None else (padding[0], padding[1]),
        (frame,),
    )
