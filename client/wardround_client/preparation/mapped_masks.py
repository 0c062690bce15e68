"""Masks on a hospital's disk, read when they are asked for, with what is counted of them without reading."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Masks = NDArray[np.uint8]


@dataclass(frozen=True, eq=False)
class MappedMasks:
    """The masks of some records: an array on the disk in which a record may stand more than once."""

    kept: Masks | Sequence[Masks] = field(repr=False)
    """All masks of the hospital: (kept, rows, columns), a memory map, or one of each volume."""
    rows: NDArray[np.int64] = field(repr=False)
    """(records,) where ``kept`` holds them."""
    voxels: NDArray[np.int64] = field(repr=False)
    """(records, structures): how many voxels each has of each structure of the study."""

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, places: NDArray[np.int64] | list[int] | slice) -> Masks:
        """Copy the masks at these places: (places, *space) uint8."""
        rows = self.rows[places]
        if isinstance(self.kept, np.ndarray):
            return np.ascontiguousarray(self.kept[rows])
        return np.stack([self.kept[row] for row in rows.tolist()])

    @property
    def nbytes(self) -> int:
        """How many bytes they take in memory, were all of them read."""
        if isinstance(self.kept, np.ndarray):
            return len(self) * int(np.prod(self.kept.shape[1:]))
        return sum(self.kept[row].size for row in self.rows.tolist())

    def at(self, places: NDArray[np.int64]) -> MappedMasks:
        """Return the masks at these places, still on the disk."""
        return MappedMasks(self.kept, self.rows[places], self.voxels[places])
