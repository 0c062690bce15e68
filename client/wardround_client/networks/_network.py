"""What a network's file says of it: how it is built, and what it is for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import nn

from wardround_common.study.file import Norm


class Build(Protocol):
    """Builds a network with torch's generator as it is."""

    def __call__(self, channels: int, outputs: int, norm: Norm, dims: int) -> nn.Module:
        """Map (images, channels, *size) float32 to what the task reads.

        Classification: (images, outputs) logits. Segmentation: (images, outputs, *size) logits. ``dims``: 2 or 3, the
        spatial dimensions of an image.
        """


@dataclass(frozen=True)
class Network:
    """One network that a study can name; its name is that of its file, with hyphens for underscores."""

    build: Build
    caption: str
    """What it is and about how many weights are trained, for a person who chooses."""
    tasks: tuple[str, ...] = ("classification",)
    """The tasks that read what it gives, by their names in a study."""
    dims: tuple[int, ...] = (2,)
