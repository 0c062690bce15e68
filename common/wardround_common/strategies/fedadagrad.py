"""FedAdagrad: the mean update is taken as a gradient, and squares add up, so that steps become smaller.

Reddi et al., *Adaptive federated optimization*, ICLR 2021, algorithm 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.strategies.adaptive import adaptive
from wardround_common.strategies.contract import Values
from wardround_common.strategies.keys import BETA_1, SERVER_LEARNING_RATE, TAU


def second_moment(values: Values, before: NDArray[np.float64], square: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the next second moment (parameters,)."""
    return before + square


STRATEGY = adaptive("fedadagrad", "Adagrad", second_moment, (SERVER_LEARNING_RATE, BETA_1, TAU))
