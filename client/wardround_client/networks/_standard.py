"""A network that standardises its input first, with the mean and deviation that all hospitals have."""

from __future__ import annotations

import torch
from torch import nn

from wardround_common.study.before import INPUT_TENSORS

MEAN, DEVIATION = INPUT_TENSORS
"""The names of its two tensors, which no gradient changes."""


class Standardised(nn.Module):
    """Subtracts a mean and divides by a deviation, channel by channel, and asks the network.

    Before the first round the mean is 0 and the deviation 1.
    """

    def __init__(self, network: nn.Module, channels: int) -> None:
        super().__init__()
        self.network = network
        self.register_buffer(MEAN, torch.zeros(channels))
        self.register_buffer(DEVIATION, torch.ones(channels))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return what the network says of the standardised images (images, channels, *space)."""
        shape = (1, -1, *([1] * (images.dim() - 2)))
        mean, deviation = self.get_buffer(MEAN).view(shape), self.get_buffer(DEVIATION).view(shape)
        said: torch.Tensor = self.network((images - mean) / deviation)
        return said
