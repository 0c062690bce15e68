"""How much noise each hospital adds to its sums over validation or test patients: all of it, or its share.

The sums are integers (``metrics.noised``). The noise is a discrete Gaussian's, and is accounted as a Gaussian's by the
argument of docs/distributed-privacy.md, section 3.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from wardround_common.errors import PrivacyError
from wardround_common.metrics.noised import ONE
from wardround_common.privacy.accounting import SampledGaussian, least_noise
from wardround_common.privacy.noisy_sum import least_survivors, share_of_noise
from wardround_common.study.file import Study
from wardround_common.study.privacy import DpSgd
from wardround_common.study.sums import threshold_for
from wardround_common.tasks.registry import task_of

Judging = Literal["validation", "test"]
SPLITS: tuple[Judging, ...] = ("validation", "test")
MOST_DEVIATION = 1 << 20
"""Of all the noise in a count, in patients: more than that is no count any more."""


def sums_of(study: Study, split: Judging) -> int:
    """Return in how many sums a patient of a split is at most."""
    return study.evaluations if split == "validation" else 1


def evaluation_event(study: Study, split: Judging) -> SampledGaussian | None:
    """Return one sum over the patients of a split as an event; None if they get no noise.

    All sums of a patient together keep to the epsilon that the study states for them.

    Raises:
        PrivacyError: the epsilon is so small that no sensible noise reaches it.
    """
    epsilon, privacy = study.evaluation_epsilon, study.privacy
    if not study.noised or epsilon is None or not isinstance(privacy, DpSgd):
        return None
    return SampledGaussian(noise_for(epsilon, privacy.delta, sums_of(study, split)), 1.0, 1)


@lru_cache(maxsize=1024)
def noise_for(epsilon: float, delta: float, sums: int) -> float:
    """Return the least noise multiplier with which a number of sums over all patients keep to epsilon together.

    Raises:
        PrivacyError: none does.
    """
    return least_noise(
        lambda noise: SampledGaussian(noise, 1.0, sums),
        epsilon,
        delta,
        PrivacyError(
            f"no noise keeps {sums} evaluations within epsilon {epsilon} at delta {delta}",
            do="Ask for a larger epsilon (evaluation_epsilon), or for fewer evaluations (every).",
        ),
    )


def deviation(study: Study, split: Judging) -> float:
    """Return the standard deviation of the noise that is counted, in patients, of each count.

    Raises:
        PrivacyError: the sums have no noise, or it is more than any count.
    """
    event = evaluation_event(study, split)
    if event is None:
        raise PrivacyError("the study's sums over validation and test patients have no noise")
    found = event.noise_multiplier * math.sqrt(task_of(study.task).noised_sums().blocks(study.task))
    if found > MOST_DEVIATION:
        raise PrivacyError(
            "the noise that the sums over validation and test patients need is more than any count",
            do="Ask for a larger epsilon (evaluation_epsilon), or for fewer evaluations (every).",
        )
    return found


def noise_in_evaluation(study: Study, split: Judging, hospitals: int, threshold: int) -> int:
    """Return the variance of the integers that each hospital adds to its counts.

    Under ``trust = "distributed"``: of a cohort of ``hospitals`` whose sums ``threshold`` of them open, any survivors
    less any colluders have enough together. Else each hospital has enough by itself.

    Raises:
        PrivacyError: as :func:`deviation`.
    """
    return share_of_noise(study, (Fraction(deviation(study, split)) * ONE) ** 2, hospitals, threshold)


def noise_in_sum(study: Study, split: Judging, hospitals: int, survivors: int) -> float:
    """Return the standard deviation, in patients, of the noise in each count of a sum over ``survivors``.

    Of a cohort of at most ``hospitals``: the fewer were asked, the more each added. Who was asked and fell silent, and
    who was not there to be asked, is not told apart here, so it is the most that it can be.

    Raises:
        PrivacyError: as :func:`deviation`.
        RoundError: the study does not allow a sum over so few.
    """
    cohorts = {asked: threshold_for(study, asked) for asked in range(survivors, hospitals + 1)}
    possible = (cohort for cohort in cohorts.items() if least_survivors(study, *cohort) <= survivors)
    return math.sqrt(max(noise_in_evaluation(study, split, *cohort) for cohort in possible) * survivors) / ONE
