"""A convolutional variational auto-encoder, in several widths: from an image to latent numbers, and back.

What it says of an image is how far off its reconstruction is, and where the image lies among the latent numbers: its
loss needs nothing else, so that it trains as any other network does. In a training pass the latent numbers are drawn
around their mean (the reparameterisation of Kingma and Welling, ICLR 2014), for each image anew and from torch's
generator, which a round's local work seeds from the hospital's stream; otherwise they are their mean. Nothing of one
image depends on another.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional

from wardround_client.networks._layers import normalisation
from wardround_client.networks._network import Build
from wardround_common.study.model import Norm

GRID = 4
"""Height and width of the map that the latent numbers are made of, and of the one that an image is made from."""
STEPS = 3
"""How often the encoder halves an image, and the decoder doubles its map."""
LIMIT = 6.0
"""Of the logarithm of a variance: further it cannot go, so that noise for privacy makes none infinite."""

APART = 3.0
"""How far the mean of each class lies from the origin, along a latent number of its own, in standard deviations."""


class VariationalAutoEncoder(nn.Module):
    """Encodes images (images, channels, rows, columns) from 0 to 1, and makes images from latent numbers."""

    def __init__(self, channels: int, latent: int, norm: Norm, widths: tuple[int, int, int]) -> None:
        super().__init__()
        self.channels, self.latent, self.deepest = channels, latent, widths[-1]
        self.encoder = nn.Sequential(
            *(layer for pair in pairwise((channels, *widths)) for layer in _halving(*pair, norm))
        )
        self.to_latent = nn.Linear(widths[-1] * GRID**2, 2 * latent)
        self.from_latent = nn.Linear(latent, widths[-1] * GRID**2)
        narrower = (widths[-1], *reversed(widths))
        self.decoder = nn.ModuleList(nn.Sequential(*_convolution(*pair, norm)) for pair in pairwise(narrower))
        self.to_pixels = nn.Conv2d(widths[0], channels, 3, padding=1)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return (images, 1 + 2 · latent): mean squared error of a pixel, means and log-variances."""
        return self.judged(images)[0]

    def judged(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return what is said of images, and the latent numbers (images, latent) that they were made again from."""
        mean, spread = self.encode(images)
        drawn = mean + (spread / 2).exp() * torch.randn_like(mean) if self.training else mean
        made = self.decode(drawn, (images.shape[2], images.shape[3]))
        squared = (made - images).square().flatten(1).mean(dim=1, keepdim=True)
        return torch.cat([squared, mean, spread], dim=1), drawn

    def encode(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Return means and log-variances of the latent numbers, (images, latent) each."""
        maps = functional.adaptive_avg_pool2d(self.encoder(images), GRID)
        mean, spread = self.to_latent(maps.flatten(1)).chunk(2, dim=1)
        return mean, LIMIT * torch.tanh(spread / LIMIT)

    def decode(self, latent: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
        """Return images (images, channels, *size) from 0 to 1 that are made from latent numbers (images, latent)."""
        maps = self.from_latent(latent).relu().view(-1, self.deepest, GRID, GRID)
        for step, convolution in enumerate(self.decoder):
            part = 2 ** (STEPS - step)
            maps = convolution(_resized(maps, (-(-size[0] // part), -(-size[1] // part))))
        return self.to_pixels(_resized(maps, size)).sigmoid()  # type: ignore[no-any-return]


def class_means(classes: int, latent: int, device: torch.device | None = None) -> torch.Tensor:
    """Return the mean of the latent numbers of each class (classes, latent); of a single class, zeros."""
    return APART * torch.eye(classes, latent, device=device) if classes > 1 else torch.zeros(1, latent, device=device)


def _resized(maps: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    return functional.interpolate(maps, size, mode="bilinear", align_corners=False)


def _convolution(before: int, after: int, norm: Norm, stride: int = 1) -> list[nn.Module]:
    return [
        nn.Conv2d(before, after, 3, stride, padding=1, bias=False),
        normalisation(norm, after, 2),
        nn.ReLU(),
    ]


def _halving(before: int, after: int, norm: Norm) -> list[nn.Module]:
    return _convolution(before, after, norm, stride=2)


def vae(*widths: int) -> Build:
    """Return how to build one of these widths."""
    one, two, three = widths

    def build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
        if outputs < 3 or outputs % 2 == 0:
            raise ValueError(f"an auto-encoder says an error, means and as many log-variances, and not {outputs}")
        return VariationalAutoEncoder(channels, outputs // 2, norm, (one, two, three))

    return build
