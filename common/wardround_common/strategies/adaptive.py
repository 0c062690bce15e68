"""The initial state of FedAdam, FedYogi and FedAdagrad."""

from __future__ import annotations

import numpy as np

from wardround_common.strategies.contract import Moments, Values


def begin(values: Values, size: int) -> Moments:
    """Start the second moment at tau squared, the least that Reddi et al., ICLR 2021, allow."""
    return Moments(np.zeros(size), np.full(size, values["tau"] ** 2))
