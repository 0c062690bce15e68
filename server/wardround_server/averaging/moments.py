"""What an adaptive strategy remembers from round to round."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Moments:
    """First and second moment of the mean updates, (parameters,) float64 each; FedAvgM's second one is empty."""

    first: NDArray[np.float64] = field(repr=False)
    second: NDArray[np.float64] = field(repr=False)
