"""The sum of updates weighted by examples, one update at a time, exact whatever their order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError
from wardround_common.messages.parameters import Vector

FRACTION_BITS = 30
LIMIT = 2.0**52  # of one hospital's weighted update, in units of 2^-30: 4 million; 1000 hospitals stay below 2^63


class WeightedSum:
    """Adds updates as they arrive; memory is one vector, however many hospitals there are.

    Each weighted update is rounded to multiples of 2^-30 and added as integers. So the sum does not depend on the order
    in which hospitals answer, as a sum of floating-point numbers would, and a simulation gives the same model with
    any number of workers. The rounding of the mean is at most 2^-31 divided by the mean number of examples.
    """

    def __init__(self, size: int) -> None:
        self._total: NDArray[np.int64] = np.zeros(size, np.int64)
        self.examples = 0

    def add(self, update: Vector, examples: int) -> None:
        """Add one hospital's update (parameters,) float32, weighted by its number of training images.

        Raises:
            MessageError: the update is so large that training must have diverged; nothing was added.
        """
        scaled = np.multiply(update, float(examples) * 2.0**FRACTION_BITS, dtype=np.float64)
        if not (np.abs(scaled, out=np.empty_like(scaled)).max(initial=0.0) <= LIMIT):
            raise MessageError("an update is too large to be added", do="Training diverged? Lower the learning rate.")
        self._total += np.rint(scaled, out=scaled).astype(np.int64)
        self.examples += examples

    def mean(self) -> NDArray[np.float64]:
        """Return the mean update (parameters,), weighted by examples."""
        mean: NDArray[np.float64] = self._total.astype(np.float64) * (2.0**-FRACTION_BITS / self.examples)
        return mean
