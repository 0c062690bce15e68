"""Memory of a coordinator that serves for months: free memory is returned to the system."""

from __future__ import annotations

from wardround_common.allocator import keep_free

LARGE = 272 * 1024
"""Bytes from which on a buffer is given back: more than the 256 KiB in which asyncio reads TLS. When those went back to
the system after each read, that took three quarters of the processor time of receiving an upload."""
KEPT = 4 * 2**20
"""Bytes at the end of what a thread takes its smaller buffers from, up to which they are kept when they are free. The
GNU C library keeps 128 KiB, and so fetched each of those 256 KiB anew: a page fault for every 4 KiB that came."""


def give_large_buffers_back() -> None:
    """Let the GNU C library take each large buffer from the system and give it back, for the rest of this process.

    By itself it learns to cut the parts of uploads from what it keeps for connections too; long and short lives then
    lie side by side, and the process grows by some pages a round without holding anything more (``make soak``).
    """
    keep_free(KEPT, large_bytes=LARGE)
