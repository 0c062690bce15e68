"""FedAvg: the model moves by the mean of the hospitals' updates, weighted by their examples.

McMahan et al., *Communication-efficient learning of deep networks from decentralized data*, AISTATS 2017, algorithm 1.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.messages.parameters import Vector
from wardround_common.strategies.contract import Moments, Strategy, Values


def step(
    values: Values, moments: Moments | None, parameters: Vector, mean_update: NDArray[np.float64]
) -> tuple[None, Vector]:
    """Return the next parameters (parameters,); nothing is remembered."""
    return None, (parameters + mean_update).astype(np.float32)


STRATEGY = Strategy(
    name="fedavg",
    words="averages the hospitals' updates, weighted by their training images (FedAvg)",
    words_of_a_step="makes that step as it is",
    step=step,
)
