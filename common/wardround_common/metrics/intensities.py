"""How bright prepared images are over all hospitals: sums in which each patient counts alike and is bounded.

A patient's part is, for each channel, the mean and the mean square of the pixels of their training images: two numbers
from 0 to 1, however many images there are. With noise (:class:`NoisyIntensities`) it is measured from the middle of
that range, where a patient moves a sum least: (1/2, mean - 1/2, mean square - 1/2), of which the first number counts.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError

UNIT = 2.0**-20
HALF = 2**19
"""One half, in these units."""
LEAST_DEVIATION = 1e-3
"""Below which images are all of one brightness; nothing is divided by less."""
LEAST_NOISY_DEVIATION = 0.05
"""Nothing is divided by less where sums have noise, which can leave nothing of a small deviation."""
_STEP = 2**52
"""Added to each number by each hospital, so that none is negative: above twice what a sum can be."""


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

    def centred(self) -> NDArray[np.int64]:
        """Return what noise is added to, (1 + 2 channels,): each patient moves each number by one half at most."""
        half = HALF * self.patients
        return np.array([half, *(total - half for total in (*self.means, *self.squares))], np.int64)

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
        patients, *sums = map(int, _checked(vector, channels))
        if any(total * UNIT > patients for total in sums):
            raise MessageError("the sums of intensities are of brighter images than there are")
        return cls(patients, tuple(sums[:channels]), tuple(sums[channels:]))


def patient_square(channels: int) -> int:
    """Return the square of the L2 norm, in units, by which one patient moves :meth:`Intensities.centred` at most."""
    return HALF**2 * (1 + 2 * channels)


@dataclass(frozen=True, eq=False)
class NoisyIntensities:
    """Sums of intensities to which each of these hospitals added integer noise."""

    hospitals: int
    total: NDArray[np.int64] = field(repr=False)
    """(1 + 2 channels,) the sum of :meth:`Intensities.centred`, with the noise."""

    @property
    def patients(self) -> int:
        """About how many patients there are, 1 at least; 0 if there is no hospital."""
        return max(1, round(int(self.total[0]) / HALF)) if self.hospitals else 0

    def __add__(self, other: NoisyIntensities) -> NoisyIntensities:
        """Add the sums of other hospitals."""
        return NoisyIntensities(self.hospitals + other.hospitals, self.total + other.total)

    def to_vector(self) -> NDArray[np.int64]:
        """Return what is added up over hospitals, (1 + 2 channels,), none of it negative."""
        return self.total + _STEP * self.hospitals

    def mean(self) -> NDArray[np.float32]:
        """Return the mean brightness by channel, (channels,), a possible one whatever the noise is."""
        means, _ = self._moments()
        return means.clip(0, 1).astype(np.float32)

    def deviation(self) -> NDArray[np.float32]:
        """Return the standard deviation of a pixel by channel, (channels,), a possible one whatever the noise is."""
        means, squares = self._moments()
        variance = squares.clip(0, 1) - np.square(means.clip(0, 1))
        found: NDArray[np.float32] = np.sqrt(variance.clip(LEAST_NOISY_DEVIATION**2)).astype(np.float32)
        return found

    def _moments(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        half = self.total[1:] * UNIT / max(1.0, int(self.total[0]) / HALF) + 0.5
        means, squares = np.split(half, 2)
        return means, squares

    @classmethod
    def read(cls, vector: NDArray[np.int64] | NDArray[np.float64], channels: int) -> NoisyIntensities:
        """Read sums from their vector, which may come from anybody.

        Raises:
            MessageError: these are none.
        """
        whole = _checked(vector, channels).astype(np.int64)
        hospitals = (int(whole[0]) + _STEP // 2) // _STEP
        total = whole - _STEP * hospitals
        if np.any(np.abs(total) >= _STEP // 2):
            raise MessageError("the sums of intensities are beyond all patients and noise")
        return cls(hospitals, total)


def _checked(vector: NDArray[np.int64] | NDArray[np.float64], channels: int) -> NDArray[np.int64] | NDArray[np.float64]:
    """Return what came as a vector of sums, if it is (1 + 2 channels,) whole numbers and none is negative."""
    if vector.shape != (1 + 2 * channels,) or not np.all((vector >= 0) & (vector % 1 == 0)):
        raise MessageError("these are no sums of intensities")
    return vector
