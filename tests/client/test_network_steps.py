"""Every network with every task that it fits and every mechanism makes a step, and is refused by name elsewhere."""

from __future__ import annotations

import copy
import warnings
from typing import Any

import numpy as np
import pytest
import torch

from examples import DP, STUDY
from wardround_client import networks
from wardround_client.hospital.answering import build
from wardround_client.preparation.dataset import Examples
from wardround_client.tasks.registry import LOCAL_TASKS
from wardround_client.training.local_work import LocalRun, gradient_sum, plan_privacy, train
from wardround_common.errors import StudyError
from wardround_common.privacy.noisy_sum import NoisySum
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import DistributedDpSgd, Study
from wardround_common.study.networks import known_networks
from wardround_common.study.template import usual_keys

LARGE = 5_000_000
"""Weights from which on one task stands for those of its kind: a task begins where the network's output ends."""
TINY = ("tiny-cnn", "tiny-unet", "tiny-vae", "wavelets")
SHARED = DP | {"trust": "distributed", "sampling_rate": 1.0, "dropouts": 0, "colluders": 0}
MECHANISMS: dict[str, dict[str, Any]] = {
    "plain": {"privacy": {"mechanism": "none"}},
    "local": {"privacy": DP},
    "shared": {"privacy": SHARED, "aggregation": {"min_hospitals": 3, "secure": True}},
}


def of(network: str, task: str, mechanism: str, size: int) -> Study:
    more = MECHANISMS[mechanism]
    training = STUDY["training"] | {"batch_size": 2}
    if mechanism == "shared":
        del training["local_epochs"]
    model, data = {"network": network}, STUDY["data"] | {"image_size": size}
    task_keys = {"task": dict(usual_keys(task))}
    return Study.model_validate(STUDY | {"model": model, "data": data, "training": training} | task_keys | more)


def step(study: Study) -> np.ndarray:
    """Make a step of two patients with one image each."""
    local, size = LOCAL_TASKS[study.task.name], study.data.square
    images = insecure_stream(1, "images").uniform(2 * size * size).astype(np.float32).reshape(2, 1, size, size)
    targets = local.noise(study.task, 2, (size, size)).numpy()
    examples = Examples(images, np.arange(2), targets, np.arange(2))
    built, plan = build(study), plan_privacy(study, 2)
    start = networks.read_vector(built.network)
    run = LocalRun(study, built.network, built.layout, examples, plan, insecure_stream(1, "hospital"))
    if isinstance(study.privacy, DistributedDpSgd):
        return gradient_sum(run, start, 1, NoisySum.of(study, study.privacy, 3, 3)).view(np.int32)
    return train(run, start, 1).update


def every_step(network: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's imports speak of its optional parts
        kind = networks.find(network)
        made = networks.construct(network, 1, 3, "group", seed=0)
        size = next(size for size in (16, 32, 64) if runs(made, size))
        large, done = sum(weight.numel() for weight in made.parameters()) > LARGE, False
        for task, local in LOCAL_TASKS.items():
            fits = (local.task.dense, local.task.generates) == (kind.dense, kind.generates)
            if fits and large and done:
                continue
            done |= fits
            for mechanism in MECHANISMS:
                study = of(network, task, mechanism, size)
                if not fits:
                    with pytest.raises(StudyError, match="this network says something of"):
                        build(study)
                    continue
                moved = step(study)
                assert np.isfinite(moved).all()
                assert moved.any(), f"{task}, {mechanism}: nothing moved"


def runs(network: torch.nn.Module, size: int) -> bool:
    try:
        copy.deepcopy(network).train()(torch.rand(2, 1, size, size))
    except (ValueError, RuntimeError):  # a norm over one value; a map that is smaller than the kernel
        return False
    return True


@pytest.mark.parametrize("network", TINY)
def test_the_tiny_networks_make_a_step_of_every_task_by_every_mechanism(network: str) -> None:
    every_step(network)


@pytest.mark.slow
@pytest.mark.parametrize("network", sorted({*known_networks()} - {*TINY}))
def test_every_network_makes_a_step_of_every_task_by_every_mechanism(network: str) -> None:
    every_step(network)


def test_a_transformer_takes_any_size_of_image() -> None:
    network = networks.construct("vit-tiny", 1, 2, "group", seed=0)
    with torch.no_grad():
        assert network(torch.rand(1, 1, 24, 40)).shape == (1, 2)
