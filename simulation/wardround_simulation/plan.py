"""What a study will cost and the signal that will be left, under both trust models, before training.

The signal-to-noise ratio of a step is the largest length that the expected mean of clipped gradients can have, over the
expected length of the noise in the same mean. Each of q N expected patients gives a gradient of length at most C; the
noise on their sum has standard deviation z C in each of d parameters, and so a length of about z C √d. The ratio is
q N / (z √d): C cancels. It is an upper bound, reached only where all gradients are as long as C and point one way.
Over the steps of a study the signal of such gradients grows with their number and independent noise with its root.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from wardround_client.training.accounting import SampledGaussian, epsilon_of
from wardround_client.training.local_work import PrivacyPlan, plan_privacy
from wardround_common.errors import PrivacyError
from wardround_common.privacy.noisy_evaluation import SPLITS, deviation, noise_in_sum, sums_of
from wardround_common.privacy.noisy_sum import NoisySum
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd, DpSgd
from wardround_common.study.sums import threshold_for


@dataclass(frozen=True)
class Spend:
    """What is planned for the patients who share one noise: those of one hospital, or of all."""

    patients: int
    sampling_rate: float
    steps: int
    noise_multiplier: float
    """Over the clipping norm; under distributed trust what is left in the sum in the worst case that is stated."""
    epsilon: float
    signal_to_noise: float
    """Of one step, at most."""
    signal_to_noise_of_study: float
    """Of all steps added up, at most."""


@dataclass(frozen=True)
class Distributed:
    """The sum over hospitals under secure aggregation, each of which adds a share of the noise."""

    all: Spend
    dropouts: int
    colluders: int
    counted_on: int
    """The hospitals whose noise is enough together."""
    share: float
    """The noise multiplier of one hospital's share."""
    epsilon_if_all_answer: float
    """The epsilon when nobody drops out and nobody colludes; the plan counts on ``all.epsilon``."""


@dataclass(frozen=True)
class EvaluationNoise:
    """The noise in the counts of those on whom the model is judged, where the study states an epsilon for them."""

    split: str
    """validation or test."""
    epsilon: float
    """The most that all sums over them cost one of them."""
    sums: int
    """How many these are."""
    deviation: float
    """The standard deviation of the noise in each count of a sum over all hospitals, in patients."""


@dataclass(frozen=True)
class StudyPlan:
    """A study's plan for hospitals of given sizes."""

    epsilon: float
    delta: float
    parameters: int
    local: tuple[Spend, ...]
    """One a hospital, in the order given: the noise is enough at each hospital on its own."""
    local_signal_to_noise_of_study: float
    """Of the average of the hospitals' updates, weighted by patients."""
    distributed: Distributed | None
    """None for one hospital: there is no sum."""
    judging: tuple[EvaluationNoise, ...] = ()
    """Empty where the sums over validation and test patients have no noise."""


def plan_study(study: Study, patients: Sequence[int], parameters: int, dropouts: int, colluders: int) -> StudyPlan:
    """Plan a study for hospitals with these numbers of training patients, and a network's trained parameters.

    Raises:
        PrivacyError: the study has no differential privacy, its delta is too large for the hospitals, or more may
            drop out or collude than leave any noise; or no noise keeps to the epsilon of those who are judged on.
        RoundError: a distributed study does not allow a sum over this number of hospitals.
    """
    privacy = study.privacy
    if not isinstance(privacy, DpSgd):
        raise PrivacyError(
            "the study has no differential privacy, so that there is nothing to plan",
            do="Write mechanism = 'dp-sgd' in [privacy]; 'wardround study new NAME' shows its keys.",
        )
    if isinstance(privacy, DistributedDpSgd):
        terms = {"dropouts": dropouts, "colluders": colluders}
        study = study.model_copy(update={"privacy": privacy.model_copy(update=terms)})
    plans = [_planned(study, number) for number in patients]
    local = tuple(_spend(study, plan, number, parameters) for plan, number in zip(plans, patients, strict=True))
    return StudyPlan(
        privacy.epsilon,
        privacy.delta,
        parameters,
        local,
        _of_average(local, parameters),
        _distributed(study, patients, parameters, dropouts, colluders) if len(patients) > 1 else None,
        tuple(_judging(study, len(patients))),
    )


