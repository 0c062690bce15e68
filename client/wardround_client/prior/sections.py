"""Sections through bodies that nobody has: in half of them a spot that does not belong there.

Like :mod:`~wardround_client.prior.images` they are dead leaves in a round outline, and nobody took them. They differ
more from one another, as the slices of a volume do: some outlines are small, as near a volume's ends; some are full of
contrasts and uneven, as a face is; most have a bright rim with a dark one below it, as skin and bone are, and pairs of
hollows on both sides. A spot is likelier where there is more of an even inside for it, and mostly brighter than that.

That much is general knowledge of sections, written down by people who have seen some.
"""

from __future__ import annotations

import math

import torch

from wardround_client.prior.images import Draw, blob, blurred, leaves, stretched, waves


def sections(count: int, size: int, generator: torch.Generator) -> tuple[torch.Tensor, torch.Tensor]:
    """Draw images (count, 1, size, size) from 0 to 1, and whether a spot was planted into each: (count,) int64."""
    y, x = torch.meshgrid(*[(torch.arange(size) + 0.5) / size * 2 - 1] * 2, indexing="ij")
    draw = Draw(count, generator)
    texture = leaves(draw, x, y)
    texture = torch.where(draw.chance(0.7), 0.5 * (texture + texture.flip(2)), texture)
    left, top = draw.between(-0.1, 0.1), draw.between(-0.1, 0.1)
    small = draw.chance(0.2)
    radius = torch.where(small, draw.between(0.1, 0.5), draw.between(0.5, 0.95))
    busy = draw.chance(0.25) & ~small
    depth = _depth(draw, x, y, left, top, radius, busy)
    level = draw.between(0.25, 0.6)
    contrast = torch.where(busy, draw.between(0.5, 1.4), draw.between(0.03, 0.35))
    inside = level + contrast * (texture - 0.5) * level * 2
    for bright, chance in ((False, 0.5), (False, 0.4), (True, 0.2)):
        strength = draw.between(0.1, 0.5) if bright else -draw.between(0.3, 1.0)
        inside = inside + draw.chance(chance) * _pair(draw, x - left, y - top, radius) * strength * level
    between = torch.exp(-((x - left) / 0.02).square())
    inside = inside - draw.chance(0.4) * draw.between(0.0, 0.3) * level * between
    roomy = torch.where(small, torch.where(radius > 0.35, 0.45, 0.1), 0.75)
    planted = draw.chance(torch.where(busy, 0.15, roomy))
    spot = _spot(draw, x, y, left, top, radius)
    second = draw.chance(0.2)
    spot = torch.maximum(spot, _spot(draw, x, y, left, top, radius) * second)
    brighter = torch.where(draw.chance(0.85), 1.0, -1.0) * draw.between(0.15, 1.0) * 1.2
    own = draw.between(0.0, 1.0) * waves(draw, x, y) * 0.15
    inside = (inside + planted * spot * (brighter + own) * level).clamp(min=0)
    there = ~draw.chance(0.04)
    images = _layered(draw, depth, radius, inside) * there
    reach = x.square() + y.square()
    shade = 1 + draw.between(-0.3, 0.3) * x + draw.between(-0.3, 0.3) * y + draw.between(-0.2, 0.3) * reach
    images = blurred(images, draw) * shade
    images = images + draw.between(0.0, 0.05) * torch.randn(images.shape, generator=generator).abs()
    return stretched(images).unsqueeze(1), (planted & there).view(count).long()


def _depth(
    draw: Draw,
    x: torch.Tensor,
    y: torch.Tensor,
    left: torch.Tensor,
    top: torch.Tensor,
    radius: torch.Tensor,
    busy: torch.Tensor,
) -> torch.Tensor:
    """Return how far each place lies within an uneven outline: below 0 outside."""
    dx, dy = (x - left) / draw.between(0.7, 1.0), y - top
    angle = torch.atan2(dy, dx)
    edge = radius.expand(-1, *x.shape)
    for lobes in (2, 3, 5, 8):
        rough = torch.where(busy, 0.16, 0.05) / lobes**0.5
        edge = edge * (1 + rough * draw.between(-1, 1) * torch.cos(lobes * angle + draw.between(0, 6.3)))
    return edge - (dx.square() + dy.square()).sqrt()


def _pair(draw: Draw, dx: torch.Tensor, dy: torch.Tensor, radius: torch.Tensor) -> torch.Tensor:
    """Return how much each place is within one of two ovals, one on each side: 0 to 1."""
    far, high, size = draw.between(0.05, 0.45), draw.between(-0.5, 0.5), draw.between(0.04, 0.2) * radius
    narrow, flat = draw.between(0.3, 1.0), draw.between(0.5, 1.5)
    both = torch.zeros_like(dx)
    for side in (1, -1):
        reach = (((dx - side * far * radius) / narrow).square() + ((dy - high * radius) / flat).square()).sqrt()
        both = both + torch.sigmoid((size - reach) / 0.02)
    return both.clamp(0, 1)


def _spot(
    draw: Draw, x: torch.Tensor, y: torch.Tensor, left: torch.Tensor, top: torch.Tensor, radius: torch.Tensor
) -> torch.Tensor:
    """Return how much each place is within a spot off the middle: 0 to 1."""
    size = torch.exp(draw.between(math.log(0.1), math.log(0.42))) * radius
    way, far = draw.between(0.0, 2 * math.pi), draw.between(0.15, 0.7) * radius
    return blob(draw, x, y, left + far * torch.cos(way), top + far * torch.sin(way), size, 0.3)


def _layered(draw: Draw, depth: torch.Tensor, radius: torch.Tensor, inside: torch.Tensor) -> torch.Tensor:
    """Put a bright rim and a dark one below it around most insides, and nothing outside."""
    soft = draw.between(0.01, 0.04)
    bright, dark = draw.between(0.02, 0.14) * radius, draw.between(0.0, 0.1) * radius
    outline = torch.sigmoid(depth / soft)
    below = torch.sigmoid((depth - bright) / (0.7 * soft))
    core = torch.sigmoid((depth - bright - dark) / (0.7 * soft))
    rim, bone = draw.between(0.5, 1.4), draw.between(0.0, 0.25)
    layered = outline * (1 - below) * rim + below * (1 - core) * bone + core * inside
    return torch.where(draw.chance(0.75), layered, outline * inside)
