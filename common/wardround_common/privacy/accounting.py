"""What happened is data, what it cost is a function: events, and the epsilon of any number of them together.

The unit is the patient, and two data sets are neighbours when one has one patient more. A patient's account over
several studies is a composition of unlike events; they are composed by their privacy losses (``privacy_loss``), which
is tighter than adding up epsilons or Rényi divergences. Tests hold it against Opacus' accountants and Google's
dp-accounting.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from wardround_common.errors import PrivacyError
from wardround_common.privacy.privacy_loss import LARGEST_NOISE, SMALLEST_DELTA, composed_epsilon
from wardround_common.study.privacy import DpSgd

SMALLEST_NOISE = 0.01
"""Below it, a hundredth of the clipping norm, one sum tells nearly everything: epsilon counts as without bound."""


@dataclass(frozen=True)
class SampledGaussian:
    """``steps`` sums, each over a Poisson sample of the patients, with Gaussian noise added.

    The noise has a standard deviation of ``noise_multiplier`` times the clipping norm: the one hospital's under local
    trust; under distributed trust that of all the noise which is left in the sum.
    """

    noise_multiplier: float
    sampling_rate: float
    steps: int

    def __post_init__(self) -> None:
        if not 0.0 <= self.noise_multiplier < math.inf:
            raise PrivacyError(f"invalid noise multiplier {self.noise_multiplier}: it must be 0 or greater")
        if not 0.0 <= self.sampling_rate <= 1.0:
            raise PrivacyError(f"invalid sampling rate {self.sampling_rate}: it must be between 0 and 1")
        if self.steps < 0:
            raise PrivacyError(f"invalid number of steps {self.steps}")


Event = SampledGaussian
"""Everything that the account can hold; a further kind of event joins here and in ``_steps_of``."""


def epsilon_of(events: Event | Sequence[Event], delta: float) -> float:
    """Return an upper bound on the epsilon that one event, or all of several, cost one patient at ``delta``.

    The order of events means nothing, and the same history is computed once.

    Raises:
        PrivacyError: delta is not a number that an account can be kept at, or an event is of an unknown kind.
    """
    if not SMALLEST_DELTA <= delta < 1.0:
        raise PrivacyError(
            f"epsilon cannot be computed at delta = {delta}", do=f"Choose a delta from {SMALLEST_DELTA:g} to below 1."
        )
    several = events if isinstance(events, Sequence) else (events,)
    counts: Counter[tuple[float, float]] = Counter()
    for event in several:
        noise, rate, steps = _steps_of(event)
        if rate > 0.0 and steps > 0:
            counts[noise, rate] += steps
    return _epsilon(tuple(sorted((noise, rate, steps) for (noise, rate), steps in counts.items())), delta)


def _steps_of(event: Event) -> tuple[float, float, int]:
    if type(event) is not SampledGaussian:
        raise PrivacyError(
            f"the account has an event of an unknown kind: {type(event).__name__}",
            do="Install the version of Wardround that wrote it; leaving it out would understate epsilon.",
        )
    return event.noise_multiplier, event.sampling_rate, event.steps


@lru_cache(maxsize=65_536)
def _epsilon(steps: tuple[tuple[float, float, int], ...], delta: float) -> float:
    if not steps:
        return 0.0
    if min(noise for noise, _, _ in steps) < SMALLEST_NOISE:
        return math.inf
    return composed_epsilon(steps, delta)


@lru_cache(maxsize=4096)
def noise_multiplier_for(privacy: DpSgd, sampling_rate: float, steps: int) -> float:
    """Return the least noise multiplier (to 0.5 %) with which ``steps`` steps keep to the study's epsilon and delta.

    What the study adds up before its first round is part of that epsilon, composed with the steps.

    Raises:
        PrivacyError: the epsilon is so small that no sensible noise reaches it.
    """
    before = before_rounds(privacy)

    def keeps(noise: float) -> bool:
        step = SampledGaussian(noise, sampling_rate, steps)
        return epsilon_of(step if before is None else (before, step), privacy.delta) <= privacy.epsilon

    return _least(
        keeps,
        PrivacyError(
            f"no noise keeps {steps} steps within epsilon {privacy.epsilon} at delta {privacy.delta}",
            do="Ask for a larger epsilon, fewer rounds or less local work.",
        ),
    )


@lru_cache(maxsize=4096)
def before_rounds(privacy: DpSgd) -> SampledGaussian | None:
    """Return the sum of all training patients before the first round, as an event; None if the study asks for none.

    The noise multiplier is over the L2 norm of one patient's part.

    Raises:
        PrivacyError: the epsilon is so small that no sensible noise reaches it.
    """
    epsilon = privacy.normalisation_epsilon
    if epsilon is None:
        return None
    noise = least_noise(
        lambda noise: SampledGaussian(noise, 1.0, 1),
        epsilon,
        privacy.delta,
        PrivacyError(
            f"no noise keeps a sum within epsilon {epsilon} at delta {privacy.delta}",
            do="Ask for a larger normalisation_epsilon in [privacy].",
        ),
    )
    return SampledGaussian(noise, 1.0, 1)


def least_noise(event: Callable[[float], Event], epsilon: float, delta: float, fault: PrivacyError) -> float:
    """Return the least noise multiplier, to 0.5 %, with which an event keeps to epsilon.

    Raises:
        PrivacyError: the fault, if none does.
    """
    return _least(lambda noise: epsilon_of(event(noise), delta) <= epsilon, fault)


def _least(keeps: Callable[[float], bool], fault: PrivacyError) -> float:
    """Return the least noise multiplier, to 0.5 %, that keeps to something; raise the fault if none does."""
    high = 1.0
    while not keeps(high):
        high *= 2.0
        if high > LARGEST_NOISE:
            raise fault
    low = high / 2.0
    while low > SMALLEST_NOISE and keeps(low):
        low, high = low / 2.0, low
    while high > 1.005 * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if keeps(middle) else (middle, high)
    return high
