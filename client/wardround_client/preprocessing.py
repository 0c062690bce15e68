"""From an image in any size and scale to the form that a study's network sees."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from wardround_client.images import Image
from wardround_common.errors import ImageRefused
from wardround_common.study import Data

VERSION = 1  # prepared images of another version are made again


def to_network_form(image: Image, data: Data) -> NDArray[np.float32]:
    """Scale intensities to 0..1, resize with the aspect kept, pad with zeros, and match the channels.

    Returns (channels, image_size, image_size) float32. An image of one value becomes zeros.

    Raises:
        ImageRefused: the image is a volume or a series of frames, where the study's networks see single images.
    """
    if image.pixels.ndim != 3:
        raise ImageRefused("volume", "the study's network sees single images, and this file holds several")
    pixels = _match_channels(image.pixels, data.channels)
    if data.intensity == "percentile":
        low, high = np.percentile(pixels, (0.5, 99.5))
    elif data.intensity == "range":
        low, high = pixels.min(), pixels.max()
    else:
        low, high = 0.0, 1.0  # the image's own window has been applied
    scaled = np.clip((pixels - low) / (high - low), 0, 1) if high > low else np.zeros_like(pixels)
    return _fit(torch.from_numpy(np.ascontiguousarray(scaled, np.float32)), data.image_size).numpy()


def _match_channels(pixels: NDArray[np.float32], channels: int) -> NDArray[np.float32]:
    if pixels.shape[0] == channels:
        return pixels
    if channels == 3:
        return np.repeat(pixels[:1], 3, axis=0)
    luma = np.array([0.299, 0.587, 0.114], np.float32)  # ITU-R BT.601
    return np.tensordot(luma, pixels[:3], axes=1)[None]


def _fit(pixels: torch.Tensor, size: int) -> torch.Tensor:
    height, width = pixels.shape[1:]
    ratio = size / max(height, width)
    rows, columns = max(1, round(height * ratio)), max(1, round(width * ratio))
    small = functional.interpolate(pixels[None], (rows, columns), mode="bilinear", antialias=True, align_corners=False)[
        0
    ]
    top, left = (size - rows) // 2, (size - columns) // 2
    return functional.pad(small, (left, size - columns - left, top, size - rows - top))
