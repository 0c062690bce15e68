"""A quick upper bound on epsilon for very many histories at once, by Rényi divergences, which simply add up.

It lies above what composing the privacy losses gives (measured in docs/ledger.md), never below it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Numbers = NDArray[np.float64]

_LARGEST = 256
_WHOLE = np.arange(1, _LARGEST + 1)
_ORDERS = np.unique(np.concatenate([np.arange(1.125, 16.0, 0.125), np.arange(16.0, _LARGEST + 1)]))
_CHUNK = 10_000


def upper_bounds(groups: list[tuple[float, float]], steps: NDArray[np.int64], delta: float) -> Numbers:
    """Bound the epsilon of each history at ``delta``: (histories,).

    ``groups`` are (noise multiplier, sampling rate), the former above 0; ``steps`` (histories, groups) says how many
    steps of each. Divergence to epsilon after Canonne, Kamath and Steinke (NeurIPS 2020, proposition 12).
    """
    if not groups:
        return np.zeros(len(steps))
    moments = np.stack([_moments(noise, rate) for noise, rate in groups])  # (groups, orders)
    conversion = np.log1p(-1.0 / _ORDERS) - (math.log(delta) + np.log(_ORDERS)) / (_ORDERS - 1.0)
    bounds = [
        ((part.astype(np.float64) @ moments) / (_ORDERS - 1.0) + conversion).min(axis=1)
        for part in np.array_split(steps, math.ceil(len(steps) / _CHUNK))
    ]
    least = np.concatenate(bounds).clip(min=0.0) if bounds else np.zeros(0)
    return np.where(steps.any(axis=1), least, 0.0)


@lru_cache(maxsize=1024)
def _moments(noise: float, rate: float) -> Numbers:
    """Return log E[exp((α - 1) · loss)] of one step for each order α: (orders,).

    For whole α it is a finite sum (Mironov, Talwar and Zhang 2019, arXiv:1908.10530, section 3.3). It is convex in α,
    so that a straight line between two whole orders lies above it.
    """
    if rate == 0.0:
        return np.zeros(len(_ORDERS))
    whole = np.zeros(_LARGEST)  # at order 1 it is 0
    # With a rate of 1 nobody stays out: a term of the sum where somebody does is exp(-1e30), nothing.
    stays, drawn = math.log1p(-rate) if rate < 1.0 else -1e30, math.log(rate)
    factorials = np.array([math.lgamma(k + 1.0) for k in range(_LARGEST + 1)])
    for order in _WHOLE[1:]:
        k = np.arange(order + 1)
        terms = factorials[order] - factorials[k] - factorials[order - k] + (order - k) * stays + k * drawn
        terms = terms + k * (k - 1.0) / (2.0 * noise**2)
        top = float(terms.max())
        whole[order - 1] = top + math.log(float(np.exp(terms - top).sum()))
    between: Numbers = np.interp(_ORDERS, _WHOLE.astype(np.float64), whole)
    return between
