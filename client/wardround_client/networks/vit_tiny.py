"""A small vision transformer (Dosovitskiy et al., ICLR 2021).

MONAI's is for images of one size, returns the output of every block, and holds a normalisation for a second input that
nothing uses. Here places are told by fixed waves, so that any size is taken, and the classifier reads the mean over
patches. Nothing normalises over maps: the study's ``norm`` says nothing here.
"""

from __future__ import annotations

import math

import torch
from torch import nn
from torch.nn import functional

from wardround_client.networks._layers import CONVOLUTION
from wardround_client.networks._network import Network
from wardround_common.study.model import Norm

WIDTH, HEADS, DEPTH, PATCH = 192, 3, 6, 8
LONGEST_WAVE = 10_000.0


class Block(nn.Module):
    """Attention among all patches, and two layers for each of them, both added to what goes in."""

    def __init__(self) -> None:
        super().__init__()
        self.before_attention = nn.LayerNorm(WIDTH)
        self.ask = nn.Linear(WIDTH, 3 * WIDTH)
        self.answer = nn.Linear(WIDTH, WIDTH)
        self.each = nn.Sequential(
            nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH)
        )

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        """Return tokens (images, patches, WIDTH)."""
        asked = self.ask(self.before_attention(tokens)).unflatten(2, (3, HEADS, WIDTH // HEADS))
        query, key, value = asked.permute(2, 0, 3, 1, 4)  # each (images, HEADS, patches, WIDTH / HEADS)
        seen = functional.scaled_dot_product_attention(query, key, value)
        tokens = tokens + self.answer(seen.transpose(1, 2).flatten(2))
        return tokens + self.each(tokens)  # type: ignore[no-any-return]


class Transformer(nn.Module):
    """Patches, blocks of attention among all of them, and the mean."""

    def __init__(self, channels: int, outputs: int, dims: int) -> None:
        super().__init__()
        self.patches = CONVOLUTION[dims - 1](channels, WIDTH, PATCH, stride=PATCH)
        self.blocks = nn.Sequential(*(Block() for _ in range(DEPTH)))
        self.norm = nn.LayerNorm(WIDTH)
        self.classify = nn.Linear(WIDTH, outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Return logits (images, outputs)."""
        maps = self.patches(images)
        waves = _waves(tuple(int(size) for size in maps.shape[2:])).to(maps)
        tokens = maps.flatten(2).transpose(1, 2) + waves  # (images, patches, WIDTH)
        return self.classify(self.norm(self.blocks(tokens)).mean(1))  # type: ignore[no-any-return]


def _waves(extent: tuple[int, ...]) -> torch.Tensor:
    """Return sines and cosines of each place along each axis: (places, WIDTH)."""
    count = WIDTH // (2 * len(extent))
    rates = torch.exp(torch.arange(count) * (-math.log(LONGEST_WAVE) / count))
    axes = torch.meshgrid(*(torch.arange(float(size)) for size in extent), indexing="ij")
    return torch.cat([wave(axis.reshape(-1, 1) * rates) for axis in axes for wave in (torch.sin, torch.cos)], dim=1)


def _build(channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
    return Transformer(channels, outputs, dims)


NETWORK = Network(_build, "vision transformer of six blocks, 2.7 million weights in 2D, 2.8 in 3D", dims=(2, 3))
