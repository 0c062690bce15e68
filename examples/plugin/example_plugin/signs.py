"""Signs: each parameter moves by the same step, in the direction of the mean update.

Bernstein et al., *signSGD: compressed optimisation for non-convex problems*, ICML 2018, without the compression.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.messages.parameters import Vector
from wardround_common.section import Positive
from wardround_common.strategies.contract import Key, Moments, Strategy, Values

SIGN_STEP = Key("sign_step", Positive, 0.001, "how far each parameter moves in a round.")


def step(
    values: Values, moments: Moments | None, parameters: Vector, mean_update: NDArray[np.float64]
) -> tuple[None, Vector]:
    """Return the next parameters (parameters,); nothing is remembered."""
    return None, (parameters + values["sign_step"] * np.sign(mean_update)).astype(np.float32)


STRATEGY = Strategy(
    name="signs",
    words="moves each parameter by the same step, in the direction of the mean update (signs)",
    words_of_a_step="moves each parameter by the same step",
    keys=(SIGN_STEP,),
    step=step,
)
