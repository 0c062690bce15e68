"""Memory of a training step is kept for the next one, which asks for the same again."""

from __future__ import annotations

from wardround_common.allocator import keep_free

LARGE = 32 * 2**20
"""Bytes up to which a tensor is cut from what is kept: the most that the GNU C library allows. A larger one is taken
from the system and given back each time."""
KEPT = 256 * 2**20
"""Bytes at most that are kept when they are free at the end of what tensors are cut from."""


def keep_memory() -> None:
    """Let the GNU C library keep what a step leaves, for the rest of this process.

    By itself it learns from the tensors that were freed before how much it keeps, and where that is less than a step
    takes, each step gets its memory from the system anew, which clears it page by page. It holds for the main thread;
    what other threads leave is given back in parts of 64 MiB.
    """
    keep_free(KEPT, large_bytes=LARGE)
