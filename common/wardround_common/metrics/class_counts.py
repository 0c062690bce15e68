"""How many training images of each class all hospitals have together, and the weights that follow for the loss."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError


@dataclass(frozen=True)
class ClassCounts:
    """Training images of each class, in the study's order."""

    counts: tuple[int, ...]

    @property
    def records(self) -> int:
        """How many images were counted."""
        return sum(self.counts)

    def __add__(self, other: ClassCounts) -> ClassCounts:
        """Add the counts of other hospitals."""
        return ClassCounts(tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)))

    def to_vector(self) -> NDArray[np.int64]:
        """Return the counts (classes,)."""
        return np.array(self.counts, np.int64)

    def weights(self) -> tuple[float, ...]:
        """Return the weight of each class: inverse to its count, and 1 on average over images; 1 of one without any."""
        there = sum(count > 0 for count in self.counts)
        return tuple(self.records / (there * count) if count else 1.0 for count in self.counts)

    @classmethod
    def read(cls, vector: NDArray[np.int64] | NDArray[np.float64], classes: int) -> ClassCounts:
        """Read counts from their vector, which may come from anybody.

        Raises:
            MessageError: these are none.
        """
        if vector.shape != (classes,) or not np.all((vector >= 0) & (vector % 1 == 0)):
            raise MessageError("these are no counts of classes")
        return cls(tuple(map(int, vector)))
