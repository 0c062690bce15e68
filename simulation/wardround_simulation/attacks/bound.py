"""From right guesses to a lower bound on epsilon.

Source: Steinke, Nasr and Jagielski, *Privacy auditing with one (1) training run*, NeurIPS 2023 (arXiv:2305.08846v1):
section 5, theorem 5.2 and corollary 5.4; the search is that of appendix D.

The auditor includes each of m records by a fair coin of its own, sees what the training releases, and says of up to r
records whether they were in; v of these guesses are right. If the training is (epsilon, delta)-DP, with or without any
one record, then v is hardly ever larger than a binomial count of r guesses that are each right with the probability
e^epsilon / (1 + e^epsilon), and delta adds at most 2 m delta alpha to that chance.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

HIGHEST = 64.0  # an epsilon beyond which nobody speaks of privacy; the search ends there
STEPS = 40  # of the bisection: to 64 / 2^40


def chance_of_so_many(canaries: int, guesses: int, right: int, epsilon: float, delta: float) -> float:
    """Bound the chance that at least ``right`` of ``guesses`` are right if the training is (epsilon, delta)-DP.

    With B ~ Binomial(r, e^epsilon / (1 + e^epsilon)): beta = P[B >= v], alpha = max over i of P[v > B >= v - i] / i,
    the bound is beta + 2 m delta alpha (theorem 5.2, the form of corollary 5.4).
    """
    if not 0 <= right <= guesses <= canaries:
        raise ValueError("right guesses are among the guesses, and guesses among the canaries")
    chances = _binomial(guesses, epsilon)  # (guesses + 1,)
    beta = float(chances[right:].sum())
    if right == 0 or delta == 0:
        return min(1.0, beta)
    below = np.cumsum(chances[:right][::-1])  # P[v > B >= v - i] for i = 1, 2, ..., v
    alpha = float((below / np.arange(1, right + 1)).max())
    return min(1.0, beta + 2 * canaries * delta * alpha)


def epsilon_at_least(canaries: int, guesses: int, right: int, delta: float, confidence: float = 0.95) -> float:
    """Return the epsilon that the training exceeds at ``delta``, with the stated confidence; 0 if nothing was shown.

    If the training is (epsilon, delta)-DP, this is larger than epsilon in at most 1 - ``confidence`` of the audits. How
    many guesses are made must not depend on whether they are right.
    """
    if guesses == 0:
        return 0.0
    low, high = 0.0, HIGHEST
    if chance_of_so_many(canaries, guesses, right, low, delta) >= 1 - confidence:
        return 0.0
    for _ in range(STEPS):
        middle = (low + high) / 2
        if chance_of_so_many(canaries, guesses, right, middle, delta) < 1 - confidence:
            low = middle
        else:
            high = middle
    return low


def _binomial(count: int, epsilon: float) -> NDArray[np.float64]:
    """Return the chances of 0, 1, ..., ``count`` right guesses, each right with e^epsilon / (1 + e^epsilon)."""
    k = np.arange(count + 1)
    steps = np.log(np.arange(1, count + 1, dtype=np.float64))
    factorials = np.concatenate([[0.0], np.cumsum(steps)])
    wrong = -epsilon - math.log1p(math.exp(-epsilon))  # log of the chance of one wrong guess
    right = -math.log1p(math.exp(-epsilon))
    chances: NDArray[np.float64] = np.exp(
        factorials[-1] - factorials - factorials[::-1] + k * right + (count - k) * wrong
    )
    return chances
