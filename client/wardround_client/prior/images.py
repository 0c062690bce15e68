"""Images that nobody took: round organs of random texture, half of them with something in them that does not belong.

Dead leaves (Lee et al., *Occlusion models for natural images*, IJCV 2001): discs of random size, place and brightness
that cover one another have edges and scales as photographs do, and networks that learn from such images learn features
that hold for real ones (Baradad et al., *Learning to see by looking at noise*, NeurIPS 2021; with differential privacy,
Tang et al., *Differentially private image classification by learning priors from random processes*, NeurIPS 2023).
Here they fill an oval on a dark ground, in half of the images mirrored, as bodies are. Into half of them a spot of
another brightness with an uneven, soft edge is planted, as *foreign patches* are (Tan et al., MELBA 2022).
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

LEAVES = 28
"""Discs of an image; the last cover the first."""


def generated(count: int, size: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw images (count, 1, size, size) from 0 to 1, and whether a spot was planted into each: (count,) int64."""
    y, x = torch.meshgrid(*[(torch.arange(size) + 0.5) / size * 2 - 1] * 2, indexing="ij")
    draw = Draw(count, generator)
    texture = leaves(draw, x, y)
    mirrored = 0.5 * (texture + texture.flip(2))
    texture = torch.where(draw.chance(0.5), mirrored, texture)
    organ = blob(draw, x, y, draw.between(-0.08, 0.08), draw.between(-0.08, 0.08), draw.between(0.6, 0.95), 0.06)
    contrast = draw.between(0.15, 0.6)
    inside = 0.45 + contrast * (texture - 0.5)
    rim = (organ * (1 - organ) * 4).square() * draw.between(0.0, 0.5)
    spot_size = torch.exp(draw.between(math.log(0.07), math.log(0.35)))
    way, far = draw.between(0.0, 2 * math.pi), draw.between(0.0, 0.5)
    spot = blob(draw, x, y, far * torch.cos(way), far * torch.sin(way), spot_size, 0.25)
    planted = draw.chance(0.5)
    brighter = torch.where(draw.chance(0.75), 1.0, -1.0) * draw.between(0.12, 0.5)
    own = draw.between(0.0, 1.0) * (waves(draw, x, y) * 0.15)
    inside = inside + planted * spot * (brighter + own)
    images = organ * inside + rim + 0.02 * draw.between(0.0, 1.0)
    images = images + draw.between(0.0, 0.05) * torch.randn(images.shape, generator=generator)
    images = blurred(images, draw) * (1 + draw.between(-0.25, 0.25) * x + draw.between(-0.25, 0.25) * y)
    return stretched(images).unsqueeze(1), planted.view(count).long()


class Draw:
    """Draws a number for each of some images: (count, 1, 1)."""

    def __init__(self, count: int, generator: torch.Generator) -> None:
        self.count, self.generator = count, generator

    def between(self, low: float, high: float) -> torch.Tensor:
        """Draw evenly."""
        return low + (high - low) * torch.rand(self.count, 1, 1, generator=self.generator)

    def chance(self, share: float | torch.Tensor) -> torch.Tensor:
        """Draw yes or no, yes with this chance, or with each image's own (count, 1, 1)."""
        return torch.rand(self.count, 1, 1, generator=self.generator) < share


def leaves(draw: Draw, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Lay discs on one another; small ones are more frequent, by the inverse cube of their radius."""
    images = draw.between(0.0, 1.0).expand(-1, *x.shape)
    for _ in range(LEAVES):
        u = draw.between(0.0, 1.0)
        radius = (u / 0.05**2 + (1 - u) / 0.6**2).rsqrt()
        angle, narrow = draw.between(0.0, math.pi), draw.between(0.4, 1.0)
        dx, dy = x - draw.between(-1.0, 1.0), y - draw.between(-1.0, 1.0)
        along, across = dx * angle.cos() + dy * angle.sin(), dy * angle.cos() - dx * angle.sin()
        covered = along.square() + (across / narrow).square() < radius.square()
        images = torch.where(covered, draw.between(0.0, 1.0) + draw.between(-0.2, 0.2) * along / radius, images)
    return images


def blob(
    draw: Draw,
    x: torch.Tensor,
    y: torch.Tensor,
    left: torch.Tensor,
    top: torch.Tensor,
    size: torch.Tensor,
    rough: float,
) -> torch.Tensor:
    """Return how much each place is within a round thing with an uneven, soft edge: 0 to 1."""
    dx, dy = (x - left) / draw.between(0.75, 1.0), y - top
    angle, reach = torch.atan2(dy, dx), (dx.square() + dy.square()).sqrt()
    edge = size.expand(-1, *x.shape)
    for lobes in (2, 3, 5):
        edge = edge * (1 + rough / lobes**0.5 * draw.between(-1, 1) * torch.cos(lobes * angle + draw.between(0, 6.3)))
    soft = draw.between(0.02, 0.08)
    return torch.sigmoid((edge - reach) / soft)


def waves(draw: Draw, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """Draw a plane wave for each image, from -1 to 1."""
    rate, angle = draw.between(4.0, 16.0), draw.between(0.0, math.pi)
    return torch.cos(rate * (x * angle.cos() + y * angle.sin()) + draw.between(0.0, 6.3))


def blurred(images: torch.Tensor, draw: Draw) -> torch.Tensor:
    """Blur each by its own share of a small kernel."""
    soft = functional.avg_pool2d(functional.pad(images.unsqueeze(1), (1, 1, 1, 1), mode="replicate"), 3, 1).squeeze(1)
    share = draw.between(0.0, 1.0)
    return share * soft + (1 - share) * images


def stretched(images: torch.Tensor) -> torch.Tensor:
    """Bring each image's 0.5 and 99.5 per cent to 0 and 1, as a study's intensity 'percentile' does."""
    ordered = images.flatten(1).sort(dim=1).values
    low, high = (ordered[:, int(share * (ordered.shape[1] - 1))].view(-1, 1, 1) for share in (0.005, 0.995))
    return ((images - low) / (high - low + 1e-6)).clamp(0, 1)
