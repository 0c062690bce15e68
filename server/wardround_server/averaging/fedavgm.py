"""FedAvgM: FedAvg with momentum at the coordinator, which evens out rounds that pull in different directions.

Hsu, Qi and Brown, *Measuring the effects of non-identical data distribution for federated visual classification*,
2019 (arXiv 1909.06335), section 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.messages.parameters import Vector
from wardround_server.averaging.moments import Moments


def apply(
    moments: Moments, parameters: Vector, mean_update: NDArray[np.float64], *, rate: float, momentum: float
) -> tuple[Moments, Vector]:
    """Return the next moments and parameters (parameters,)."""
    first = momentum * moments.first + mean_update
    return Moments(first, moments.second), (parameters + rate * first).astype(np.float32)
