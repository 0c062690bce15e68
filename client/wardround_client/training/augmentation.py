"""Random views of training images: a whole batch at once, drawn from the hospital's stream.

MONAI's random transforms work on one image at a time and draw from NumPy's Mersenne Twister. These few are
one resampling of the batch, cost a few per cent of a step, and draw from the stream cipher that a private step needs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch.nn import functional

from wardround_common.randomness import Stream
from wardround_common.study.file import Augmentation

SHIFT = 0.05  # of the image's width and height
ROTATE = math.radians(15)
SCALE = 0.10
GAMMA, GAIN, OFFSET = 0.3, 0.15, 0.075  # of intensities from 0 to 1; gamma as the logarithm of its exponent


def augment(images: torch.Tensor, augmentations: Sequence[Augmentation], stream: Stream) -> torch.Tensor:
    """Give each image (images, channels, height, width) of a batch a random view of its own; edges are drawn out."""
    count = len(images)
    chosen = set(augmentations)
    draws = torch.from_numpy(stream.uniform(8 * count).astype(np.float32).reshape(8, count)).to(images.device)
    centred = 2 * draws - 1  # (8, images), from -1 to 1
    if chosen & {"shift", "rotate", "scale"}:
        angle = ROTATE * centred[0] if "rotate" in chosen else torch.zeros_like(centred[0])
        zoom = 1 + SCALE * centred[1] if "scale" in chosen else torch.ones_like(centred[1])
        shift = 2 * SHIFT * centred[2:4] if "shift" in chosen else torch.zeros_like(centred[2:4])
        mirror = torch.where(draws[4] < 0.5, -1.0, 1.0) if "flip" in chosen else torch.ones_like(draws[4])
        cosine, sine = zoom * angle.cos(), zoom * angle.sin()
        rows = [cosine * mirror, -sine, shift[0], sine * mirror, cosine, shift[1]]
        matrices = torch.stack(rows, dim=1).view(count, 2, 3)
        grid = functional.affine_grid(matrices, list(images.shape), align_corners=False)
        images = functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
    elif "flip" in chosen:
        images = torch.where((draws[4] < 0.5).view(-1, 1, 1, 1), images.flip(3), images)
    if "intensity" in chosen:
        exponent, gain, offset = (GAMMA * centred[5]).exp(), 1 + GAIN * centred[6], OFFSET * centred[7]
        exponent, gain, offset = (one.view(-1, 1, 1, 1) for one in (exponent, gain, offset))
        images = images.clamp(min=0) ** exponent * gain + offset
    return images
