"""Random views of training images: a whole batch at once, drawn from the hospital's stream.

MONAI's random transforms work on one image at a time and draw from NumPy's Mersenne Twister. These few are
one resampling of the batch, cost a few per cent of a step, and draw from the stream cipher that a private step needs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch.nn import functional

from wardround_client.training.supply import sent
from wardround_common.randomness import Stream
from wardround_common.study.file import Augmentation

SHIFT = 0.05  # of the image's width and height
ROTATE = math.radians(15)
SCALE = 0.10
Move = Callable[[torch.Tensor, torch.Tensor, tuple[int, ...]], torch.Tensor]
GAMMA, GAIN, OFFSET = 0.3, 0.15, 0.075  # of intensities from 0 to 1; gamma as the logarithm of its exponent


def augment(
    images: torch.Tensor,
    targets: torch.Tensor,
    augmentations: Sequence[Augmentation],
    stream: Stream,
    move: Move | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return a random view of each image (images, channels, *space) of a batch, and its target; edges are drawn out.

    Targets with the images' space, (images, *space) or (images, channels, *space), are seen in the same view: whole
    numbers, which name what is there, by their nearest neighbour. Any other target is what ``move`` makes of it, from
    targets, matrices (images, 2, 3) and space; without one it stays as it is. An image's intensities are never a
    target's. A volume (depth, height, width) is moved within its slices, all of them alike.
    """
    count = len(images)
    moved = targets if move is None and targets.dim() > 2 and targets.shape[-2:] == images.shape[-2:] else None
    chosen = set(augmentations)
    draws = sent(stream.uniform(8 * count).astype(np.float32).reshape(8, count), images.device)
    centred = 2 * draws - 1  # (8, images), from -1 to 1
    if chosen & {"shift", "rotate", "scale"}:
        angle = ROTATE * centred[0] if "rotate" in chosen else torch.zeros_like(centred[0])
        zoom = 1 + SCALE * centred[1] if "scale" in chosen else torch.ones_like(centred[1])
        shift = 2 * SHIFT * centred[2:4] if "shift" in chosen else torch.zeros_like(centred[2:4])
        mirror = torch.where(draws[4] < 0.5, -1.0, 1.0) if "flip" in chosen else torch.ones_like(draws[4])
        cosine, sine = zoom * angle.cos(), zoom * angle.sin()
        rows = [cosine * mirror, -sine, shift[0], sine * mirror, cosine, shift[1]]
        matrices = torch.stack(rows, dim=1).view(count, 2, 3)
        grid = functional.affine_grid(matrices, [count, 1, *images.shape[-2:]], align_corners=False)
        if moved is not None:
            targets = _sampled(moved, grid)
        elif move is not None:
            targets = move(targets, matrices, tuple(images.shape[2:]))
        images = _sampled(images, grid)
    elif "flip" in chosen:
        mirrored = draws[4] < 0.5
        images = _flipped(images, mirrored)
        if moved is not None:
            targets = _flipped(moved, mirrored)
        elif move is not None:
            targets = move(targets, _mirrors(mirrored), tuple(images.shape[2:]))
    if "intensity" in chosen:
        exponent, gain, offset = (GAMMA * centred[5]).exp(), 1 + GAIN * centred[6], OFFSET * centred[7]
        exponent, gain, offset = (one.view(-1, *[1] * (images.dim() - 1)) for one in (exponent, gain, offset))
        images = images.clamp(min=0) ** exponent * gain + offset
    return images, targets


def _mirrors(mirrored: torch.Tensor) -> torch.Tensor:
    """Return the matrices (images, 2, 3) of images of which some (images,) are mirrored."""
    mirror = torch.where(mirrored, -1.0, 1.0)
    return torch.eye(2, 3, device=mirror.device) * torch.stack([mirror, torch.ones_like(mirror)], 1)[..., None]


def _sampled(values: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
    """Resample (images, …, height, width) at the places of the grid, each plane alike."""
    planes = values.reshape(len(values), -1, *values.shape[-2:])
    whole = not values.is_floating_point()
    seen = functional.grid_sample(
        planes.float() if whole else planes,
        grid,
        mode="nearest" if whole else "bilinear",
        padding_mode="border",
        align_corners=False,
    )
    return seen.to(values.dtype).view(values.shape)


def _flipped(values: torch.Tensor, which: torch.Tensor) -> torch.Tensor:
    return torch.where(which.view(-1, *[1] * (values.dim() - 1)), values.flip(-1), values)
