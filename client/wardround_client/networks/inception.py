"""A small network of Inception blocks: several widths of view side by side (Szegedy et al., CVPR 2016).

Each block joins 1 × 1, 3 × 3 and two 3 × 3 convolutions and a pooled branch; a lesion may be of any of these sizes.
"""

from __future__ import annotations

import torch
from torch import nn

from wardround_client.networks._layers import AVERAGES, CONVOLUTION, POOLING, normalisation
from wardround_client.networks._network import Network
from wardround_common.study.model import Norm

STAGES = ((96, 128), (192, 256), (256, 320))


class Block(nn.Module):
    """Four branches of a quarter of the outputs each."""

    def __init__(self, before: int, after: int, norm: Norm, dims: int) -> None:
        super().__init__()
        part = after // 4

        def step(given: int, kernel: int) -> list[nn.Module]:
            convolution = CONVOLUTION[dims - 1](given, part, kernel, padding=kernel // 2, bias=False)
            return [convolution, normalisation(norm, part, dims), nn.ReLU()]

        self.branches = nn.ModuleList(
            [
                nn.Sequential(*step(before, 1)),
                nn.Sequential(*step(before, 1), *step(part, 3)),
                nn.Sequential(*step(before, 1), *step(part, 3), *step(part, 3)),
                nn.Sequential(POOLING[dims - 1](3, stride=1, padding=1), *step(before, 1)),
            ]
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return maps (images, after, *size)."""
        return torch.cat([branch(maps) for branch in self.branches], dim=1)


def _build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    layers: list[nn.Module] = [CONVOLUTION[dims - 1](channels, 64, 5, stride=2, padding=2, bias=False)]
    layers += [normalisation(norm, 64, dims), nn.ReLU()]
    before = 64
    for stage in STAGES:
        layers.append(POOLING[dims - 1](3, stride=2, padding=1))
        for after in stage:
            layers.append(Block(before, after, norm, dims))
            before = after
    return nn.Sequential(*layers, AVERAGES[dims - 1](1), nn.Flatten(), nn.Linear(before, outputs))


NETWORK = Network(_build, "six Inception blocks, 0.7 million weights in 2D, 1.8 in 3D", dims=(2, 3))
