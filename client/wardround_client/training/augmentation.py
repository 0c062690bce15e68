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
from wardround_common.study.training import Augmentation

SHIFT = 0.05  # of the image's width and height
ROTATE = math.radians(15)
SCALE = 0.10
Move = Callable[[torch.Tensor, torch.Tensor, tuple[int, ...]], torch.Tensor]
ELASTIC, KNOTS = 0.15, 5
"""How far a place is moved at most, of half the width and height, and at how many places along a side that is drawn:
little enough that a view is hardly ever folded: none of 20,000, and 12 of those that are a tenth smaller, too."""
SHADING = 0.25
"""Of each term of the logarithm of a field that is linear and quadratic in rows and columns, at most."""
BLUR, REACH = 1.2, 4
"""Standard deviation in pixels at most, and pixels to either side that are looked at."""
NOISE = 0.05
"""Standard deviation at most."""
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
    target's. A volume (depth, height, width) is moved, bent and shaded within its slices, all of them alike.

    What is drawn for an image depends on no other image, and what one augmentation draws on no other one.
    """
    count = len(images)
    moved = targets if move is None and targets.dim() > 2 and targets.shape[-2:] == images.shape[-2:] else None
    chosen = set(augmentations)
    draws = sent(stream.uniform(8 * count).astype(np.float32).reshape(8, count), images.device)
    centred = 2 * draws - 1  # (8, images), from -1 to 1
    if chosen & {"shift", "rotate", "scale", "elastic"}:
        angle = ROTATE * centred[0] if "rotate" in chosen else torch.zeros_like(centred[0])
        zoom = 1 + SCALE * centred[1] if "scale" in chosen else torch.ones_like(centred[1])
        shift = 2 * SHIFT * centred[2:4] if "shift" in chosen else torch.zeros_like(centred[2:4])
        mirror = torch.where(draws[4] < 0.5, -1.0, 1.0) if "flip" in chosen else torch.ones_like(draws[4])
        cosine, sine = zoom * angle.cos(), zoom * angle.sin()
        rows = [cosine * mirror, -sine, shift[0], sine * mirror, cosine, shift[1]]
        matrices = torch.stack(rows, dim=1).view(count, 2, 3)
        grid = functional.affine_grid(matrices, [count, 1, *images.shape[-2:]], align_corners=False)
        if "elastic" in chosen:
            grid = grid + _bends(count, images, stream.child("elastic"))
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
    if "shading" in chosen:
        images = images * _field(count, images, stream.child("shading"))
    if "blur" in chosen:
        images = _blurred(images, _drawn(stream.child("blur"), (count,), images))
    if "noise" in chosen:
        images = images + _noise(images, stream.child("noise"))
    return images, targets


def _drawn(stream: Stream, shape: tuple[int, ...], images: torch.Tensor) -> torch.Tensor:
    """Draw numbers from 0 to 1, of which the first axis is that of the images."""
    return sent(stream.uniform(math.prod(shape)).astype(np.float32).reshape(shape), images.device)


def _bends(count: int, images: torch.Tensor, stream: Stream) -> torch.Tensor:
    """Return by how much each place of a view lies elsewhere in its image: (images, height, width, 2), x and y.

    Displacements that are drawn at a few knots and smooth between them, as in Ronneberger et al., *U-Net*, MICCAI 2015.
    """
    drawn = _drawn(stream, (count, 2 * KNOTS * KNOTS + 1), images)
    knots = (2 * drawn[:, 1:] - 1).view(count, 2, KNOTS, KNOTS) * (ELASTIC * drawn[:, :1, None, None])
    smooth = functional.interpolate(knots, tuple(images.shape[-2:]), mode="bicubic", align_corners=True)
    return smooth.permute(0, 2, 3, 1)


def _field(count: int, images: torch.Tensor, stream: Stream) -> torch.Tensor:
    """Return a smooth positive field for each image, as a coil's sensitivity in MR: (images, 1, …, height, width)."""
    height, width = images.shape[-2:]
    y = torch.linspace(-1, 1, height, device=images.device)[:, None].expand(height, width)
    x = torch.linspace(-1, 1, width, device=images.device).expand(height, width)
    terms = torch.stack([x, y, x * y, x * x - 1 / 3, y * y - 1 / 3])  # (5, height, width), each of mean 0
    weights = SHADING * (2 * _drawn(stream, (count, len(terms)), images) - 1)
    field = torch.einsum("nt,thw->nhw", weights, terms).exp()
    return field.view(count, *[1] * (images.dim() - 3), height, width)


def _blurred(images: torch.Tensor, strengths: torch.Tensor) -> torch.Tensor:
    """Blur each image (images, …, height, width) by a Gaussian of its own, within planes; edges are drawn out."""
    planes = images.reshape(1, -1, *images.shape[-2:])
    offsets = torch.arange(-REACH, REACH + 1, device=images.device, dtype=images.dtype)
    kernels = (-0.5 * (offsets / (BLUR * strengths[:, None]).clamp(min=1e-3)) ** 2).exp()
    kernels = (kernels / kernels.sum(1, keepdim=True)).repeat_interleave(planes.shape[1] // len(images), dim=0)
    padded = functional.pad(planes, (REACH, REACH, REACH, REACH), mode="replicate")
    across = functional.conv2d(padded, kernels[:, None, None, :], groups=len(kernels))
    return functional.conv2d(across, kernels[:, None, :, None], groups=len(kernels)).view(images.shape)


def _noise(images: torch.Tensor, stream: Stream) -> torch.Tensor:
    """Return Gaussian noise for each image, of a strength of its own (Box and Muller 1958)."""
    each = math.prod(images.shape[1:])
    words = stream.words(len(images) * (each + 1)).reshape(len(images), each + 1)
    strength = NOISE * (words[:, 0] >> np.uint64(40)).astype(np.float32) * np.float32(2**-24)
    halves = np.ascontiguousarray(words[:, 1:]).view(np.uint32).reshape(len(images), each, 2)
    radius = np.sqrt(-2 * np.log((halves[..., 0].astype(np.float64) + 1) * 2.0**-32))
    normal = (radius * np.cos(2 * np.pi * 2.0**-32 * halves[..., 1])).astype(np.float32)
    return sent((strength[:, None] * normal).reshape(images.shape), images.device)


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
