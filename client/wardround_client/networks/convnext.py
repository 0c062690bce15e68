"""A small ConvNeXt (Liu et al., *A ConvNet for the 2020s*, CVPR 2022), as narrow as its 'atto'.

Blocks of a 7 × 7 convolution by channel, a normalisation, and two 1 × 1 convolutions around a GELU, added to their
input. The study's normalisation stands where the original has one over channels, and nothing scales a block's output:
that scale begins at a millionth, which a few rounds do not leave.
"""

from __future__ import annotations

import torch
from torch import nn

from wardround_client.networks._layers import AVERAGES, CONVOLUTION, normalisation
from wardround_client.networks._network import Network
from wardround_common.study.model import Norm

WIDTHS, DEPTHS = (40, 80, 160, 320), (2, 2, 6, 2)


class Block(nn.Module):
    """One block; it keeps the shape of its input."""

    def __init__(self, width: int, norm: Norm, dims: int) -> None:
        super().__init__()
        convolution = CONVOLUTION[dims - 1]
        self.body = nn.Sequential(
            convolution(width, width, 7, padding=3, groups=width),
            normalisation(norm, width, dims),
            convolution(width, 4 * width, 1),
            nn.GELU(),
            convolution(4 * width, width, 1),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """Return maps (images, width, *size)."""
        return maps + self.body(maps)  # type: ignore[no-any-return]


def _build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    convolution = CONVOLUTION[dims - 1]
    layers: list[nn.Module] = [convolution(channels, WIDTHS[0], 4, stride=4), normalisation(norm, WIDTHS[0], dims)]
    for number, (width, depth) in enumerate(zip(WIDTHS, DEPTHS, strict=True)):
        if number:
            before = WIDTHS[number - 1]
            layers += [normalisation(norm, before, dims), convolution(before, width, 2, stride=2)]
        layers += [Block(width, norm, dims) for _ in range(depth)]
    return nn.Sequential(*layers, AVERAGES[dims - 1](1), nn.Flatten(), nn.Linear(WIDTHS[-1], outputs))


NETWORK = Network(_build, "small ConvNeXt of twelve blocks, 3.4 million weights in 2D, 4.2 in 3D", dims=(2, 3))
