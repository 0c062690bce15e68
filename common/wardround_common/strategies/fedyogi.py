"""FedYogi: as FedAdam, but the second moment moves by a step that does not depend on its own size.

Reddi et al., *Adaptive federated optimization*, ICLR 2021, algorithm 2.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.strategies.adaptive import adaptive
from wardround_common.strategies.contract import Values
from wardround_common.strategies.keys import BETA_1, BETA_2, SERVER_LEARNING_RATE, TAU


def second_moment(values: Values, before: NDArray[np.float64], square: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the next second moment (parameters,)."""
    return before - (1 - values["beta_2"]) * square * np.sign(before - square)


STRATEGY = adaptive("fedyogi", "Yogi", second_moment, (SERVER_LEARNING_RATE, BETA_1, BETA_2, TAU))
