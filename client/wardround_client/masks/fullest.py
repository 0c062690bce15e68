"""Where most of a mask is."""

from __future__ import annotations

import numpy as np


def fullest(mask: np.ndarray, others: tuple[int, int] = (1, 2)) -> int:
    """Return where along an axis most is outlined, of (slices, rows, columns); the middle where nothing is.

    ``others`` are the two axes that it is not along: a slice, unless others are named.
    """
    counts = np.count_nonzero(mask, axis=others)
    return int(counts.argmax()) if counts.any() else len(counts) // 2
