"""How well ordered grades are told, from counts of true and decided ones that hospitals can add."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError, ModelError
from wardround_common.metrics.defined import number_or_none, of_one_row
from wardround_common.metrics.noised import possible
from wardround_common.metrics.ranking import Floats, divide
from wardround_common.metrics.shapes import Estimate, GroupFigures
from wardround_common.metrics.sum_intervals import OF_SPREAD, drawn, of_fraction, of_resamples, with_intervals

UNIT = 2.0**-20
"""Losses are summed as whole multiples of it, so that sums do not depend on their order."""
LOSS_LIMIT = 2.0**16
COUNT_LIMIT = 2.0**40
Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class GradeSums:
    """Sums over records: ``confusion`` int64 (grades, grades), true by decided; ``loss`` in units of 2^-20."""

    confusion: Counts
    loss: int

    @classmethod
    def empty(cls, grades: int) -> GradeSums:
        """Return the sums over no record."""
        return cls(np.zeros((grades, grades), np.int64), 0)

    @classmethod
    def of(cls, true: Counts, decided: Counts, losses: Floats, grades: int) -> GradeSums:
        """Sum up true grades, decided ones and losses, (records,) each.

        Raises:
            ModelError: a loss is not a finite number (the training diverged).
        """
        if not np.all((losses >= 0) & np.isfinite(losses)):  # NaN fails too
            raise ModelError("a loss is not a number", do="Training diverged? Lower the learning rate.")
        confusion = np.bincount(true * grades + decided, minlength=grades * grades).reshape(grades, grades)
        loss = int(np.rint(np.minimum(losses, LOSS_LIMIT) / UNIT).astype(np.int64).sum())
        return cls(confusion.astype(np.int64), loss)

    def __add__(self, other: GradeSums) -> GradeSums:
        """Add the sums over two groups of records.

        Raises:
            MessageError: they are of other numbers of grades.
        """
        if self.confusion.shape != other.confusion.shape:
            raise MessageError("sums of different numbers of grades cannot be added")
        return GradeSums(self.confusion + other.confusion, self.loss + other.loss)

    def to_vector(self) -> Counts:
        """Return the sums as int64 (grades * grades + 1,): what travels in a message."""
        return np.concatenate([self.confusion.ravel(), np.array([self.loss], np.int64)])

    @classmethod
    def from_vector(cls, vector: Counts | Floats, grades: int) -> GradeSums:
        """Read the sums from a vector of whole numbers, int64 or float64.

        Raises:
            MessageError: wrong length or type, a number that is negative or not whole, or a loss that so few records
                cannot have.
        """
        length = grades * grades + 1
        if vector.shape != (length,):
            raise MessageError(f"sums over {grades} grades are {length} numbers, not {vector.shape}")
        if vector.dtype not in (np.int64, np.float64):
            raise MessageError(f"sums are int64 or float64, not {vector.dtype}")
        limits = np.append(np.full(length - 1, COUNT_LIMIT), 2.0**62)
        if not np.all((vector >= 0) & (vector <= limits)) or (vector.dtype == np.float64 and np.any(vector % 1)):
            raise MessageError("sums are whole numbers of 0 or more")
        whole = vector.astype(np.int64)
        sums = cls(whole[:-1].reshape(grades, grades), int(whole[-1]))
        if sums.loss > sums.records * (LOSS_LIMIT / UNIT + 1):
            raise MessageError(f"{sums.records} records cannot have a loss of {sums.loss * UNIT:.6g}")
        return sums

    @property
    def records(self) -> int:
        """How many records were summed."""
        return int(self.confusion.sum())

    def mean_loss(self) -> float | None:
        """Return the mean loss of a record in nats; None over no record."""
        return self.loss * UNIT / self.records if self.records else None

    def figures(self, point: None = None) -> dict[str, float | None]:
        """Return every metric, for which there is no operating point; None where it is not defined."""
        return of_one_row(figures_of(self.to_vector()[None], len(self.confusion)))

    def by_grade(self) -> tuple[GroupFigures, ...]:
        """Return for each grade how many records have it, how many are decided for it, and how far off these are."""
        apart = _apart(len(self.confusion))
        counts = self.confusion.sum(axis=1)
        off = divide((self.confusion * np.abs(apart)).sum(axis=1), counts)
        bias = divide((self.confusion * apart).sum(axis=1), counts)
        return tuple(
            GroupFigures(
                records=int(counts[grade]),
                rest=int(counts.sum() - counts[grade]),
                decided=int(self.confusion[:, grade].sum()),
                found=int(self.confusion[grade, grade]),
                figures={"mae": number_or_none(off[grade]), "bias": number_or_none(bias[grade])},
            )
            for grade in range(len(counts))
        )


def intervals_of(sums: GradeSums, point: None, metrics: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Return the metrics that have a value and an interval: resampled from the counts by true and decided grade."""
    if not sums.records:
        return {}
    grades, counts = len(sums.confusion), sums.confusion.ravel()
    values = (figures_of(np.pad(some, ((0, 0), (0, 1))), grades) for some in drawn(counts))
    resampled = of_resamples({name: one[name] for name in ("kappa", "mae", "bias")} for one in values)
    near = int(sums.confusion[np.abs(_apart(grades)) <= 1].sum())
    counted = {"accuracy": int(sums.confusion.trace()), "within_one": near}
    fractions = {name: of_fraction(found, sums.records) for name, found in counted.items()}
    return with_intervals(metrics, fractions) | with_intervals(metrics, resampled, OF_SPREAD)


def settled(noised: Floats, grades: int) -> GradeSums:
    """Return the possible sums that are nearest to noised counts (grades * grades,) by true and decided grade.

    How sure the model was is not counted. The loss is that of a model that gives each step which it decides rightly
    3/4, and each other 1/4: the middles of two levels.
    """
    confusion = possible(noised).reshape(grades, grades)
    steps = int(confusion.sum()) * (grades - 1)
    wrong = int((confusion * np.abs(_apart(grades))).sum())
    loss = -((steps - wrong) * np.log(0.75) + wrong * np.log(0.25)) / (grades - 1)
    return GradeSums(confusion, round(float(loss) / UNIT))


def figures_of(vectors: NDArray[np.number], grades: int) -> dict[str, Floats]:
    """Return every metric (rows,) of vectors of sums (rows, grades * grades + 1); NaN where it is not defined.

    Weighted kappa: Cohen, *Weighted kappa*, Psychological Bulletin 70 (1968), with squared distances.
    """
    confusion = vectors[:, :-1].reshape(-1, grades, grades).astype(np.float64)
    apart, every = _apart(grades), confusion.sum(axis=(1, 2))
    by_chance = confusion.sum(axis=2)[:, :, None] * confusion.sum(axis=1)[:, None, :]
    seen = (confusion * apart**2).sum(axis=(1, 2))
    expected = divide((by_chance * apart**2).sum(axis=(1, 2)), every)
    return {
        "kappa": 1 - divide(seen, expected),
        "mae": divide((confusion * np.abs(apart)).sum(axis=(1, 2)), every),
        "bias": divide((confusion * apart).sum(axis=(1, 2)), every),
        "accuracy": divide(np.trace(confusion, axis1=1, axis2=2), every),
        "within_one": divide((confusion * (np.abs(apart) <= 1)).sum(axis=(1, 2)), every),
    }


def _apart(grades: int) -> Counts:
    """Return by how many grades a decided one is above the true one: (true, decided)."""
    apart: Counts = np.arange(grades)[None, :] - np.arange(grades)[:, None]
    return apart
