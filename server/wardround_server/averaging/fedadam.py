"""FedAdam: the mean update is taken as a gradient, and the model takes a step of Adam.

Reddi et al., *Adaptive federated optimization*, ICLR 2021, algorithm 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.messages.parameters import Vector
from wardround_server.averaging.moments import Moments


def apply(
    moments: Moments,
    parameters: Vector,
    mean_update: NDArray[np.float64],
    *,
    rate: float,
    beta_1: float,
    beta_2: float,
    tau: float,
) -> tuple[Moments, Vector]:
    """Return the next moments and parameters (parameters,)."""
    square = np.square(mean_update)
    first = moments.first * beta_1 + (1 - beta_1) * mean_update
    second = moments.second * beta_2 + (1 - beta_2) * square
    step = rate * first / (np.sqrt(second) + tau)
    return Moments(first, second), (parameters + step).astype(np.float32)
