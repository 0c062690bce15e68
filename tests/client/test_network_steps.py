"""Every network with every task that it fits and every mechanism makes a step, and is refused by name elsewhere."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from one_step import LARGE, MECHANISMS, of, runs, step
from wardround_client import networks
from wardround_client.hospital.answering import build
from wardround_client.tasks.registry import LOCAL_TASKS
from wardround_common.errors import StudyError
from wardround_common.study.networks import known_networks

TINY = ("tiny-cnn", "tiny-unet", "tiny-vae", "wavelets")


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
