"""Images on which another form of a network is compared with the network itself, and how far apart they may be."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn

from wardround_common.errors import ModelError
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study

TOLERANCE = 1e-4
"""Of an output (a log-odds), relative to the largest one where that is beyond 1: a change of a probability by less than
0.003 %. Sums are rounded in another order elsewhere, and a network that normalises within an image amplifies that."""
TOGETHER = 3
"""Images in the second batch: the graph was written down with a batch of one."""
Ask = Callable[[torch.Tensor], torch.Tensor]


def images_for(study: Study) -> list[torch.Tensor]:
    """Return batches (images, channels, *extent) from 0 to 1, as preparation makes them: noise, and a bright body."""
    shape = (study.data.inputs, *study.data.extent)
    noise = insecure_stream(0, "check of another form").uniform((TOGETHER + 1) * torch.Size(shape).numel())
    images = torch.from_numpy(noise).to(torch.float32).reshape(TOGETHER + 1, *shape)
    axes = [torch.linspace(-1, 1, side) for side in study.data.extent]
    distance = torch.stack(torch.meshgrid(*axes, indexing="ij")).square().sum(0)
    images[1:] = (0.2 * images[1:] + torch.exp(-2 * distance)).clamp(0, 1)
    return [images[:1], images[1:]]


@torch.no_grad()
def largest_difference(network: nn.Module, other: Ask, study: Study, form: str) -> tuple[float, float]:
    """Return the largest difference of another form's outputs from the network's, and what is accepted.

    Raises:
        ModelError: it is larger, or the form answers an image that has a value that is not a number.
    """
    apart, size = 0.0, 1.0
    for images in images_for(study):
        want, found = network(images), other(images)
        if want.shape != found.shape or not bool(torch.isfinite(want).all()):
            raise ModelError(f"its outputs cannot be compared with those of its {form}: its training may have diverged")
        apart = max(apart, float((want - found).abs().max()))
        size = max(size, float(want.abs().max()))
    accepted = TOLERANCE * size
    if not apart <= accepted:
        raise ModelError(
            f"its {form} answers otherwise than PyTorch: by {apart:.2g}, where {accepted:.2g} would be accepted"
        )
    broken = images_for(study)[0].clone()
    broken[(0, 0, *(side // 2 for side in study.data.extent))] = torch.nan
    if not bool(torch.isnan(other(broken)).any()):
        raise ModelError(f"its {form} answers an image with a value that is not a number")
    return apart, accepted
