"""Memory for large bodies and vectors that is used again: what the system gives anew it clears first, page by page.

A round of a large model takes and leaves dozens of buffers of the model's size. When each was taken from the system,
clearing them was a fifth of all processor time of a round. What is free here is offered to the system (``MADV_FREE``),
which takes such pages when it needs them; until then they cost nothing to use again.
"""

from __future__ import annotations

import mmap
from collections import deque
from contextlib import suppress
from itertools import count
from typing import Any

import numpy as np
from numpy.typing import NDArray

SMALLEST = 2**20
"""Bytes from which on memory is kept for the next who asks; what is smaller is the allocator's."""
KEPT_BYTES = 2**29
"""Of free buffers that a process keeps at most, by what they were last used for. Those free longest are given back."""
_FREE: dict[int, deque[tuple[mmap.mmap, int, int]]] = {}
"""By size, a power of two, of which the system gives only the pages that are written: buffers, the bytes last used, and
when each became free. A deque's ends are safe between threads, and in ``__del__``, which may run in any."""
_TURNS = count()


class _Lease:
    """A buffer while anybody has a view of it; when the last view goes, so does this, and the buffer is free again."""

    def __init__(self, buffer: mmap.mmap, size: int) -> None:
        self._buffer, self._size = buffer, size
        place = np.frombuffer(buffer, np.uint8).ctypes.data
        self.__array_interface__ = {"version": 3, "typestr": "|u1", "shape": (size,), "data": (place, False)}

    def __del__(self) -> None:
        if self._size > KEPT_BYTES:
            return
        _advise(self._buffer, "MADV_FREE")
        _FREE.setdefault(len(self._buffer), deque()).append((self._buffer, self._size, next(_TURNS)))
        while sum(used for free in list(_FREE.values()) for _, used, _ in list(free)) > KEPT_BYTES:
            with suppress(IndexError):  # another thread took the last one of a size meanwhile
                min((free for free in list(_FREE.values()) if free), key=lambda free: free[0][2]).popleft()


def _buffer(size: int) -> mmap.mmap | None:
    """Return a buffer of ``size`` bytes or more; None if the system has no memory for the power of two above."""
    length = 1 << (size - 1).bit_length()
    with suppress(KeyError, IndexError):
        return _FREE[length].pop()[0]  # the one used last is the one most likely to have its pages yet
    try:
        buffer = mmap.mmap(-1, length, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError):
        return None
    _advise(buffer, "MADV_HUGEPAGE")
    return buffer


def _advise(buffer: mmap.mmap, advice: str) -> None:
    """Tell the system how a buffer is used; a kernel built without large pages refuses that, and nothing is lost."""
    if hasattr(mmap, advice):
        with suppress(OSError):
            buffer.madvise(getattr(mmap, advice))


def room(size: int) -> memoryview:
    """Return memory of ``size`` bytes, with anything in it that this process had in a buffer before.

    Raises:
        MemoryError: the system has no memory for it.
    """
    return vacant(size, np.uint8).data


def vacant(length: int, dtype: Any) -> NDArray[Any]:
    """Return an array (length,), with anything in it, as :func:`room`.

    Raises:
        MemoryError: the system has no memory for it.
    """
    size = length * np.dtype(dtype).itemsize
    buffer = _buffer(size) if size >= SMALLEST else None
    if buffer is None:
        return np.empty(length, dtype)
    return np.asarray(_Lease(buffer, size)).view(dtype)
