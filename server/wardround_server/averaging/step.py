"""The study's strategy, by name."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import StudyError
from wardround_common.messages.parameters import Vector
from wardround_common.study.file import ADAPTIVE, Training
from wardround_server.averaging import fedadagrad, fedadam, fedavg, fedavgm, fedyogi
from wardround_server.averaging.moments import Moments


def first_moments(training: Training, size: int) -> Moments | None:
    """Return what the strategy remembers before the first round, None if it remembers nothing.

    The second moment starts at tau squared, the least that Reddi et al. 2021 allow.
    """
    if training.strategy == "fedavgm":
        return Moments(np.zeros(size), np.empty(0))
    if training.strategy in ADAPTIVE:
        return Moments(np.zeros(size), np.full(size, _given(training.tau) ** 2))
    return None


def next_model(
    training: Training, moments: Moments | None, parameters: Vector, mean_update: NDArray[np.float64]
) -> tuple[Moments | None, Vector]:
    """Return the next moments and parameters (parameters,) float32 by the study's strategy."""
    if moments is None:  # fedavg, fedprox
        return None, fedavg.apply(parameters, mean_update)
    rate = _given(training.server_learning_rate)
    if training.strategy == "fedavgm":
        return fedavgm.apply(moments, parameters, mean_update, rate=rate, momentum=_given(training.server_momentum))
    beta_1, tau = _given(training.beta_1), _given(training.tau)
    if training.strategy == "fedadagrad":
        return fedadagrad.apply(moments, parameters, mean_update, rate=rate, beta_1=beta_1, tau=tau)
    apply = fedyogi.apply if training.strategy == "fedyogi" else fedadam.apply
    beta_2 = _given(training.beta_2)
    return apply(moments, parameters, mean_update, rate=rate, beta_1=beta_1, beta_2=beta_2, tau=tau)


def _given(value: float | None) -> float:
    if value is None:  # a parsed study has every key that its strategy needs
        raise StudyError("the study's strategy lacks one of its keys")
    return value
