"""FedAvgM: FedAvg with momentum at the coordinator, which evens out rounds that pull in different directions.

Hsu, Qi and Brown, *Measuring the effects of non-identical data distribution for federated visual classification*,
2019 (arXiv 1909.06335), section 4.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.messages.parameters import Vector
from wardround_common.section import Decay
from wardround_common.strategies.contract import Key, Moments, Strategy, Values
from wardround_common.strategies.keys import SERVER_LEARNING_RATE

SERVER_MOMENTUM = Key("server_momentum", Decay, 0.8, "how much of its last step the coordinator adds to the next.")


def begin(values: Values, size: int) -> Moments:
    """Remember no step before the first round."""
    return Moments(np.zeros(size), np.empty(0))


def step(
    values: Values, moments: Moments | None, parameters: Vector, mean_update: NDArray[np.float64]
) -> tuple[Moments, Vector]:
    """Return the next moments and parameters (parameters,)."""
    before = moments or begin(values, len(parameters))
    first = values["server_momentum"] * before.first + mean_update
    return Moments(first, before.second), (parameters + values["server_learning_rate"] * first).astype(np.float32)


STRATEGY = Strategy(
    name="fedavgm",
    words="averages the updates by training images and adds momentum (FedAvgM)",
    words_of_a_step="adds momentum to the steps",
    keys=(SERVER_LEARNING_RATE, SERVER_MOMENTUM),
    begin=begin,
    step=step,
)
