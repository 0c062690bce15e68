"""Two convolutions: the smallest network that sees a shape."""

from __future__ import annotations

from torch import nn

from wardround_client.networks import Network, normalisation
from wardround_common.study.model import Norm


def build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    """Return the network, for images (records, channels, rows, columns)."""
    return nn.Sequential(
        nn.Conv2d(channels, 8, 3, stride=2, padding=1),
        normalisation(norm, 8, dims),
        nn.ReLU(),
        nn.Conv2d(8, 8, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, outputs),
    )


NETWORK = Network(build, "two convolutions, some thousand weights")
