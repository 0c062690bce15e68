"""Outlines of images that are larger than what a network was trained on, window by window."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch.nn import functional

OVERLAP = 0.5
TOGETHER = 4  # windows in one pass


def outline(
    network: Callable[[torch.Tensor], torch.Tensor], images: torch.Tensor, window: tuple[int, ...]
) -> torch.Tensor:
    """Return a network's logits (images, outputs, *space) for images (images, channels, *space).

    ``window``: the size that it was trained on. An image of that size is given to the network as it is. A larger one is
    looked at in windows of that very size, half overlapping, each voxel weighted by how near it is to a window's middle
    (MONAI's ``sliding_window_inference``, Gaussian): a network that normalises within its input sees the same extent
    here as in training. A smaller one is padded on all sides with 0, as preparation pads, and what is said of the
    padding is cut off: the result is that of the padded image, which with such a normalisation is not that of the bare.
    """
    size = tuple(images.shape[2:])
    short = [max(wide - has, 0) for wide, has in zip(window, size, strict=True)]
    padding = [amount for each in reversed(short) for amount in (each // 2, each - each // 2)]
    padded = functional.pad(images, padding) if any(short) else images
    if tuple(padded.shape[2:]) == window:
        logits = network(padded)
    else:
        from monai.inferers.utils import sliding_window_inference  # two seconds, which other tasks do not need

        whole = sliding_window_inference(padded, window, TOGETHER, network, overlap=OVERLAP, mode="gaussian")
        logits = whole.as_subclass(torch.Tensor)  # type: ignore[union-attr]  # a network of ours gives one tensor
    inside = (slice(each // 2, each // 2 + extent) for each, extent in zip(short, size, strict=True))
    return logits[(slice(None), slice(None), *inside)]
