"""DP-SGD of a linear classifier in a loop over arrays, and the hospitals, for the benchmarks of few directions.

It takes every patient in each step, as the recipe of ``halves`` does, with the noise of the whole sum, which is what
hospitals that share out the noise add up to. Its randomness is NumPy's: it protects nobody.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wardround_client.training.local_work import plan_privacy
from wardround_common.metrics.ranking import count_by_score, roc_area
from wardround_common.study.file import read_study
from wardround_simulation.federation import Federation, Site, alone_study, open_hospital
from wardround_simulation.places import Places, sites_in

Floats = NDArray[np.float64]
STUDY = Path(__file__).parent / "studies" / "brain-mri-distributed.toml"
EPSILONS = (8, 3, 1)


@dataclass(frozen=True)
class Steps:
    """How a classifier is trained."""

    rate: float
    rounds: int = 8
    clip: float = 0.28


@lru_cache
def noise_multiplier(epsilon: int | None, rounds: int, patients: int) -> float:
    """Return what the project's own accountant plans for these steps of all patients; 0 for no epsilon."""
    if epsilon is None:
        return 0.0
    changes = {"privacy.epsilon": float(epsilon), "training.rounds": rounds, "privacy.sampling_rate": 1.0}
    plan = plan_privacy(read_study(STUDY, changes | {"evaluation.every": rounds}), patients)
    return plan.noise_multiplier if plan else math.nan


def models(
    seen: Floats,
    classes: NDArray[np.int64],
    start: Floats,
    steps: Steps,
    epsilon: int | None,
    draws: Sequence[Sequence[int]],
) -> Floats:
    """Train on patients' features (patients, images, count + 1), the bias' number last, once for each draw of noise.

    Args:
        seen: of a patient with fewer images than others, zeros for the rest.
        classes: (patients, images), the class of each.
        start: (outputs, count + 1), the classifier to begin with.
        steps: the recipe.
        epsilon: None for no noise.
        draws: the seed of each; two recipes with as many rounds have the same noise, but for its scale.

    Returns:
        The classifier after each round: (rounds, draws, outputs, count + 1).
    """
    images = (seen[:, :, -1] > 0).sum(1)[:, None, None]
    noise = steps.clip * noise_multiplier(epsilon, steps.rounds, len(seen))
    wanted = np.eye(len(start))[classes]
    chance = [np.random.default_rng(draw) for draw in draws]
    weights, after = np.stack([start] * len(draws)), []
    for _ in range(steps.rounds):
        logits = seen @ weights.transpose(0, 2, 1)[:, None]  # (draws, patients, images, outputs)
        said = np.exp(logits - logits.max(3, keepdims=True))
        wrong = said / said.sum(3, keepdims=True) - wanted
        gradients = wrong.transpose(0, 1, 3, 2) @ seen / images  # (draws, patients, outputs, count + 1)
        lengths = np.sqrt(np.square(gradients).sum((2, 3), keepdims=True))
        total = (gradients * np.minimum(1, steps.clip / np.maximum(lengths, 1e-12))).sum(1)
        drawn = np.stack([one.standard_normal(start.shape) for one in chance])
        weights = weights - steps.rate / len(seen) * (total + noise * drawn)
        after.append(weights)
    return np.stack(after)


def area(weights: Floats, seen: Floats, classes: NDArray[np.int64]) -> float:
    """Return the AUROC of a classifier on images (images, count + 1)."""
    scores = seen @ (weights[1] - weights[0])
    return float(roc_area(*count_by_score(scores, classes == 1, np.ones((1, len(scores)))))[0])


def hospitals(data: Path, state: Path) -> tuple[Site, ...]:
    """Return the hospitals of a folder, each opened once: what they lack is said before anything is learnt."""
    sites = sites_in(data, Places(None, None, frozenset(), state))
    study = alone_study(read_study(STUDY))
    for site in sites:
        open_hospital(Federation(study, (site,)), site.name)
    return sites
