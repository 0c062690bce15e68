"""A canary audit in one run: does the code that hospitals train with stay within the epsilon it claims?

After Steinke, Nasr and Jagielski (NeurIPS 2023, algorithm 1) with the gradient canaries of Nasr et al., *Tight
auditing of differentially private machine learning* (USENIX Security 2023): the auditor is as strong as the guarantee
allows. It picks the parameters from which each step starts, as a coordinator can, and reads each step's noisy sum.
Each canary is a patient whose gradient has a direction of its own and is clipped to just the clip norm, so that
canaries do not hide one another. The steps are those of ``wardround_client.training.local_work``, not a copy of them.

A bound below the claim proves nothing: a fault that these canaries do not touch stays unseen. A bound above the claim
proves, with the stated confidence, that the code or the accounting is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wardround_client import networks
from wardround_client.preparation.examples import Examples
from wardround_client.training.local_work import LocalRun, PrivacyPlan, train
from wardround_common.errors import PrivacyError
from wardround_common.randomness import Stream
from wardround_common.study.file import Study
from wardround_common.study.privacy import DpSgd, NoPrivacy
from wardround_common.tasks.classification import TWO_CLASSES
from wardround_simulation.attacks.bound import epsilon_at_least

Floats = NDArray[np.float64]
Watch = Callable[[int, int], None]

CONFIDENCE = 0.95
STRENGTH = 1e4  # a canary's value in clip norms: its gradient is 7,000 clip norms long before it is clipped
PILOTS = 4
FRACTIONS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0)
"""Of the canaries, on which the auditor may guess; the pilots choose one."""
NO_NOISE = 1e-6  # in clip norms: what is found below this is rounding


@dataclass(frozen=True)
class CanaryAudit:
    """What an audit found."""

    canaries: int
    steps: int
    guesses: int
    right: int
    delta: float
    confidence: float
    noise_found: float
    """Noise multiplier, measured where no canary is."""
    epsilon_at_least: float
    """The training is not (epsilon, delta)-DP for any epsilon below this, with the stated confidence."""


def audit(
    study: Study, plan: PrivacyPlan, steps: int, canaries: int, auditor: Stream, hospital: Stream, watch: Watch
) -> CanaryAudit:
    """Train on canaries with a study's privacy for a number of steps, and guess which of them took part.

    ``auditor`` draws the coins that the guesses are judged by; ``hospital`` is the stream that the training draws from,
    of which the auditor knows nothing. ``watch`` is told the steps done and their number.

    Raises:
        PrivacyError: the study has no differential privacy, or delta is too large to be audited.
    """
    if isinstance(study.privacy, NoPrivacy):
        raise PrivacyError("there is no epsilon to audit: the study's mechanism is 'none'")
    if type(study.privacy) is not DpSgd:
        raise PrivacyError("this audit reads steps with noise of their own, and the study has none: only a sum has it")
    clip = study.privacy.clip_norm
    took_part = auditor.child("coins").uniform(canaries) < 0.5
    along, beside = _watch_training(study, study.privacy, plan, steps, took_part, hospital, watch)
    noise = max(float(np.sqrt(np.mean(np.square(beside / clip)))), NO_NOISE)
    evidence = log_odds(along / clip, noise, plan.sampling_rate)
    guesses = _how_many(canaries, noise, plan.sampling_rate, steps, plan.delta, auditor.child("pilots"))
    surest = np.argsort(-np.abs(evidence), kind="stable")[:guesses]
    right = int(((evidence[surest] > 0) == took_part[surest]).sum())
    found = epsilon_at_least(canaries, guesses, right, plan.delta, CONFIDENCE)
    return CanaryAudit(canaries, steps, guesses, right, plan.delta, CONFIDENCE, noise, found)


def canaries_for(delta: float, most: int) -> int:
    """Return how many canaries to use at this delta: the bound loses 2 m delta alpha, which many canaries make large.

    Raises:
        PrivacyError: delta is so large that no number of canaries could show anything.
    """
    count = min(most, int(0.2 / delta))
    if count < 20:
        raise PrivacyError(f"delta = {delta} is too large for an audit", do="Choose a delta of 0.01 or less.")
    return count


def log_odds(along: Floats, noise: float, rate: float) -> Floats:
    """Return each canary's log odds of having taken part, from what each step shows: (steps, canaries) → (canaries,).

    Both are in clip norms. In a step a canary that takes part adds 1 with the chance ``rate``, so that the likelihood
    ratio is that of the mixture (1 - rate) N(0, noise²) + rate N(1, noise²) to N(0, noise²), which no test beats.
    """
    one_step = (2 * along - 1) / (2 * noise**2)
    if rate >= 1:
        return np.asarray(one_step.sum(0))
    return np.asarray(np.logaddexp(np.log1p(-rate), np.log(rate) + one_step).sum(0))


class _Canaries(nn.Module):
    """A linear layer over which each canary has a weight of its own for each of two classes.

    An image is one number: which canary it is. From zero weights both classes are as likely, so that the canary's
    gradient is long, points along its own two weights, (-1, 1), and is nothing elsewhere.
    """

    def __init__(self, count: int, clip: float) -> None:
        super().__init__()
        self.weights = nn.Linear(count, 2, bias=False)
        self.strength = STRENGTH * clip

    def forward(self, numbers: torch.Tensor) -> torch.Tensor:
        one_of = nn.functional.one_hot(numbers.flatten().long(), self.weights.in_features)  # (images, canaries)
        return self.weights(one_of * self.strength)  # type: ignore[no-any-return]


def _watch_training(
    study: Study,
    privacy: DpSgd,
    plan: PrivacyPlan,
    steps: int,
    took_part: NDArray[np.bool_],
    hospital: Stream,
    watch: Watch,
) -> tuple[Floats, Floats]:
    """Return the noisy sums of all steps along and beside each canary's direction: twice (steps, canaries)."""
    inside = np.repeat(np.flatnonzero(took_part), privacy.images_per_patient)
    examples = Examples(
        np.arange(len(took_part), dtype=np.float32).reshape(-1, 1, 1, 1), inside, np.zeros_like(inside), inside
    )
    network = _Canaries(len(took_part), privacy.clip_norm)
    layout = networks.layout_of(network)
    start = np.zeros(layout.size, np.float32)
    audited, of_one_step = _one_step_a_round(study, steps), replace(plan, steps_a_round=1)
    expected = plan.sampling_rate * int(took_part.sum())
    along, beside = np.empty((steps, len(took_part))), np.empty((steps, len(took_part)))
    run = LocalRun(audited, network, layout, examples, of_one_step, hospital)
    for step in range(steps):
        work = train(run, start, step + 1)
        gradient = -work.update.astype(np.float64).reshape(2, -1) * expected  # (classes, canaries): the noisy sum
        along[step] = (gradient[1] - gradient[0]) / np.sqrt(2)
        beside[step] = (gradient[1] + gradient[0]) / np.sqrt(2)
        watch(step + 1, steps)
    return along, beside


