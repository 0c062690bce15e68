"""The bytes of one file, read once and never more than the limit, whatever the file turns out to be."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from wardround_common.errors import ImageRefused

LARGEST_FILE_BYTES = 1 << 30
"""Files above one gibibyte are refused before they are read: the limit protects the hospital's memory."""
LARGEST_PIXEL_COUNT = 1 << 28
"""Rows x columns x frames x samples: 512 x 512 x 1,024 is the most; a small file may claim far more."""

PREAMBLE = 132
HEAD = 1024
"""Bytes that tell what a file is and, of DICOM, how its pixels are encoded."""


def read_bytes(path: Path, *, largest: int = LARGEST_FILE_BYTES, peek: Callable[[bytes], None] | None = None) -> bytes:
    """Read a regular file whole; a pipe, a device or a socket is refused without waiting for it.

    ``peek`` is shown the first 1,024 bytes before the rest is read, and may raise.

    Raises:
        ImageRefused: ``permission``, ``vanished``, ``not-a-file``, ``empty``, ``too-large`` or ``disk-error``.
    """
    with opened(path, largest=largest) as file:
        try:
            if peek is not None:
                peek(os.pread(file.fileno(), HEAD, 0))
            return file.read(os.fstat(file.fileno()).st_size)
        except OSError as error:
            raise ImageRefused("disk-error", f"the file cannot be read ({error.strerror})", where=str(path)) from None


@contextmanager
def opened(path: Path, *, largest: int | None = LARGEST_FILE_BYTES) -> Iterator[FileIO]:
    """Open a regular file to read parts of it; ``largest`` of None takes any size.

    Raises:
        ImageRefused: ``permission``, ``vanished``, ``not-a-file``, ``empty``, ``too-large`` or ``disk-error``.
    """
    where = str(path)
    try:
        # Without O_NONBLOCK, opening a pipe that nobody writes to would wait for ever.
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError as error:
        raise ImageRefused(*_cannot_open(error), where=where) from None
    try:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            raise ImageRefused("not-a-file", "this is a folder, pipe or device, not a file", where=where)
        if found.st_size == 0:
            raise ImageRefused("empty", "the file is empty", where=where)
        if largest is not None and found.st_size > largest:
            raise ImageRefused(
                "too-large",
                f"the file has {found.st_size / 2**30:.1f} GiB; at most {largest / 2**30:.1f} GiB are read",
                where=where,
                do="Export its frames or series as several files.",
            )
        with FileIO(handle, "rb", closefd=False) as file:
            yield file
    finally:
        os.close(handle)


def check_pixel_count(count: int, *, where: str) -> None:
    """Refuse an image that claims more pixels than are decoded, before anything is decoded.

    Raises:
        ImageRefused: ``too-many-pixels``.
    """
    if count > LARGEST_PIXEL_COUNT:
        raise ImageRefused(
            "too-many-pixels",
            f"the image claims {count:,} pixel values; at most {LARGEST_PIXEL_COUNT:,} are decoded",
            where=where,
            do="Export its frames as several files.",
        )


def _cannot_open(error: OSError) -> tuple[str, str]:
    if error.errno in (errno.EACCES, errno.EPERM):
        return "permission", "the file may not be read"
    if error.errno == errno.ELOOP:
        return "link-loop", "the link leads back to itself"
    if error.errno == errno.ENOENT:
        return "vanished", "the file is no longer there, or the link leads nowhere"
    if error.errno == errno.ENXIO:
        return "not-a-file", "this is a socket, not a file"
    return "disk-error", f"the file cannot be opened ({error.strerror})"