def curve(
    study: Study, patients: Sequence[int], parameters: int, dropouts: int, colluders: int, epsilons: Sequence[float]
) -> Iterator[StudyPlan]:
    """Plan the same study at other epsilons, of which sums before the first round take the same part."""
    for epsilon in epsilons:
        changed: dict[str, float] = {"epsilon": epsilon}
        if isinstance(study.privacy, DpSgd) and study.privacy.normalisation_epsilon is not None:
            changed["normalisation_epsilon"] = study.privacy.normalisation_epsilon * epsilon / study.privacy.epsilon
        other = study.model_copy(update={"privacy": study.privacy.model_copy(update=changed)})
        yield plan_study(other, patients, parameters, dropouts, colluders)


def _planned(study: Study, patients: int) -> PrivacyPlan:
    plan = plan_privacy(study, patients)
    if plan is None:
        raise PrivacyError("the study has no differential privacy")
    return plan


def _judging(study: Study, hospitals: int) -> Iterator[EvaluationNoise]:
    """Say how much noise is in a sum over all hospitals: with local trust that of each, else as they share it out."""
    shared, epsilon = isinstance(study.privacy, DistributedDpSgd), study.evaluation_epsilon
    if not study.noised or epsilon is None:
        return
    for split in SPLITS:
        noise = (
            noise_in_sum(study, split, hospitals, hospitals)
            if shared
            else deviation(study, split) * math.sqrt(hospitals)
        )
        yield EvaluationNoise(split, epsilon, sums_of(study, split), noise)


def _spend(study: Study, plan: PrivacyPlan, patients: int, parameters: int, in_sum: float | None = None) -> Spend:
    """Describe a plan; ``in_sum`` is the noise that is really in the sum, where it is more than the plan counts on."""
    steps = study.training.rounds * plan.steps_a_round
    ratio = plan.sampling_rate * patients / ((in_sum or plan.noise_multiplier) * math.sqrt(parameters))
    epsilon = plan.epsilon_after(study.training.rounds)
    return Spend(patients, plan.sampling_rate, steps, plan.noise_multiplier, epsilon, ratio, ratio * math.sqrt(steps))


def _of_average(local: Sequence[Spend], parameters: int) -> float:
    """Return the ratio over the study of the weighted average: signals add up, independent noises by their squares."""
    total = sum(one.patients for one in local)
    weights = [one.patients / total for one in local]
    signal = sum(weight * one.steps for weight, one in zip(weights, local, strict=True))
    noise = math.hypot(
        *(
            weight * math.sqrt(one.steps * parameters) * one.noise_multiplier / (one.sampling_rate * one.patients)
            for weight, one in zip(weights, local, strict=True)
        )
    )
    return signal / noise


def _distributed(study: Study, patients: Sequence[int], parameters: int, dropouts: int, colluders: int) -> Distributed:
    """Plan one sum over all hospitals: as if one hospital had everybody's patients and expected all batches together.

    Every step is one secure sum. Of a study with local trust as many passes over the patients are made as there.
    """
    hospitals, everybody = len(patients), sum(patients)
    if isinstance(study.privacy, DistributedDpSgd):
        form = NoisySum.of(study, study.privacy, hospitals, threshold_for(study, hospitals))
        counted_on = form.survivors - colluders
    else:
        form, counted_on = None, hospitals - dropouts - colluders
    if counted_on < 1:
        raise PrivacyError(
            f"of {hospitals} hospitals, {dropouts} may drop out and {colluders} collude: no noise would be left",
            do="Plan with fewer drop-outs or colluders, or with more hospitals.",
        )
    if form is not None:
        plan = _planned(study, everybody)
        form.share(plan.noise_multiplier)  # refuses noise that its ring does not hold
    else:
        batch = hospitals * study.training.batch_size
        together = study.model_copy(update={"training": study.training.model_copy(update={"batch_size": batch})})
        plan = _planned(together, everybody)
    share = plan.noise_multiplier / math.sqrt(counted_on)
    in_sum = share * math.sqrt(hospitals)
    spend = _spend(study, plan, everybody, parameters, in_sum)
    events = [SampledGaussian(in_sum, spend.sampling_rate, spend.steps)]
    if plan.before:  # its noise is shared out in the same way
        events.append(SampledGaussian(plan.before.noise_multiplier * math.sqrt(hospitals / counted_on), 1.0, 1))
    whole = epsilon_of(events, plan.delta)
    return Distributed(spend, dropouts, colluders, counted_on, share, whole)
