"""What more hospitals are worth when the noise is shared out: AUROC over 3 to 30 made hospitals.

Run with ``make bench-private-hospitals``. Each hospital has the same number of made patients, each patient several made
sections of one contrast and grain; half of the images hold a spot. A head is trained by a plain loop over arrays, by
the recipe of ``halves`` in ``medicine_privacy.py``: DP-SGD with the noise of the whole sum, which is what hospitals
that share out the noise add up to. *directions* begins with what made sections give, *features* is a head over all 259
features of ``halves`` from zero. Nobody's images are used, and the patients are made as the prior's images are: how
hard the task is, is arbitrary. What this shows is how the loss to noise falls with the number of hospitals.
"""

from __future__ import annotations

import argparse
import math
import statistics

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from safetensors.torch import load

from measure import report
from medicine_privacy import CLIP, EPSILONS, FAST, ROUNDS, SLOW, STUDY
from wardround_client import networks
from wardround_client.prior.learning import Lesson, learn
from wardround_client.prior.sections import sections
from wardround_client.training.local_work import plan_privacy
from wardround_common.metrics.ranking import count_by_score, roc_area
from wardround_common.study.file import read_study

Floats = NDArray[np.float64]
HOSPITALS = (3, 6, 10, 30)
PATIENTS, IMAGES, TESTED, SIZE = 19, 6, 1000, 64
"""Of a hospital, of a patient, of the test, and pixels."""
DRAWS, LENGTH = 10, 4.0
"""Of noise; and how long an image's features are on average, as 16 directions are, so that rates mean the same."""


def patients(count: int, generator: torch.Generator) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """Draw made patients: images (count · IMAGES, 1, SIZE, SIZE), and which show a spot."""
    images, planted = sections(count * IMAGES, SIZE, generator)
    own = torch.rand(2, count, 1, generator=generator).expand(-1, -1, IMAGES).reshape(2, -1, 1, 1, 1)
    images = images ** (0.6 + own[0]) + 0.1 * own[1] * torch.randn(images.shape, generator=generator)
    return images.clamp(0, 1), planted.numpy()


def trained(
    seen: Floats,
    planted: NDArray[np.int64],
    start: Floats,
    epsilon: int | None,
    draw: int,
    factor: float = 1.0,
) -> Floats:
    """Train a head (classes, count + 1) on patients' features (patients, images, count + 1), the bias' number last.

    ``planted``: (patients, images), the class of each. A patient with fewer images than others has zeros for the rest.
    ``epsilon``: None for no noise. ``factor``: of the recipe's rate.
    """
    noise, images = 0.0, (seen[:, :, -1] > 0).sum(1)[:, None, None]
    if epsilon is not None:
        changes = {"privacy.epsilon": float(epsilon), "training.rounds": ROUNDS, "privacy.sampling_rate": 1.0}
        plan = plan_privacy(read_study(STUDY, changes | {"evaluation.every": ROUNDS}), len(seen))
        noise = CLIP * plan.noise_multiplier if plan else math.nan
    weights, chance = start.copy(), np.random.default_rng(draw)
    wanted = np.eye(2)[planted]
    rate = factor * (SLOW if epsilon == min(EPSILONS) else FAST)
    for _ in range(ROUNDS):
        logits = seen @ weights.T
        said = np.exp(logits - logits.max(2, keepdims=True))
        gradients = (said / said.sum(2, keepdims=True) - wanted).transpose(0, 2, 1) @ seen / images
        lengths = np.sqrt((gradients**2).sum((1, 2), keepdims=True))
        total = (gradients * np.minimum(1, CLIP / np.maximum(lengths, 1e-12))).sum(0)
        weights = weights - rate / len(seen) * (total + noise * chance.standard_normal(weights.shape))
    return weights


def area(weights: Floats, seen: Floats, planted: NDArray[np.int64]) -> float:
    """Return the AUROC on images (images, KEPT + 1)."""
    scores = seen @ (weights[1] - weights[0])
    return float(roc_area(*count_by_score(scores, planted == 1, np.ones((1, len(scores)))))[0])


def main() -> None:
    """Draw patients, train for each number of hospitals and epsilon, and report."""
    argparse.ArgumentParser(description="AUROC over the number of hospitals, with the noise shared out.").parse_args()
    screen = Console(stderr=True)
    network = networks.construct("halves", 1, 2, "group", seed=0)
    network.load_state_dict(load(learn(Lesson("halves"), lambda step, of, loss: None).content))

    generator = torch.Generator().manual_seed(1)
    parts = [patients(PATIENTS, generator) for _ in track(range(max(HOSPITALS)), "hospitals", console=screen)]
    parts.append(patients(TESTED // IMAGES, generator))
    with torch.no_grad():
        raw = torch.cat([network.features(images) for images, _ in track(parts, "features", console=screen)])
        made = network.features(sections(IMAGES * PATIENTS, SIZE, generator)[0])
        scaled = (raw - made.mean(0)) / (made.std(0) + 1e-3) * LENGTH / raw.shape[1] ** 0.5
        kinds = {"directions": network.directions(raw).double().numpy(), "features": scaled.double().numpy()}
        layer = torch.cat([network.classify.weight, network.classify.bias[:, None]], dim=1).double().numpy()
    planted = np.concatenate([which for _, which in parts])
    of_hospitals = max(HOSPITALS) * PATIENTS
    figures: dict[str, float] = {}
    for kind, values in kinds.items():
        values = np.hstack([values, np.ones((len(values), 1))])
        start = layer if kind == "directions" else np.zeros((2, values.shape[1]))
        tested, which = values[of_hospitals * IMAGES :], planted[of_hospitals * IMAGES :]
        seen = values[: of_hospitals * IMAGES].reshape(of_hospitals, IMAGES, -1)
        classes = planted[: of_hospitals * IMAGES].reshape(of_hospitals, IMAGES)
        for number in HOSPITALS:
            of = seen[: number * PATIENTS], classes[: number * PATIENTS]
            figures[f"auroc_{kind}_none_hospitals_{number}"] = area(trained(*of, start, None, 0), tested, which)
            for epsilon in EPSILONS:
                areas = [area(trained(*of, start, epsilon, draw), tested, which) for draw in range(DRAWS)]
                name = f"auroc_{kind}_eps{epsilon}_hospitals_{number}"
                figures |= {name: statistics.mean(areas), f"{name}_sd": statistics.stdev(areas)}
    report("private_hospitals", figures, {})


if __name__ == "__main__":
    main()
