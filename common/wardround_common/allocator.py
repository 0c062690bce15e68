"""How much free memory the GNU C library keeps in this process, and what it cuts from that."""

from __future__ import annotations

import ctypes
from contextlib import suppress

_M_MMAP_THRESHOLD = -3  # <malloc.h>
_M_TRIM_THRESHOLD = -1


def keep_free(kept_bytes: int, *, large_bytes: int) -> None:
    """Keep up to so many bytes that are free at the end of what buffers are cut from, for the rest of this process.

    A buffer of ``large_bytes`` and more is taken from the system and given back each time. By itself the library learns
    both from the buffers that were freed before. Another C library than GNU's stays as it is.
    """
    with suppress(AttributeError, TypeError):  # musl has no such function, Windows no such library
        library = ctypes.CDLL(None)
        library.mallopt(_M_MMAP_THRESHOLD, large_bytes)
        library.mallopt(_M_TRIM_THRESHOLD, kept_bytes)
