"""What a hospital keeps of a model for itself, in one file of its state folder.

A round is done from what the hospital had before it, also when it is asked again, so that its answer is the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from wardround_common.canonical import cut, joined
from wardround_common.errors import MessageError, StorageError
from wardround_common.messages.parameters import Vector, vector_digest
from wardround_common.storage import read_private, write_atomically

NAME = "own"


@dataclass(frozen=True, eq=False)
class Kept:
    """The hospital's own part after its last round, and what that round began with."""

    path: Path
    study: str
    """The study's digest."""
    first: Vector = field(repr=False)
    """What the study's seed gives."""
    durable: bool = True
    """Whether it outlives a power cut; a simulation does without."""

    def now(self) -> Vector:
        """Return what the hospital has, (own,) float32.

        Raises:
            StorageError: what it kept is damaged.
        """
        return self._read()[2]

    def trained(self) -> int:
        """Return the number of the round after which it is as it is; 0 before the first."""
        return self._read()[0]

    def before(self, number: int, counted: int | None = None) -> Vector:
        """Return what a round begins with.

        ``counted``: the last round whose work counts, where the coordinator says so; what came of a later one, which
        was lost on the way, does not.

        Raises:
            MessageError: a later round was done, which began with what came of earlier ones.
            StorageError: what was kept is damaged, or what came of the last round that counts is not here.
        """
        last, before, after = self._read()
        if number < last:
            raise MessageError(f"round {number} comes before the last one that this hospital trained its own part in")
        if counted is not None and counted > last:
            raise StorageError(
                f"what this hospital kept after round {counted} is not here, and the others go on from it",
                where=str(self.path),
                do="Restore it from your backup. Without it the hospital takes no part in this run's further rounds.",
            )
        return before if number == last or (counted is not None and counted < last) else after

    def keep(self, number: int, before: Vector, after: Vector) -> None:
        """Keep what a round began with and what came of it."""
        parts = (self.study.encode(), number.to_bytes(4, "big"), before.tobytes(), after.tobytes())
        content = joined(*parts, vector_digest(np.concatenate([before, after])).encode())
        write_atomically(self.path, content, private=True, durable=self.durable)

    def _read(self) -> tuple[int, Vector, Vector]:
        try:
            study, number, before, after, digest = cut(read_private(self.path, "this hospital's own part of a model"))
        except FileNotFoundError:
            return 0, self.first, self.first
        except (OSError, MessageError, ValueError):
            raise self._damaged() from None
        if study.decode(errors="replace") != self.study or {len(before), len(after)} != {self.first.nbytes}:
            raise self._damaged()
        vectors = np.frombuffer(before, np.float32).copy(), np.frombuffer(after, np.float32).copy()
        if vector_digest(np.concatenate(vectors)).encode() != digest:
            raise self._damaged()
        return int.from_bytes(number, "big"), *vectors

    def _damaged(self) -> StorageError:
        return StorageError(
            "what this hospital keeps of a model for itself is damaged",
            where=str(self.path),
            do="Restore it from your backup. Without it the hospital takes part again from the study's first numbers: "
            "remove the file.",
        )
