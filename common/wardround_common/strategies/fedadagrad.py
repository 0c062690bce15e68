"""FedAdagrad: the mean update is taken as a gradient, and squares add up, so that steps become smaller.

Reddi et al., *Adaptive federated optimization*, ICLR 2021, algorithm 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.messages.parameters import Vector
from wardround_common.strategies.adaptive import begin
from wardround_common.strategies.contract import Moments, Strategy, Values
from wardround_common.strategies.keys import BETA_1, SERVER_LEARNING_RATE, TAU


def step(
    values: Values, moments: Moments | None, parameters: Vector, mean_update: NDArray[np.float64]
) -> tuple[Moments, Vector]:
    """Return the next moments and parameters (parameters,)."""
    before = moments or begin(values, len(parameters))
    square = np.square(mean_update)
    first = before.first * values["beta_1"] + (1 - values["beta_1"]) * mean_update
    second = before.second + square
    move = values["server_learning_rate"] * first / (np.sqrt(second) + values["tau"])
    return Moments(first, second), (parameters + move).astype(np.float32)


STRATEGY = Strategy(
    name="fedadagrad",
    words="feeds the average update to Adagrad (FedAdagrad)",
    words_of_a_step="feeds the steps to Adagrad (FedAdagrad)",
    keys=(SERVER_LEARNING_RATE, BETA_1, TAU),
    begin=begin,
    step=step,
)
