"""Numbers that a model tells as sums that get noise: six blocks, in each of which a patient adds one in all.

By the quarters of the range in which the true and the told value lie; by where in its quarter the true value lies, and
by the square of that; and by the error, by its size and by its square, each by the quarter of the true value.
"""

from __future__ import annotations

import numpy as np

from wardround_common.metrics.measurements import LARGEST, QUARTERS, UNIT, MeasurementSums
from wardround_common.metrics.noised import possible
from wardround_common.metrics.ranking import Floats

BLOCKS = 6
"""In how many blocks a patient is counted."""
CELLS = QUARTERS**2 + (BLOCKS - 1) * (QUARTERS + 1)
EFFECT = "Errors of more than a quarter of the range count as a quarter, and figures move to either side"
"""What noise does to figures."""
_AT = np.arange(QUARTERS)


def told_of_measurements(sums: MeasurementSums) -> Floats:
    """Return the sums (cells,) over some records: how many lie where, and amounts from 0 to 1 of each.

    Of one record they are its own. Of several, a mean error of more than a quarter of the range is what counts as one.
    """
    counts = sums.quarters.sum(axis=1).astype(np.float64)
    within = (QUARTERS * sums.true * UNIT - _AT * counts).clip(0, counts)
    squares = (QUARTERS**2 * sums.squares * UNIT - _AT**2 * counts - 2 * _AT * within).clip(0, within)
    signed = QUARTERS * LARGEST * (2 * sums.differences * UNIT - counts)
    size = np.minimum(QUARTERS * LARGEST * sums.absolute * UNIT, counts)
    squared = np.minimum(QUARTERS**2 * LARGEST**2 * sums.squared_differences * UNIT, counts)
    amounts = (within, squares, (signed.clip(-counts, counts) + counts) / 2, size, squared)
    return np.concatenate([sums.quarters.ravel(), *((*one, counts.sum() - one.sum()) for one in amounts)])


def settled_measurements(noised: Floats, low: float, high: float) -> MeasurementSums:
    """Return possible sums near noised ones (cells,): no amount is more than there can be of that many records.

    How many there are is the mean of what all blocks say. The loss is Huber's, of errors to a quarter of the range.
    """
    records = max(0, round(float(noised.sum()) / BLOCKS))
    quarters = possible(noised[: QUARTERS**2], records).reshape(QUARTERS, QUARTERS)
    counts = quarters.sum(axis=1).astype(np.float64)
    within, squares, signed, size, squared = noised[QUARTERS**2 :].reshape(BLOCKS - 1, QUARTERS + 1)[:, :-1]
    within, size = within.clip(0, counts), size.clip(0, counts)
    squares, squared = (_between(one, of, counts) for one, of in ((squares, within), (squared, size)))
    signed = (2 * signed - counts).clip(-size, size)
    amounts = (
        (_AT * counts + within) / QUARTERS,
        (_AT**2 * counts + 2 * _AT * within + squares) / QUARTERS**2,
        (signed / QUARTERS / LARGEST + counts) / 2,
        size / QUARTERS / LARGEST,
        squared / QUARTERS**2 / LARGEST**2,
    )
    true, of_squares, differences, absolute, of_errors = (np.rint(one / UNIT).astype(np.int64) for one in amounts)
    loss = round(float(squared.sum()) / 2 / UNIT)
    return MeasurementSums(quarters, true, of_squares, differences, absolute, of_errors, loss, low, high)


def _between(squares: Floats, amounts: Floats, counts: Floats) -> Floats:
    """Return sums of squares as they can be of numbers from 0 to 1 that add up to ``amounts``."""
    return squares.clip(amounts**2 / np.maximum(counts, 1), amounts)
