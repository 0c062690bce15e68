"""Contents that were written a moment ago and will be read in a moment, in memory as long as there is room."""

from __future__ import annotations

import threading
from collections import Counter

from wardround_common.canonical import Content

MOST_BYTES = 2**28
"""Of memory that is held at most; beyond it, what has been here longest is let go, and read from the disk."""


class AtHand:
    """Contents in pieces, by their names; from any thread.

    A piece may be a view of something larger, such as the body in which it came, and holds all of it: that is what
    counts, once for all pieces of it.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most = most_bytes
        self._lock = threading.Lock()
        self._pieces: dict[str, list[Content]] = {}
        self._holders: Counter[int] = Counter()
        """How many pieces hold a piece of memory, by its ``id``, which nothing else has while it is held."""
        self._bytes = 0

    @property
    def held_bytes(self) -> int:
        """How much memory is held."""
        return self._bytes

    def keep(self, name: str, pieces: list[Content]) -> None:
        """Hold a content, in the place of another of its name; not if it holds more memory than there is room for."""
        with self._lock:
            self._let_go(name)
            memories = {id(memory): memoryview(memory).nbytes for memory in (memoryview(piece).obj for piece in pieces)}
            if sum(memories.values()) > self._most:
                return
            self._pieces[name] = pieces
            for piece in pieces:
                self._count(piece, 1)
            while self._bytes > self._most:
                self._let_go(next(iter(self._pieces)))

    def get(self, name: str) -> list[Content] | None:
        """Return a content if it is here."""
        return self._pieces.get(name)

    def drop(self, name: str) -> list[Content] | None:
        """Let a content go, and return it if it was here."""
        with self._lock:
            return self._let_go(name)

    def _let_go(self, name: str) -> list[Content] | None:
        pieces = self._pieces.pop(name, None)
        for piece in pieces or ():
            self._count(piece, -1)
        return pieces

    def _count(self, piece: Content, more: int) -> None:
        memory = memoryview(piece).obj
        before = self._holders[id(memory)]
        self._holders[id(memory)] += more
        if not before:
            self._bytes += memoryview(memory).nbytes
        elif not before + more:
            self._bytes -= memoryview(memory).nbytes
            del self._holders[id(memory)]
