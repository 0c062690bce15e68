"""A step of any network with any task by any mechanism, of two patients with one made image each."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch

from examples import DP, STUDY
from wardround_client import networks
from wardround_client.hospital.answering import build
from wardround_client.preparation.examples import Examples
from wardround_client.tasks.registry import LOCAL_TASKS
from wardround_client.training.devices import CPU
from wardround_client.training.local_work import LocalRun, gradient_sum, plan_privacy, train
from wardround_common.privacy.noisy_sum import NoisySum
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd
from wardround_common.study.template import usual_keys

LARGE = 5_000_000
"""Weights from which on one task stands for those of its kind: a task begins where the network's output ends."""
SHARED = DP | {"trust": "distributed", "sampling_rate": 1.0, "dropouts": 0, "colluders": 0}
MECHANISMS: dict[str, dict[str, Any]] = {
    "plain": {"privacy": {"mechanism": "none"}},
    "local": {"privacy": DP},
    "shared": {"privacy": SHARED, "aggregation": {"min_hospitals": 3, "secure": True}},
}


def of(network: str, task: str, mechanism: str, size: int, **changed: Any) -> Study:
    """Return a small study, with ``changed`` keys of its training."""
    more = MECHANISMS[mechanism]
    training = STUDY["training"] | {"batch_size": 2} | changed
    if mechanism == "shared":
        del training["local_epochs"]
    model, data = {"network": network}, STUDY["data"] | {"image_size": size}
    task_keys = {"task": dict(usual_keys(task))}
    return Study.model_validate(STUDY | {"model": model, "data": data, "training": training} | task_keys | more)


def step(study: Study, device: str = CPU) -> np.ndarray:
    """Make a round of a study on a device, and return what it gave."""
    local, size = LOCAL_TASKS[study.task.name], study.data.square
    images = insecure_stream(1, "images").uniform(2 * size * size).astype(np.float32).reshape(2, 1, size, size)
    targets = local.noise(study.task, 2, (size, size)).numpy()
    examples = Examples(images, np.arange(2), targets, np.arange(2))
    built, plan = build(study, device), plan_privacy(study, 2)
    start = networks.read_vector(built.network)
    run = LocalRun(study, built.network, built.layout, examples, plan, insecure_stream(1, "hospital"))
    if isinstance(study.privacy, DistributedDpSgd):
        return gradient_sum(run, start, 1, NoisySum.of(study, study.privacy, 3, 3)).view(np.int32)
    return train(run, start, 1).update


def runs(network: torch.nn.Module, size: int) -> bool:
    try:
        copy.deepcopy(network).train()(torch.rand(2, 1, size, size))
    except (ValueError, RuntimeError):  # a norm over one value; a map that is smaller than the kernel
        return False
    return True
