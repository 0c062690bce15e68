"""What happened is data, what it cost is a function: the noise a hospital needs and the epsilon that it has spent.

The mechanism is DP-SGD (Abadi et al., CCS 2016) with Poisson sampling of patients; the unit is the patient, and two
data sets are neighbours when one has one patient more. Opacus' PRV accountant (Gopi, Lee and Wutschitz, NeurIPS 2021)
does the arithmetic and gives an upper bound.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import lru_cache

from wardround_common.errors import PrivacyError
from wardround_common.study import DpSgd


@dataclass(frozen=True)
class SampledGaussian:
    """``steps`` sums, each over a Poisson sample of the patients, with Gaussian noise added.

    The noise has a standard deviation of ``noise_multiplier`` times the clipping norm.
    """

    noise_multiplier: float
    sampling_rate: float
    steps: int


@lru_cache(maxsize=4096)
def epsilon_of(event: SampledGaussian, delta: float) -> float:
    """Give an upper bound on the epsilon that ``event`` cost at ``delta``."""
    if event.steps == 0:
        return 0.0
    from opacus.accountants import PRVAccountant

    accountant = PRVAccountant()
    accountant.history = [(event.noise_multiplier, event.sampling_rate, event.steps)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it speaks of its own discretisation, which its bound includes
        return float(accountant.get_epsilon(delta))


@lru_cache(maxsize=4096)
def noise_multiplier_for(privacy: DpSgd, sampling_rate: float, steps: int) -> float:
    """Give the least noise multiplier (to 0.5 %) with which ``steps`` steps keep to the study's epsilon and delta.

    Raises:
        PrivacyError: the epsilon is so small that no sensible noise reaches it.
    """
    from opacus.accountants.utils import get_noise_multiplier

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it asks for other orders where ours only start the search
            # Renyi accounting is quick and never too low: the PRV bound lies a little below it.
            high = get_noise_multiplier(
                target_epsilon=privacy.epsilon,
                target_delta=privacy.delta,
                sample_rate=sampling_rate,
                steps=steps,
                accountant="rdp",
            )
    except ValueError:
        high = math.inf
    if not math.isfinite(high) or high <= 0:
        raise PrivacyError(
            f"no noise keeps {steps} steps within epsilon {privacy.epsilon} at delta {privacy.delta}",
            do="Ask for a larger epsilon, fewer rounds or less local work.",
        )
    low = 0.0
    trial = 0.9 * high
    while high - low > 0.005 * high:
        if epsilon_of(SampledGaussian(trial, sampling_rate, steps), privacy.delta) <= privacy.epsilon:
            high = trial
        else:
            low = trial
        trial = 0.95 * high if low == 0.0 else (low + high) / 2
    return float(high)
