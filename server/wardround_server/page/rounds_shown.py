"""The rounds of a run as its pages show them: of its checkpoint only what is new is read, however long its history."""

from __future__ import annotations

import json
from pathlib import Path

from pydantic import TypeAdapter

from wardround_common.errors import StorageError
from wardround_common.results import RoundRecord
from wardround_server.rounds.checkpoint import LARGEST_HEADER, read_history

_HISTORY = TypeAdapter(tuple[RoundRecord, ...])
_BEGINS, _ENDS = b'"history":"[', b']"'
"""Around the rounds in a checkpoint's header: they are JSON within a string, in which no quote stands bare."""


class RoundsShown:
    """The rounds of one run, read again only where its checkpoint is another one.

    A run adds a round at a time, and what it wrote before stays as it is. So the bytes that were read before are
    compared, which is a thousand times as fast as to read them, and only what follows is parsed; after any other change
    all of it is.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = (0, 0)
        self._known = b""
        self._rounds: tuple[RoundRecord, ...] = ()
        self.parsed = 0
        """How many rounds were parsed so far."""

    def read(self) -> tuple[RoundRecord, ...]:
        """Return the rounds; none before the first, or where they cannot be read now."""
        try:
            found = self._path.stat()
            if (found.st_mtime_ns, found.st_size) != self._stamp:
                self._read()
                self._stamp = (found.st_mtime_ns, found.st_size)
            return self._rounds
        except (OSError, ValueError, StorageError):
            return ()

    def _read(self) -> None:
        there = _within(self._path)
        if there is None:
            self._rounds, self._known = read_history(self._path), b""
            return
        if self._known and there.startswith(self._known + b","):
            self._rounds += self._of(there[len(self._known) + 1 :])
        elif there != self._known or not there:
            self._rounds = self._of(there)
        self._known = there

    def _of(self, quoted: bytes) -> tuple[RoundRecord, ...]:
        found = _HISTORY.validate_json(json.loads(b'"[' + quoted + b']"'))
        self.parsed += len(found)
        return found


def _within(path: Path) -> bytes | None:
    """Return what stands between the brackets of the history, as it is quoted; None where it is not found.

    Raises:
        OSError: the checkpoint cannot be read.
    """
    with path.open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        header = file.read(size) if size <= LARGEST_HEADER else b""
    begins = header.find(_BEGINS) + len(_BEGINS)
    ends = header.find(_ENDS, begins)
    return header[begins:ends] if begins >= len(_BEGINS) and ends >= 0 else None
