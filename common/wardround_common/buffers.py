"""Memory for large bodies and vectors that is used again: what the system gives anew it clears first, page by page.

A round of a large model takes and leaves dozens of buffers of the model's size. When each was taken from the system,
clearing them was a fifth of all processor time of a round. What is free here is offered to the system (``MADV_FREE``),
which takes such pages when it needs them; until then they cost nothing to use again.
"""

from __future__ import annotations

import mmap
from collections import deque
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALLEST = 2**20
"""Bytes from which on memory is kept for the next who asks; what is smaller is the allocator's."""
KEPT_BYTES = 2**29
"""Of free buffers that a process keeps at most, by what they were last used for. Others are given back at once."""
_FREE: dict[int, deque[tuple[mmap.mmap, int]]] = {}
"""By size, a power of two, of which the system gives only the pages that are written: buffers and the bytes last used.
A deque's ends are safe between threads, and in ``__del__``, which may run in any."""


class _Lease:
    """A buffer while anybody has a view of it; when the last view goes, so does this, and the buffer is free again."""

    def __init__(self, size: int) -> None:
        self._class = 1 << (size - 1).bit_length()
        self._size = size
        try:
            self._buffer, _ = _FREE[self._class].pop()  # the one used last is the one most likely to have its pages yet
        except (KeyError, IndexError):
            self._buffer = mmap.mmap(-1, self._class, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
            if hasattr(mmap, "MADV_HUGEPAGE"):
                self._buffer.madvise(mmap.MADV_HUGEPAGE)
        place = np.frombuffer(self._buffer, np.uint8).ctypes.data
        self.__array_interface__ = {"version": 3, "typestr": "|u1", "shape": (size,), "data": (place, False)}

    def __del__(self) -> None:
        kept = sum(used for free in list(_FREE.values()) for _, used in list(free))
        if kept + self._size <= KEPT_BYTES:
            if hasattr(mmap, "MADV_FREE"):
                self._buffer.madvise(mmap.MADV_FREE)
            _FREE.setdefault(self._class, deque()).append((self._buffer, self._size))


def room(size: int) -> memoryview:
    """Return memory of ``size`` bytes, with anything in it that this process had in a buffer before."""
    return vacant(size, np.uint8).data


def vacant(count: int, dtype: Any) -> NDArray[Any]:
    """Return an array (count,), with anything in it, as :func:`room`."""
    size = count * np.dtype(dtype).itemsize
    if size < SMALLEST:
        return np.empty(count, dtype)
    return np.asarray(_Lease(size)).view(dtype)
