"""How well a number is told, such as an age, from sums that hospitals can add: errors, bias, limits of agreement.

A value counts by where it lies in the range that the study states, from 0 to 1. Sums are kept by quarter of the range:
a model that tells everybody the mean is wrong at both ends, and only there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError, ModelError
from wardround_common.metrics.defined import number_or_none, of_one_row
from wardround_common.metrics.ranking import Floats, divide
from wardround_common.metrics.shapes import Estimate, GroupFigures
from wardround_common.metrics.sum_intervals import OF_SPREAD, of_mean, with_intervals

QUARTERS = 4
BEYOND = 1.0
"""How far beyond either end of the range a told value counts, in ranges; further ones count as this."""
LARGEST = 1.0 + BEYOND
"""The largest difference between a told and a true value, in ranges."""
UNIT = 2.0**-20
"""Sums are whole multiples of it, of numbers from 0 to 1, so that they do not depend on their order."""
LOSS_LIMIT = 2.0**16
COUNT_LIMIT = 2.0**40
AGREEMENT = 1.96
"""Standard deviations between the bias and a limit of agreement: Bland and Altman, Lancet 327 (1986)."""
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class MeasurementSums:
    """Sums over records that tell how good told values are without any one record's; integers, by quarter of the range.

    ``quarters`` int64 (4, 4): records by the quarter of the true value, and of the told one. In units of 2^-20, (4,)
    each by the quarter of the true value: ``true`` and ``squares`` of where it lies in the range; ``differences``:
    (told - true + 2) / 4 in ranges; ``absolute``: its size over 2; ``squared_differences``: its square over 4.
    ``loss``: in the same units. ``low`` and ``high`` are the study's.
    """

    quarters: Counts
    true: Counts
    squares: Counts
    differences: Counts
    absolute: Counts
    squared_differences: Counts
    loss: int
    low: float = field(metadata={"of": "study"})
    high: float = field(metadata={"of": "study"})

    @classmethod
    def empty(cls, low: float, high: float) -> MeasurementSums:
        """Return the sums over no record."""
        quarters = np.zeros((QUARTERS, QUARTERS), np.int64)
        return cls._with([quarters, *np.zeros((5, QUARTERS), np.int64)], 0, low, high)

    @classmethod
    def _with(cls, arrays: Sequence[Counts], loss: int, low: float, high: float) -> MeasurementSums:
        quarters, true, squares, differences, absolute, squared_differences = arrays
        return cls(quarters, true, squares, differences, absolute, squared_differences, loss, low, high)

    @classmethod
    def of(cls, true: Floats, told: Floats, losses: Floats, low: float, high: float) -> MeasurementSums:
        """Sum up true values, told ones and losses, (records,) each; ``true`` lies in the range.

        Raises:
            ModelError: a number is not finite (the training diverged).
        """
        if not (np.all(np.isfinite(told)) and np.all(losses >= 0)):  # NaN fails too
            raise ModelError("a told value or a loss is not a number", do="Training diverged? Lower the learning rate.")
        place = (true - low) / (high - low)
        difference = np.clip((told - low) / (high - low), -BEYOND, 1 + BEYOND) - place
        sums, at = cls.empty(low, high), quarter_of(place)
        np.add.at(sums.quarters, (at, quarter_of(place + difference)), 1)
        for total, values in (
            (sums.true, place),
            (sums.squares, place**2),
            (sums.differences, (difference + LARGEST) / (2 * LARGEST)),
            (sums.absolute, np.abs(difference) / LARGEST),
            (sums.squared_differences, difference**2 / LARGEST**2),
        ):
            np.add.at(total, at, _units(values))
        loss = int(_units(np.minimum(losses, LOSS_LIMIT)).sum())
        return cls._with(sums._arrays(), loss, low, high)

    def _arrays(self) -> tuple[Counts, Counts, Counts, Counts, Counts, Counts]:
        return self.quarters, self.true, self.squares, self.differences, self.absolute, self.squared_differences

    def __add__(self, other: MeasurementSums) -> MeasurementSums:
        """Add the sums over two groups of records.

        Raises:
            MessageError: they are of other ranges.
        """
        if (self.low, self.high) != (other.low, other.high):
            raise MessageError("sums over values in other ranges cannot be added")
        added = [one + more for one, more in zip(self._arrays(), other._arrays(), strict=True)]
        return self._with(added, self.loss + other.loss, self.low, self.high)

    def to_vector(self) -> Counts:
        """Return the sums as int64 (37,): what travels in a message."""
        return np.concatenate([*(array.ravel() for array in self._arrays()), np.array([self.loss], np.int64)])

    @classmethod
    def from_vector(cls, vector: Counts | Floats, low: float, high: float) -> MeasurementSums:
        """Read the sums from a vector of whole numbers, int64 or float64.

        Raises:
            MessageError: wrong length or type, a number that is negative or not whole, or numbers that contradict one
                another.
        """
        if vector.shape != (LENGTH,):
            raise MessageError(f"sums over values are {LENGTH} numbers, not {vector.shape}")
        if vector.dtype not in (np.int64, np.float64):
            raise MessageError(f"sums are int64 or float64, not {vector.dtype}")
        if not np.all((vector >= 0) & (vector <= 2.0**62)) or (vector.dtype == np.float64 and np.any(vector % 1)):
            raise MessageError("sums are whole numbers of 0 or more")
        whole = vector.astype(np.int64)
        quarters, *others = np.split(whole[:-1], [QUARTERS**2, *range(QUARTERS**2 + QUARTERS, LENGTH - 1, QUARTERS)])
        sums = cls._with([quarters.reshape(QUARTERS, QUARTERS), *others], int(whole[-1]), low, high)
        sums._check()
        return sums

    def _check(self) -> None:
        """Check that some records can have these sums.

        Raises:
            MessageError: none can.
        """
        if np.any(self.quarters > COUNT_LIMIT):  # sums of them could overflow
            raise MessageError("the sums are of more records than there can be")
        counts = self.quarters.sum(axis=1)
        if any(np.any(one > counts * (1 / UNIT + 1)) for one in self._arrays()[1:]):
            raise MessageError("the sums contradict one another: they are larger than those of that many values can be")
        low, high = np.arange(QUARTERS) / QUARTERS, np.arange(1, QUARTERS + 1) / QUARTERS
        if np.any(self.true < counts * (low / UNIT - 1)) or np.any(self.true > counts * (high / UNIT + 1)):
            raise MessageError("the sums contradict one another: values do not lie in their quarter of the range")
        if self.loss > self.records * (LOSS_LIMIT / UNIT + 1):
            raise MessageError(f"{self.records} records cannot have a loss of {self.loss * UNIT:.6g}")

    @property
    def records(self) -> int:
        """How many records were summed."""
        return int(self.quarters.sum())

    def mean_loss(self) -> float | None:
        """Return the mean loss of a record; None over no record."""
        return self.loss * UNIT / self.records if self.records else None

    def figures(self, point: None = None) -> dict[str, float | None]:
        """Return every metric, for which there is no operating point; None where it is not defined."""
        return of_one_row(figures_of(self.to_vector()[None], self.low, self.high))

    def by_quarter(self) -> tuple[GroupFigures, ...]:
        """Return for each quarter of the range how many true values lie in it, and how far off those told are."""
        counts, span = self.quarters.sum(axis=1), self.high - self.low
        off = divide(self.absolute * UNIT * LARGEST * span, counts)
        bias = (divide(self.differences * UNIT, counts) * 2 - 1) * LARGEST * span
        return tuple(
            GroupFigures(
                records=int(counts[at]),
                rest=None,
                decided=int(self.quarters[:, at].sum()),
                found=int(self.quarters[at, at]),
                figures={"mae": number_or_none(off[at]), "bias": number_or_none(bias[at])},
            )
            for at in range(QUARTERS)
        )


LENGTH = QUARTERS**2 + 5 * QUARTERS + 1


def figures_of(vectors: NDArray[np.number], low: float, high: float) -> dict[str, Floats]:
    """Return every metric (rows,) of vectors of sums (rows, 37), in the unit of the range; NaN where undefined.

    R² is one less the mean square of the differences over that of telling everybody the mean of these records.
    """
    first = QUARTERS**2
    counts = vectors[:, :first].sum(axis=1).astype(np.float64)
    parts = vectors[:, first:-1].reshape(-1, 5, QUARTERS).sum(axis=2) * UNIT
    true, squares, differences, absolute, squared = (divide(parts[:, at], counts) for at in range(5))
    span, mean = high - low, (differences * 2 - 1) * LARGEST
    squared = squared * LARGEST**2
    spread = np.sqrt(np.maximum(squared - mean**2, 0)) * np.sqrt(divide(counts, counts - 1))  # of a sample
    apart = squares - true**2
    told = np.where(apart > UNIT, apart, np.nan)
    return {
        "mae": absolute * LARGEST * span,
        "rmse": np.sqrt(squared) * span,
        "r2": 1 - squared / told,
        "bias": mean * span,
        "agreement_low": (mean - AGREEMENT * spread) * span,
        "agreement_high": (mean + AGREEMENT * spread) * span,
    }


def intervals_of(sums: MeasurementSums, point: None, metrics: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Return the metrics that have a value and an interval, from the mean and the square of the differences.

    The limits of agreement, the root mean square and R² have none: how sure a deviation is hangs on fourth powers,
    which are not summed. Bland and Altman's interval of the limits takes errors for normal, and those of networks are
    not.
    """
    count, span = sums.records, sums.high - sums.low
    if count < 2:  # one record has no spread
        return {}
    mean = (float(sums.differences.sum()) * UNIT / count * 2 - 1) * LARGEST
    absolute = float(sums.absolute.sum()) * UNIT / count * LARGEST
    square = float(sums.squared_differences.sum()) * UNIT / count * LARGEST**2
    of_sample = count / (count - 1)
    spread, of_sizes = (float(np.sqrt(max(square - one**2, 0) * of_sample)) for one in (mean, absolute))
    deviations = {"mae": of_sizes, "bias": spread}
    found = {
        name: of_mean(value, deviation * span, count)
        for name, deviation in deviations.items()
        if (value := metrics[name].value) is not None
    }
    return with_intervals(metrics, found, OF_SPREAD)


def quarter_of(places: Floats) -> Counts:
    """Return in which quarter of the range values lie, from 0; what lies beyond it is in the first or the last."""
    quarters: Counts = np.clip(np.floor(places * QUARTERS), 0, QUARTERS - 1).astype(np.int64)
    return quarters


def _units(values: Floats) -> Counts:
    return np.rint(values / UNIT).astype(np.int64)
