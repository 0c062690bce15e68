"""Memory of a coordinator that serves for months: free memory is returned to the system."""

from __future__ import annotations

import ctypes
from contextlib import suppress

LARGE = 272 * 1024
"""Bytes from which on a buffer is given back: more than the 256 KiB in which asyncio reads TLS. When those went back to
the system after each read, that took three quarters of the processor time of receiving an upload."""
_M_MMAP_THRESHOLD = -3  # <malloc.h>


def give_large_buffers_back() -> None:
    """Let the GNU C library take each large buffer from the system and give it back, for the rest of this process.

    By itself it learns to cut the parts of uploads from what it keeps for connections too; long and short lives then
    lie side by side, and the process grows by some pages a round without holding anything more (``make soak``).
    Another C library than GNU's stays as it is.
    """
    with suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_M_MMAP_THRESHOLD, LARGE)
