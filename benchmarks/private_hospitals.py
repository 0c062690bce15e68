"""What more hospitals are worth when the noise is shared out: AUROC over 3 to 30 made hospitals.

Run with ``make bench-private-hospitals``. Each hospital has the same number of made patients, each patient several made
sections of one contrast and grain; half of the images hold a spot. A head is trained in a loop over arrays
(``private_loop.py``) by :data:`STEPS`. *directions* begins with what made sections give, *features* is a head over all
259 features of ``halves`` from zero. Nobody's images are used, and the patients are made as the prior's images are: how
hard the task is, is arbitrary. What this shows is how the loss to noise falls with the number of hospitals.
"""

from __future__ import annotations

import argparse
import statistics

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track
from safetensors.torch import load

from measure import report
from private_loop import EPSILONS, Steps, area, models
from wardround_client import networks
from wardround_client.prior.learning import Lesson, learn
from wardround_client.prior.sections import sections

HOSPITALS = (3, 6, 10, 30)
PATIENTS, IMAGES, TESTED, SIZE = 19, 6, 1000, 64
"""Of a hospital, of a patient, of the test, and pixels."""
DRAWS, LENGTH = 10, 4.0
"""Of noise; and how long an image's features are on average, as 16 directions are, so that rates mean the same."""
STEPS = Steps(2.5)
"""Of every row."""


def patients(count: int, generator: torch.Generator) -> tuple[torch.Tensor, NDArray[np.int64]]:
    """Draw made patients: images (count · IMAGES, 1, SIZE, SIZE), and which show a spot."""
    images, planted = sections(count * IMAGES, SIZE, generator)
    own = torch.rand(2, count, 1, generator=generator).expand(-1, -1, IMAGES).reshape(2, -1, 1, 1, 1)
    images = images ** (0.6 + own[0]) + 0.1 * own[1] * torch.randn(images.shape, generator=generator)
    return images.clamp(0, 1), planted.numpy()


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
            for epsilon in (None, *EPSILONS):
                draws = [(draw,) for draw in range(DRAWS if epsilon else 1)]
                areas = [area(model, tested, which) for model in models(*of, start, STEPS, epsilon, draws)[-1]]
                name = f"auroc_{kind}_{f'eps{epsilon}' if epsilon else 'none'}_hospitals_{number}"
                figures[name] = statistics.mean(areas)
                if epsilon:
                    figures[f"{name}_sd"] = statistics.stdev(areas)
    report("private_hospitals", figures, {})


if __name__ == "__main__":
    main()
