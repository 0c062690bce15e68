"""A plain convolutional network for labels, in several widths."""

from __future__ import annotations

import torch
from torch import nn

from wardround_client.networks._layers import CONVOLUTION, POOLING, normalisation
from wardround_client.networks._network import Build
from wardround_common.study.model import Norm


class PlainCnn(nn.Module):
    """Four convolutions, each followed by a normalisation; mean and maximum over the last map; one linear layer.

    The maximum finds what is small, the mean what is wide.
    """

    def __init__(
        self, channels: int, classes: int, norm: Norm, widths: tuple[int, int, int, int], dims: int = 2
    ) -> None:
        super().__init__()
        one, two, three, four = widths
        pooling = POOLING[dims - 1]
        self.features = nn.Sequential(
            *_convolution(channels, one, norm, dims, kernel=5, stride=2),
            *_convolution(one, two, norm, dims),
            pooling(2),
            *_convolution(two, three, norm, dims),
            pooling(2),
            *_convolution(three, four, norm, dims),
        )
        self.classify = nn.Linear(2 * four, classes)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (images, classes)."""
        maps = self.features(images)  # (images, widths[3], size / 8, size / 8)
        space = tuple(range(2, maps.ndim))
        return self.classify(torch.cat([maps.mean(space), maps.amax(space)], dim=1))  # type: ignore[no-any-return]


def _convolution(before: int, after: int, norm: Norm, dims: int, kernel: int = 3, stride: int = 1) -> list[nn.Module]:
    convolution = CONVOLUTION[dims - 1](before, after, kernel, stride, padding=kernel // 2, bias=False)
    return [convolution, normalisation(norm, after, dims), nn.ReLU()]


def plain_cnn(*widths: int) -> Build:
    """Return how to build one of these widths."""
    one, two, three, four = widths

    def build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
        return PlainCnn(channels, outputs, norm, (one, two, three, four), dims)

    return build