def _one_step_a_round(study: Study, steps: int) -> Study:
    """Return the study with plain steps of rate 1, so that a round's update is a step's noisy sum, scaled.

    Its task is that of the canaries' network, whatever the study's is: what is audited is the clipping and the noise.
    """
    plain = study.training.model_copy(
        update={
            "rounds": steps,
            "optimiser": "sgd",
            "learning_rate": 1.0,
            "schedule": "constant",
            "momentum": 0.0,
            "weight_decay": 0.0,
            "augmentations": (),
            "class_weights": None,
            "strategy": "fedavg",
        }
    )
    return study.model_copy(update={"training": plain, "task": TWO_CLASSES})


def _how_many(canaries: int, noise: float, rate: float, steps: int, delta: float, stream: Stream) -> int:
    """Choose how many guesses to make: what does best, at its worst, on made-up mechanisms of the same noise."""
    rng = np.random.default_rng(stream.below(2**63))
    tried = [max(1, round(fraction * canaries)) for fraction in FRACTIONS]
    gained = np.full(len(tried), np.inf)
    for _ in range(PILOTS):
        took_part = rng.random(canaries) < 0.5
        evidence = np.zeros(canaries)
        for _ in range(steps):
            drawn = took_part & (rng.random(canaries) < rate)
            evidence += log_odds((drawn + noise * rng.standard_normal(canaries))[None], noise, rate)
        order = np.argsort(-np.abs(evidence), kind="stable")
        right = np.cumsum((evidence > 0)[order] == took_part[order])
        bounds = [epsilon_at_least(canaries, count, int(right[count - 1]), delta, CONFIDENCE) for count in tried]
        gained = np.minimum(gained, bounds)
    return tried[int(gained.argmax())]
