"""From two values to 0 and 1: what steps have in common that scale."""

from __future__ import annotations

import numpy as np

from wardround_common.study.steps import Apply, Values

EDGES = (0.5, 99.5)
"""Percentiles between which an image's values are taken to lie."""
BODY = 0.1
"""Of the range between them: what is above belongs to the body, or to what the patient lies on."""


def between(low: float, high: float) -> Apply:
    """Return what makes 0 of ``low`` and 1 of ``high``, and of what lies beyond; of an image of one value, 0."""

    def apply(plane: Values) -> Values:
        if not high > low:
            return np.zeros_like(plane)
        scaled: Values = np.clip((plane - low) / (high - low), 0, 1).astype(np.float32)
        return scaled

    return apply


def in_body(values: Values) -> Values:
    """Return those of some values that lie in the body: above a tenth of the range; all if that are none."""
    low, high = np.percentile(values, EDGES)
    inside = values[values > low + BODY * (high - low)]
    return inside if len(inside) else values
