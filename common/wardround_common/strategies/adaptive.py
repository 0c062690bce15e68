"""FedAdam, FedYogi and FedAdagrad, which differ in their second moment alone.

Reddi et al., *Adaptive federated optimization*, ICLR 2021, algorithm 2.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from wardround_common.messages.parameters import Vector
from wardround_common.strategies.contract import Key, Moments, Strategy, Values

Second = Callable[[Values, NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""From the keys, the second moment before and the squared mean update to the next second moment."""


def begin(values: Values, size: int) -> Moments:
    """Start the second moment at tau squared, the least that Reddi et al., ICLR 2021, allow."""
    return Moments(np.zeros(size), np.full(size, values["tau"] ** 2))


def adaptive(name: str, optimiser: str, second_moment: Second, keys: tuple[Key, ...]) -> Strategy:
    """Return the strategy that takes the mean update as a gradient and makes a step of an adaptive optimiser."""

    def step(
        values: Values, moments: Moments | None, parameters: Vector, mean_update: NDArray[np.float64]
    ) -> tuple[Moments, Vector]:
        before = moments or begin(values, len(parameters))
        square = np.square(mean_update)
        first = before.first * values["beta_1"] + (1 - values["beta_1"]) * mean_update
        second = second_moment(values, before.second, square)
        move = values["server_learning_rate"] * first / (np.sqrt(second) + values["tau"])
        return Moments(first, second), (parameters + move).astype(np.float32)

    return Strategy(
        name=name,
        words=f"feeds the average update to {optimiser} (Fed{optimiser})",
        words_of_a_step=f"feeds the steps to {optimiser} (Fed{optimiser})",
        keys=keys,
        begin=begin,
        step=step,
    )
