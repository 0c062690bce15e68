"""Figures that may be undefined: NaN in arrays, None where one figure stands alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from wardround_common.metrics.ranking import Floats, divide


def mean_over(values: Floats, axis: int) -> Floats:
    """Return the means along an axis of the values that are defined; NaN where none is."""
    defined = ~np.isnan(values)
    return divide(np.where(defined, values, 0.0).sum(axis=axis), defined.sum(axis=axis))


def number_or_none(value: float) -> float | None:
    """Return a number as Python's own; None if it is undefined."""
    return None if np.isnan(value) else float(value)


def of_one_row(figures: Mapping[str, Floats]) -> dict[str, float | None]:
    """Return the figures (rows,) of a single row of sums."""
    return {name: number_or_none(value[0]) for name, value in figures.items()}
