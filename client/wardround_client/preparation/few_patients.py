"""Whether exact sums over groups of patients, in several ways of grouping them, show few patients when combined.

Whoever has the sums over each group can add and subtract them with any weights. A patient's weight is then that of
their groups together; where few have one that is not zero, the result is a sum over those few. With women, patients
over 60, and women or patients over 60, the first two less the third leave the women over 60.

In words of linear algebra: each patient is a row, with a 1 in the column of each of their groups; asked for is the
least number of rows at which a vector of the column space is not zero. Computed in whole numbers modulo a large prime,
so that nothing is rounded; that the prime divides a determinant which is not zero is left to chance.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.int64]
PRIME = 2**31 - 1
MOST_STEPS = 2_000
"""Of a search, some seconds. What was not found to be safe by then counts as showing few."""


def shows_few(ways: Sequence[Numbers], least: int) -> bool:
    """Tell whether sums by groups, combined with any weights, are ever over fewer than ``least`` patients.

    ``ways``: (patients,) each, the group of every patient in each way of grouping. Where it cannot be found out in
    reasonable time the answer is yes.
    """
    kinds, patients = np.unique(np.stack(ways), axis=1, return_counts=True)  # patients of the same groups are alike
    columns = [kind == group for kind in kinds for group in np.unique(kind)]
    rows = np.array(columns, np.int64).T
    rows = rows[:, _independent(rows.T, range(rows.shape[1]))]
    order = np.argsort(-patients, kind="stable")
    if _bases(rows, patients, least) >= least:
        return False
    return _Search(least).finds(rows[order], patients[order], 0)


def _bases(rows: Numbers, patients: Numbers, wanted: int) -> int:
    """Count disjoint sets of patients of whom each holds every weighting that is not zero: nobody can avoid them all.

    Up to ``wanted``, or fewer than there are.
    """
    found, left = 0, patients.copy()
    # Among equals in a mixed order: else those of one group are taken first, until the others lack it.
    mixed = np.random.default_rng(0).permutation(len(left))
    while found < wanted:
        chosen = _independent(rows, [at for at in np.lexsort((mixed, -left)).tolist() if left[at]])
        if len(chosen) < rows.shape[1]:
            break
        times = min(int(left[chosen].min()), wanted - found)
        left[chosen] -= times
        found += times
    return found


def _independent(rows: Numbers, order: Sequence[int]) -> list[int]:
    """Return the first rows, in this order, of which none follows from those before."""
    chosen, kept = list[int](), list[tuple[int, Numbers]]()
    for at in order:
        if len(chosen) == rows.shape[1]:
            break
        row = rows[at] % PRIME
        for pivot, other in kept:
            if row[pivot]:
                row = (row - row[pivot] * other) % PRIME
        places = np.flatnonzero(row)
        if len(places):
            pivot = int(places[0])
            kept.append((pivot, row * pow(int(row[pivot]), -1, PRIME) % PRIME))
            chosen.append(at)
    return chosen


class _Search:
    """Looks for a weighting of fewer than ``least`` patients: each kind of patients has a weight of zero or not."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._steps = 0

    def finds(self, values: Numbers, patients: Numbers, weighted: int) -> bool:
        """Tell whether some combination of the columns of ``values`` is of few patients.

        ``weighted``: patients who have a weight already, and whose rows are no longer there.
        """
        self._steps += 1
        if self._steps > MOST_STEPS:
            return True
        there = values.any(axis=1)
        values, patients = values[there], patients[there]
        if weighted + int(patients.sum()) < self._least:
            return True
        if values.shape[1] == 1:
            return False
        # The most patients of one kind first, who seldom can have a weight: a combination that is zero there is left.
        column = int(np.flatnonzero(values[0])[0])
        factors = values[0] * pow(int(values[0, column]), -1, PRIME) % PRIME
        without = np.delete((values - values[:, [column]] * factors % PRIME) % PRIME, column, axis=1)
        if self.finds(without[1:], patients[1:], weighted):
            return True
        more = weighted + int(patients[0])
        return more < self._least and self.finds(values[1:], patients[1:], more)
