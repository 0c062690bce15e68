"""The study's strategy, by name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import StudyError
from wardround_common.parameters import Vector
from wardround_common.study import ADAPTIVE, Training
from wardround_server.averaging import fedadagrad, fedadam, fedavg, fedyogi
from wardround_server.averaging.moments import Moments


def first_moments(training: Training, size: int) -> Moments | None:
    """Give what the strategy remembers before the first round, None if it remembers nothing.

    The second moment starts at tau squared, the least that Reddi et al. 2021 allow.
    """
    if training.strategy not in ADAPTIVE or training.tau is None:
        return None
    return Moments(np.zeros(size), np.full(size, training.tau**2))


def next_model(
    training: Training, moments: Moments | None, parameters: Vector, mean_update: NDArray[np.float64]
) -> tuple[Moments | None, Vector]:
    """Give the next moments and parameters (parameters,) float32 by the study's strategy."""
    rate, beta_1, beta_2, tau = training.server_learning_rate, training.beta_1, training.beta_2, training.tau
    match training.strategy:
        case "fedavg" | "fedprox":
            return None, fedavg.apply(parameters, mean_update)
        case "fedadagrad" if moments and rate and beta_1 is not None and tau:
            return fedadagrad.apply(moments, parameters, mean_update, rate=rate, beta_1=beta_1, tau=tau)
        case "fedadam" if moments and rate and beta_1 is not None and beta_2 is not None and tau:
            return fedadam.apply(moments, parameters, mean_update, rate=rate, beta_1=beta_1, beta_2=beta_2, tau=tau)
        case "fedyogi" if moments and rate and beta_1 is not None and beta_2 is not None and tau:
            return fedyogi.apply(moments, parameters, mean_update, rate=rate, beta_1=beta_1, beta_2=beta_2, tau=tau)
    raise StudyError(f"strategy {training.strategy!r} lacks one of its keys")
