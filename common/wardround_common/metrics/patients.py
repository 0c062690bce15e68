"""Each patient's sums: what an interval needs, and what only who may read patients has (a simulation, a hospital)."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround_common.metrics.ranking import Floats

BLOCK = 2_000_000  # numbers of resampled sums held at a time: 16 MB


@dataclass(frozen=True, slots=True, eq=False)
class PatientSums:
    """The sums of each patient of a group, (patients, length), kept where they are not zero: histograms mostly are."""

    patients: int
    length: int
    rows: NDArray[np.int64]
    """(entries,) which patient; entries are in the order of their columns."""
    columns: NDArray[np.int64]
    """(entries,) which number of the sums."""
    values: NDArray[np.int64]

    @classmethod
    def of(cls, vectors: Iterable[NDArray[np.int64]], length: int) -> PatientSums:
        """Keep the sums of each patient, as vectors of this length."""
        columns, values, patients = [np.empty(0, np.int64)], [np.empty(0, np.int64)], 0
        rows = [np.empty(0, np.int64)]
        for vector in vectors:
            here = np.flatnonzero(vector)
            columns.append(here)
            values.append(vector[here])
            rows.append(np.full(len(here), patients, np.int64))
            patients += 1
        return cls(patients, length, *_by_column(np.concatenate(rows), np.concatenate(columns), np.concatenate(values)))

    def __add__(self, other: PatientSums) -> PatientSums:
        """Put two groups together that share no patient."""
        rows = np.concatenate([self.rows, other.rows + self.patients])
        columns = np.concatenate([self.columns, other.columns])
        values = np.concatenate([self.values, other.values])
        return PatientSums(self.patients + other.patients, self.length, *_by_column(rows, columns, values))

    def vectors(self) -> Iterator[NDArray[np.int64]]:
        """Yield the sums of each patient (length,), in order."""
        order = np.argsort(self.rows, kind="stable")
        cuts = np.searchsorted(self.rows[order], np.arange(self.patients + 1))
        for first, last in itertools.pairwise(cuts.tolist()):
            vector, here = np.zeros(self.length, np.int64), order[first:last]
            vector[self.columns[here]] = self.values[here]
            yield vector

    def total(self) -> NDArray[np.int64]:
        """Return the sums of all patients together (length,)."""
        total = np.zeros(self.length, np.int64)
        np.add.at(total, self.columns, self.values)
        return total

    def resampled(self, times: int, rng: np.random.Generator) -> Iterator[Floats]:
        """Yield the sums of ``times`` resamples, some at a time: (some, length).

        Patients are drawn with replacement and bring all their images, since the images of one patient are not
        independent (Efron and Tibshirani 1993, An Introduction to the Bootstrap, sections 8 and 13).
        """
        starts = np.flatnonzero(np.diff(self.columns, prepend=-1))
        step = max(BLOCK // max(self.length, len(self.rows), self.patients), 1)
        for begin in range(0, times, step):
            some = min(step, times - begin)
            drawn = rng.integers(0, self.patients, (some, self.patients)) + np.arange(some)[:, None] * self.patients
            often = np.bincount(drawn.ravel(), minlength=some * self.patients).reshape(some, self.patients)
            sums = np.zeros((some, self.length))
            if len(starts):
                entries = often[:, self.rows] * self.values.astype(np.float64)
                sums[:, self.columns[starts]] = np.add.reduceat(entries, starts, axis=1)
            yield sums


def _by_column(
    rows: NDArray[np.int64], columns: NDArray[np.int64], values: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    order = np.argsort(columns, kind="stable")
    return rows[order], columns[order], values[order]
