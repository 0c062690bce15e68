"""SCAFFOLD: each hospital's steps are corrected by how its gradients differ from those of all hospitals.

Karimireddy et al., *SCAFFOLD: stochastic controlled averaging for federated learning*, ICML 2020 (arXiv 1910.06378),
algorithm 1 with option II of line 12. Each hospital makes as many steps as every other, and counts alike, as there.
So the mean change of the control variates follows from the mean update, and no second vector leaves.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.messages.parameters import Vector
from wardround_common.strategies.contract import Moments, Strategy, Values, Variates
from wardround_common.strategies.keys import SERVER_LEARNING_RATE


def begin(values: Values, size: int) -> Moments:
    """Begin with control variates of zero."""
    return Moments(np.zeros(size), np.empty(0))


def step(
    values: Values, moments: Moments | None, parameters: Vector, mean_update: NDArray[np.float64]
) -> tuple[Moments, Vector]:
    """Return the next parameters (parameters,); the control variate moves by ``shared``."""
    before = moments or begin(values, len(parameters))
    return before, (parameters + values["server_learning_rate"] * mean_update).astype(np.float32)


def own(before: Vector, control: Vector, update: NDArray[np.float64], reach: float) -> Vector:
    """Return a hospital's next control variate (parameters,): ``c_i - c + (x - y_i) / (K · rate)``."""
    return (before.astype(np.float64) - control - update / reach).astype(np.float32)


def shared(
    control: NDArray[np.float64], mean: NDArray[np.float64], reach: float, counted: int, before: int, known: int
) -> NDArray[np.float64]:
    """Return the mean over all hospitals' next control variates (parameters,).

    Those that were counted change theirs by ``-c - (y_i - x) / (K · rate)`` each, which is linear in their updates.
    """
    change = counted * (-control - mean / reach)
    # What hospitals are sent is float32: they and the coordinator go on from the same numbers.
    return ((before * control + change) / known).astype(np.float32).astype(np.float64)


STRATEGY = Strategy(
    name="scaffold",
    words="averages the hospitals' updates, each hospital alike, and corrects their steps (SCAFFOLD)",
    not_of_a_step="so that nothing strays from its start; write 'fedavg'",
    keys=(SERVER_LEARNING_RATE,),
    begin=begin,
    step=step,
    variates=Variates(
        own=own,
        shared=shared,
        work=(
            "Each hospital keeps a control variate, the mean of its own gradients in the last round in which it was "
            "counted, and the coordinator their mean over the hospitals; it sends this with the model, and each step "
            "is corrected by the difference of the two (SCAFFOLD). A hospital that is not counted in a round keeps "
            "the control variate that it had."
        ),
        stays=(
            "The hospital's own control variate: it is in no message, and lies in its state folder. Its change follows "
            "from the update as it was sent, so that the coordinator knows the mean change from the mean update, and "
            "nothing leaves besides that."
        ),
        private=(
            "A control variate is made of the hospital's updates as they were sent, which have their noise, and of "
            "nothing else: it costs no epsilon. It carries the noise of one round into the next."
        ),
    ),
)
