"""A private round beside a slow twin that reads like the paper: who is drawn, what they add, and which noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from examples import DP, STUDY, dataset, study
from wardround_client import networks
from wardround_client.hospital.answering import build
from wardround_client.preparation.examples import Examples
from wardround_client.training.discrete_gaussian import discrete_gaussian
from wardround_client.training.local_work import LocalRun, PrivacyPlan, gradient_sum, train
from wardround_client.training.noise import unit_of, write_numbers
from wardround_common.privacy.noisy_sum import NoisySum
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd

STREAM = insecure_stream(1, "hospital")
CLIP, RATE, ROUND, STEPS, MOST_IMAGES, LEARNING_RATE = 0.25, 0.5, 2, 3, 2, 0.05
SHARED = DP | {
    "trust": "distributed",
    "sampling_rate": RATE,
    "dropouts": 0,
    "colluders": 1,
    "clip_norm": CLIP,
    "images_per_patient": MOST_IMAGES,
}


def drawn_in(step: int, data: Examples) -> list[np.ndarray]:
    """Draw each patient by itself, and of each up to two images: (images,) places."""
    draw = STREAM.child("patients", ROUND, step)
    chances = draw.uniform(data.patient_count)
    drawn = [rows for rows, chance in zip(data.places_by_patient(), chances, strict=True) if chance < RATE]
    orders = draw.permutations([len(rows) for rows in drawn])
    return [rows[order][:MOST_IMAGES] for rows, order in zip(drawn, orders, strict=True)]


def gradient_of(network: torch.nn.Module, data: Examples, rows: np.ndarray, clip: float = CLIP) -> torch.Tensor:
    """Return the gradient of the mean loss of a patient's images, clipped: (parameters,)."""
    network.zero_grad()
    scores = network(torch.from_numpy(data.images(rows)))
    torch.nn.functional.cross_entropy(scores, torch.from_numpy(data.targets[rows])).backward()
    found = torch.cat([weight.grad.flatten() for weight in network.parameters() if weight.grad is not None])
    return found * min(1.0, clip / float(found.norm()))


@pytest.mark.parametrize(
    ("clip", "multiplier"),
    [(CLIP, 1e-6), (CLIP, 1.5), (100.0, 1e-8)],
    ids=["all are clipped", "with noise", "nobody is clipped"],
)
def test_a_private_round_is_the_algorithm_of_the_paper(clip: float, multiplier: float) -> None:
    of = study(privacy=DP | {"clip_norm": clip, "images_per_patient": MOST_IMAGES})
    data = dataset(patients=40, images_per_patient=3).train
    plan = PrivacyPlan(delta=1e-3, noise_multiplier=multiplier, sampling_rate=RATE, steps_a_round=STEPS)
    built, start = build(of), networks.read_vector(networks.build(of))
    update = train(LocalRun(of, built.network, built.layout, data, plan, STREAM), start, ROUND).update

    network, scale, sizes = networks.build(of), multiplier * clip, set()
    weights = list(network.parameters())
    for step in range(STEPS):
        total = torch.zeros(len(start))
        for rows in (drawn := drawn_in(step, data)):
            total += gradient_of(network, data, rows, clip)
        made = torch.empty(len(start) + len(start) % 2, dtype=torch.float64)
        write_numbers(STREAM.child("noise", ROUND, step).child("block", 0), made, scale)
        noisy = (total + made[: len(start)] * unit_of(scale)) / (RATE * data.patient_count)
        with torch.no_grad():
            for weight, part in zip(weights, noisy.split([each.numel() for each in weights]), strict=True):
                weight -= LEARNING_RATE * part.view(weight.shape).float()
        sizes.add(tuple(map(len, drawn)))
    assert len(sizes) > 1  # other patients in other steps
    assert {MOST_IMAGES} == {size for step in sizes for size in step}
    expected = networks.read_vector(network) - start
    assert np.linalg.norm(update - expected) < 1e-2 * np.linalg.norm(expected)


def test_a_shared_sum_is_that_of_the_drawn_patients_clipped_gradients_and_the_share_of_noise() -> None:
    training = {key: value for key, value in STUDY["training"].items() if key != "local_epochs"}
    sections = {"privacy": SHARED, "aggregation": {"min_hospitals": 3, "secure": True}, "training": training}
    of = Study.model_validate(STUDY | sections)
    data = dataset(patients=40, images_per_patient=3).train
    assert isinstance(of.privacy, DistributedDpSgd)
    plan = PrivacyPlan(delta=1e-3, noise_multiplier=1.5, sampling_rate=RATE, steps_a_round=1)
    form = NoisySum.of(of, of.privacy, 4, 3)
    built, start = build(of), networks.read_vector(networks.build(of))
    run = LocalRun(of, built.network, built.layout, data, plan, STREAM)
    found = gradient_sum(run, start, ROUND, form).view("<i4").astype(np.int64)

    network, total = networks.build(of), np.zeros(len(start))
    for rows in (drawn := drawn_in(0, data)):
        total += gradient_of(network, data, rows).numpy() * (form.levels / CLIP)
    noise = discrete_gaussian(form.share(1.5), len(start), STREAM.child("noise", ROUND))
    assert np.abs(found - noise - total).max() < 2 * len(drawn)  # cut off towards zero, a level each
    assert np.abs(total).max() > 100 * len(drawn)
