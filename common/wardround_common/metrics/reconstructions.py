"""How well a model that makes images holds those of patients, from sums that hospitals can add."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError, ModelError
from wardround_common.metrics.defined import of_one_row
from wardround_common.metrics.ranking import Floats, divide

UNIT = 2.0**-20
"""Sums are whole multiples of it, so that they do not depend on their order."""
LARGEST = 2.0**20
"""Of a divergence or a loss in nats; larger ones count as this."""
COUNT_LIMIT = 2.0**40
LENGTH = 4
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class ReconstructionSums:
    """Sums over records, in units of 2^-20.

    ``squared_error``: each record's mean over its pixels, from 0 to 1; ``divergence`` and ``loss``: in nats.
    """

    records: int
    squared_error: int
    divergence: int
    loss: int

    @classmethod
    def empty(cls) -> ReconstructionSums:
        """Return the sums over no record."""
        return cls(0, 0, 0, 0)

    @classmethod
    def of(cls, squared_errors: Floats, divergences: Floats, losses: Floats) -> ReconstructionSums:
        """Sum up the figures of records, (records,) each.

        Raises:
            ModelError: a number is not finite (the training diverged).
        """
        if not all(np.all((one >= 0) & np.isfinite(one)) for one in (squared_errors, divergences, losses)):
            raise ModelError("a loss is not a number", do="Training diverged? Lower the learning rate.")
        return cls(
            len(losses),
            _units(np.minimum(squared_errors, 1.0)),
            _units(np.minimum(divergences, LARGEST)),
            _units(np.minimum(losses, LARGEST)),
        )

    def __add__(self, other: ReconstructionSums) -> ReconstructionSums:
        """Add the sums over other records."""
        return ReconstructionSums(*(self.to_vector() + other.to_vector()).tolist())

    def to_vector(self) -> Counts:
        """Return the sums as int64 (4,): what travels in a message."""
        return np.array([self.records, self.squared_error, self.divergence, self.loss], np.int64)

    @classmethod
    def from_vector(cls, vector: Counts | Floats) -> ReconstructionSums:
        """Read the sums from a vector of whole numbers, int64 or float64.

        Raises:
            MessageError: wrong length or type, a number that is negative or not whole, or sums that so few records
                cannot have.
        """
        if vector.shape != (LENGTH,):
            raise MessageError(f"sums over reconstructions are {LENGTH} numbers, not {vector.shape}")
        if vector.dtype not in (np.int64, np.float64):
            raise MessageError(f"sums are int64 or float64, not {vector.dtype}")
        if not np.all((vector >= 0) & (vector <= 2.0**62)) or (vector.dtype == np.float64 and np.any(vector % 1)):
            raise MessageError("sums are whole numbers of 0 or more")
        sums = cls(*(int(one) for one in vector))
        most = (COUNT_LIMIT, *(sums.records * (each / UNIT + 1) for each in (1.0, LARGEST, LARGEST)))
        if any(one > limit for one, limit in zip(sums.to_vector(), most, strict=True)):
            raise MessageError(f"{sums.records} records cannot have these sums")
        return sums

    def mean_loss(self) -> float | None:
        """Return the mean loss of a record in nats; None over no record."""
        return self.loss * UNIT / self.records if self.records else None

    def figures(self, point: None = None) -> dict[str, float | None]:
        """Return every metric, for which there is no operating point; None where it is not defined."""
        return of_one_row(figures_of(self.to_vector()[None]))


def figures_of(vectors: NDArray[np.number]) -> dict[str, Floats]:
    """Return every metric (rows,) of vectors of sums (rows, 4); NaN over no record."""
    records, squared, divergence = (vectors[:, at].astype(np.float64) for at in range(LENGTH - 1))
    return {
        "reconstruction": np.sqrt(divide(squared * UNIT, records)),
        "divergence": divide(divergence * UNIT, records),
    }


def _units(values: Floats) -> int:
    return int(np.rint(values / UNIT).astype(np.int64).sum())
