"""Counts of patients to which hospitals added integer noise, so that no patient can be told from their sum.

A patient is one, however many images it has, in each of some blocks of cells: with its mean over these images. The
sum of what one patient adds has an L2 norm of at most the square root of the number of blocks, in :data:`ONE`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError
from wardround_common.metrics.ranking import Floats

ONE = 1 << 16
"""What a patient counts as: the integers have room for fractions and for noise of a law that is that of a Gaussian."""
_OFFSET = 1 << 44
"""What each hospital adds to each number, so that none is negative: more than all patients and noise."""


@dataclass(frozen=True, slots=True, eq=False)
class NoisedCounts:
    """The sum over some hospitals: ``total`` int64 (cells,) in :data:`ONE`, noise and all, over ``blocks`` of cells."""

    hospitals: int
    blocks: int
    total: NDArray[np.int64] = field(repr=False)

    @classmethod
    def empty(cls, cells: int, blocks: int) -> NoisedCounts:
        """Return the sum over no hospital."""
        return cls(0, blocks, np.zeros(cells, np.int64))

    @property
    def records(self) -> int:
        """About how many patients there are; never less than none."""
        return max(0, round(int(self.total.sum()) / (ONE * self.blocks)))

    @property
    def counts(self) -> Floats:
        """How many patients are in each cell (cells,), with noise: some are below 0."""
        return self.total / ONE

    def __add__(self, other: NoisedCounts) -> NoisedCounts:
        """Add the sums of other hospitals."""
        return NoisedCounts(self.hospitals + other.hospitals, self.blocks, self.total + other.total)

    def to_vector(self) -> NDArray[np.int64]:
        """Return what is added up over hospitals, (1 + cells,), none of it negative: how many hospitals, and the rest.

        Raises:
            MessageError: a number is beyond all patients and noise.
        """
        if np.any(np.abs(self.total) >= _OFFSET // 2):
            raise MessageError("a noised count is beyond all patients and noise")
        return np.concatenate([[self.hospitals], self.total + _OFFSET * self.hospitals]).astype(np.int64)

    @classmethod
    def read(cls, vector: NDArray[np.int64] | NDArray[np.float64], cells: int, blocks: int) -> NoisedCounts:
        """Read a sum from its vector, which may come from anybody.

        Raises:
            MessageError: it is none.
        """
        if vector.shape != (1 + cells,) or not np.all((vector >= 0) & (vector % 1 == 0)):
            raise MessageError("these are no noised counts")
        whole = vector.astype(np.int64)
        hospitals = int(whole[0])
        total = whole[1:] - _OFFSET * hospitals
        if np.any(np.abs(total) >= _OFFSET // 2 * max(1, hospitals)):
            raise MessageError("noised counts are beyond all patients and noise")
        return cls(hospitals, blocks, total)


def counts_of(cells: NDArray[np.number], counted: int) -> NDArray[np.int64]:
    """Return a patient's counts (cells,) as those of one patient, in :data:`ONE`, cut off below.

    Each block of ``cells`` adds up to ``counted`` at most, the patient's images or the patient, and none is below 0: so
    the L2 norm of the result's part is at most ONE.
    """
    whole: NDArray[np.int64] = (cells * ONE // max(1, counted)).astype(np.int64)
    return whole


def possible(noised: Floats, records: int | None = None) -> NDArray[np.int64]:
    """Return the counts of ``records`` patients (cells,) that are nearest to noised ones: whole, and none below 0.

    The projection on the simplex (Duchi et al., *Efficient projections onto the l1-ball*, ICML 2008, figure 1), rounded
    so that they add up: what noise took from empty cells is taken from all, and no patients appear.
    """
    if records is None:
        records = round(noised.sum())
    if records <= 0:
        return np.zeros(len(noised), np.int64)
    falling = np.sort(noised)[::-1]
    above = (np.cumsum(falling) - records) / np.arange(1, len(noised) + 1)
    exact = (noised - above[np.flatnonzero(falling > above)[-1]]).clip(0)
    whole: NDArray[np.int64] = np.floor(exact).astype(np.int64)
    rest = int(records - whole.sum())
    whole[np.argsort(whole - exact, kind="stable")[:rest]] += 1
    return whole
