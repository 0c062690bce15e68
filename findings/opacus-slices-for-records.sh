#!/usr/bin/env bash
# opacus 1.6.0, torch 2.13.0, numpy 2.4.6.
# Behaviour: a network that takes a patient's slices (or patches, or views) one by one and returns the mean of their
# scores puts them into the batch axis. GradSampleModule takes the length of that axis for the number of records: each
# slice is clipped by itself and scaled as a record of a larger batch. One patient of 16 slices then moves the clipped
# sum by far more than the clipping norm to which the noise is scaled, and epsilon is stated for one. Nothing warns:
# make_private and each step pass. (A trained layer after the mean has gradients of another length, and is refused.)
# Expected: a refusal, as the number of gradients is not the number of records.
# Seen: "clipping norm 1: removing a patient moves the sum by 1.0 with 1 slice, 4.0 with 4, 15.9 with 16"
set -euo pipefail
place="$(mktemp -d)"
trap 'rm -rf "$place"' EXIT
python3 -m venv "$place/env"
"$place/env/bin/pip" install --quiet --disable-pip-version-check torch==2.13.0 numpy==2.4.6
"$place/env/bin/pip" install --quiet --disable-pip-version-check opacus==1.6.0 torch==2.13.0 numpy==2.4.6
"$place/env/bin/python" -W ignore - <<'PYTHON'
import sys

import torch
from opacus import PrivacyEngine
from torch import nn


class MeanOfSlices(nn.Module):
    """(batch, slices, height, width) to (batch, 2)."""

    def __init__(self):
        super().__init__()
        self.slice = nn.Sequential(
            nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)
        )

    def forward(self, volumes):
        scores = self.slice(volumes.flatten(0, 1).unsqueeze(1))
        return scores.unflatten(0, volumes.shape[:2]).mean(dim=1)


def moved(slices):
    """Return by how much the clipped sum of eight patients moves where the one that moves it most is removed."""
    torch.manual_seed(0)
    network = MeanOfSlices()
    volumes, labels = torch.randn(8, slices, 8, 8).abs() * 100, torch.arange(8) % 2
    network, optimiser, _ = PrivacyEngine().make_private(
        module=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
        data_loader=torch.utils.data.DataLoader(torch.utils.data.TensorDataset(volumes, labels), batch_size=8),
        noise_multiplier=0.0,
        max_grad_norm=1.0,
        poisson_sampling=False,
    )

    def clipped_sum(patients):
        optimiser.zero_grad()
        nn.functional.cross_entropy(network(volumes[patients]), labels[patients]).backward()
        optimiser.pre_step()
        return torch.cat([weight.summed_grad.flatten() for weight in network.parameters()])

    whole = clipped_sum(list(range(8)))
    return max((whole - clipped_sum([at for at in range(8) if at != out])).norm().item() for out in range(8))


one, four, many = moved(1), moved(4), moved(16)
print(
    f"clipping norm 1: removing a patient moves the sum by {one:.1f} with 1 slice, {four:.1f} with 4, "
    f"{many:.1f} with 16"
)
sys.exit(not (one <= 1.001 and four > 2 and many > 8))
PYTHON
