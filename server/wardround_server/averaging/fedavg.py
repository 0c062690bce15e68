"""FedAvg: the model moves by the mean of the hospitals' updates, weighted by their examples.

McMahan et al., *Communication-efficient learning of deep networks from decentralized data*, AISTATS 2017, algorithm 1.
FedProx (Li et al., MLSys 2020) averages in the same way; what differs is the hospital's loss.
"""

from __future__ import annotations

from numpy import float32, float64
from numpy.typing import NDArray

from wardround_common.messages.parameters import Vector


def apply(parameters: Vector, mean_update: NDArray[float64]) -> Vector:
    """Return the next parameters (parameters,)."""
    return (parameters + mean_update).astype(float32)
