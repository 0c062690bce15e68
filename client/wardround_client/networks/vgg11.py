"""A plain deep network of eight 3 × 3 convolutions (Simonyan and Zisserman, ICLR 2015, configuration A).

Each convolution has a normalisation behind it, and the mean over the last map stands in the place of the two wide
linear layers, which hold nine tenths of the original's weights.
"""

from __future__ import annotations

from torch import nn

from wardround_client.networks._layers import AVERAGES, CONVOLUTION, POOLING, normalisation
from wardround_client.networks._network import Network
from wardround_common.study.model import Norm

STAGES = ((64,), (128,), (256, 256), (512, 512), (512, 512))


def _build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    layers: list[nn.Module] = []
    before = channels
    for number, stage in enumerate(STAGES):
        if number:
            layers.append(POOLING[dims - 1](2))
        for after in stage:
            layers += [CONVOLUTION[dims - 1](before, after, 3, padding=1, bias=False)]
            layers += [normalisation(norm, after, dims), nn.ReLU()]
            before = after
    return nn.Sequential(*layers, AVERAGES[dims - 1](1), nn.Flatten(), nn.Linear(before, outputs))


NETWORK = Network(_build, "plain network of eight convolutions (VGG), 9 million weights")
