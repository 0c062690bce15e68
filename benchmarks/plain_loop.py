"""A round of federated averaging as a plain PyTorch loop, which a worker process can import.

It trains the same batches of the same prepared images as a simulated round, scores the same validation images and
averages with ``torch``; it sends, checks, journals and saves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from wardround_client import networks
from wardround_client.hospital.answering import Hospital
from wardround_common.study.file import Study
from wardround_simulation.federation import Federation, open_hospital


def plain_round(hospitals: list[Hospital], of: Study) -> None:
    """Do one round as a plain loop."""
    network = networks.build(of)
    start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    total = {name: torch.zeros_like(tensor) for name, tensor in start.items()}
    examples = 0
    for hospital in hospitals:
        network.load_state_dict(start)
        network.train()
        optimiser = torch.optim.SGD(network.parameters(), of.training.learning_rate)
        data = hospital.dataset.train
        images, labels = torch.from_numpy(data.images(slice(None))), torch.from_numpy(data.targets)
        for rows in torch.randperm(len(labels)).split(of.training.batch_size):
            optimiser.zero_grad()
            torch.nn.functional.cross_entropy(network(images[rows]), labels[rows]).backward()
            optimiser.step()
        for name, tensor in network.state_dict().items():
            total[name] += tensor * len(labels)
        examples += len(labels)
    network.load_state_dict({name: tensor / examples for name, tensor in total.items()})
    network.eval()
    with torch.no_grad():
        for hospital in hospitals:
            network(torch.from_numpy(hospital.dataset.validation.images(slice(None)))).softmax(1)


def plain_rounds(federation: Federation, names: Sequence[str]) -> None:
    """Do a plain loop's round over some of the hospitals, in a process that has them open."""
    plain_round([open_hospital(federation, name) for name in names], federation.study)
