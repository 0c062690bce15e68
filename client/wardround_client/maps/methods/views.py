"""Uncertainty of outlines: the entropy of the mean over mirrored views of the image (Wang et al., Neurocomputing 2019).

It says where the answer hangs on how the image is held, and where it is undecided; not whether it is right.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import combinations

import torch

from wardround_client.maps.contract import TOGETHER, Method, Question


@torch.no_grad()
def _explain(question: Question, images: torch.Tensor) -> torch.Tensor:
    total, count = torch.zeros(()), 0
    for mirrored in mirrors(images.ndim - 2):
        parts = [
            question.logits(images[at : at + TOGETHER].flip(mirrored)).flip(mirrored).softmax(1).cpu()
            for at in range(0, len(images), TOGETHER)
        ]
        total, count = total + torch.cat(parts), count + 1
    return entropy(total / count)


def mirrors(dims: int) -> Iterator[tuple[int, ...]]:
    """Yield along which axes of images (records, channels, *space) each view is mirrored, the image itself first.

    An image is mirrored along each axis and along both; a volume along one axis at a time.
    """
    axes = range(2, 2 + dims)
    for count in range(3 if dims == 2 else 2):
        yield from combinations(axes, count)


def entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """Return the entropy of each place over that of complete ignorance, 0 to 1: (records, *space)."""
    found = -(probabilities * probabilities.clamp_min(1e-12).log()).sum(1)
    return (found / math.log(probabilities.shape[1])).clamp(0, 1)


METHOD = Method(
    _explain,
    "how undecided the model is at each place, from 0 to 1, over mirrored views; not where it is wrong",
    dense=True,
)
