"""How bright prepared images are over all hospitals: sums in which each patient counts alike and is bounded.

A patient's part is, for each channel, the mean and the mean square of the pixels of their training images: two numbers
from 0 to 1, however many images there are.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError

UNIT = 2.0**-20
LEAST_DEVIATION = 1e-3
"""Below which images are all of one brightness; nothing is divided by less."""


@dataclass(frozen=True)
class Intensities:
    """Patients, and the sums of their means and mean squares by channel, in whole units of 2^-20."""

    patients: int
    means: tuple[int, ...]
    squares: tuple[int, ...]

    @classmethod
    def of(cls, means: NDArray[np.float64], squares: NDArray[np.float64]) -> Intensities:
        """Sum up patients' means and mean squares, (patients, channels) each; what is not from 0 to 1 is cut off."""

        def units(values: NDArray[np.float64]) -> tuple[int, ...]:
            bounded = np.nan_to_num(values, nan=0.0).clip(0, 1)
            return tuple(int(total) for total in np.rint(bounded / UNIT).astype(np.int64).sum(axis=0))

        return cls(len(means), units(means), units(squares))

    def __add__(self, other: Intensities) -> Intensities:
        """Add the sums of other patients."""
        return Intensities(
            self.patients + other.patients,
            tuple(a + b for a, b in zip(self.means, other.means, strict=True)),
            tuple(a + b for a, b in zip(self.squares, other.squares, strict=True)),
        )

    def to_vector(self) -> NDArray[np.int64]:
        """Return what is added up over hospitals, (1 + 2 channels,)."""
        return np.array([self.patients, *self.means, *self.squares], np.int64)

    def mean(self) -> NDArray[np.float32]:
        """Return the mean brightness by channel, (channels,)."""
        return (np.array(self.means) * UNIT / self.patients).astype(np.float32)

    def deviation(self) -> NDArray[np.float32]:
        """Return the standard deviation of a pixel by channel, (channels,)."""
        mean = np.array(self.means) * UNIT / self.patients
        variance = np.array(self.squares) * UNIT / self.patients - np.square(mean)
        found: NDArray[np.float32] = np.sqrt(variance.clip(LEAST_DEVIATION**2)).astype(np.float32)
        return found

    @classmethod
    def read(cls, vector: NDArray[np.int64] | NDArray[np.float64], channels: int) -> Intensities:
        """Read sums from their vector, which may come from anybody.

        Raises:
            MessageError: these are none.
        """
        if vector.shape != (1 + 2 * channels,) or not np.all((vector >= 0) & (vector % 1 == 0)):
            raise MessageError("these are no sums of intensities")
        patients, *sums = map(int, vector)
        if any(total * UNIT > patients for total in sums):
            raise MessageError("the sums of intensities are of brighter images than there are")
        return cls(patients, tuple(sums[:channels]), tuple(sums[channels:]))
