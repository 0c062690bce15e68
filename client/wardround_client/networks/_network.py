"""What a network's file says of it: how it is built, and what it is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from wardround_common.study.model import Norm


class Build(Protocol):
    """Builds a network with torch's generator as it is."""

    def __call__(self, channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
        """Map (images, channels, *size) float32 to (images, outputs), or to (images, outputs, *size) if it is dense.

        ``dims``: 2 or 3, the spatial dimensions of an image.
        """


@dataclass(frozen=True)
class Network:
    """One network that a study can name; its name is that of its file, with hyphens for underscores."""

    build: Build
    caption: str
    """What it is and about how many weights are trained, for a person who chooses."""
    dense: bool = False
    """Whether it gives outputs for each place of an image, or for the image: what a task reads (``Task.dense``)."""
    dims: tuple[int, ...] = (2,)
    generates: bool = False
    """Whether it makes images, and says of an image how well it made it again: what a task reads (``Task.generates``).
    Its outputs are an odd number, 3 or more."""


class Computed(nn.Module):
    """A network that computes from made images what another learns from them step by step."""

    features: nn.Module
    """Says of images (images, channels, height, width) what it computes from: (images, count)."""

    def learn_from(self, features: torch.Tensor, planted: torch.Tensor) -> None:
        """Take made images' features (images, count), and for each whether a spot is planted: 0 or 1."""
        raise NotImplementedError


def inside(network: nn.Module) -> str:
    """Return where a network has the one for single images that it was made of; nothing where it is that one."""
    return getattr(network, "INSIDE", "")


def body_of(network: nn.Module) -> nn.Module:
    """Return what sees each image by itself: the network, or the one that it was made of."""
    return network.get_submodule(inside(network))
