"""A linear model of a network near one image: what LIME and SHAP both fit, over blocks of the image."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from captum.attr import Lime

from wardround_client import networks
from wardround_client.maps.contract import BLOCKS, TOGETHER

SAMPLES = 512
"""Images with some blocks made black that the network is asked about."""
SEED = 20160813
"""From which those are drawn: the same image has the same map, whatever else was explained before."""


class Surrogate:
    """A weighted linear regression with a constant, in the form that captum's methods fit.

    captum's own ask for scikit-learn, which a hospital needs for nothing else.
    """

    def __init__(self, ridge: float) -> None:
        self._ridge = ridge
        self._found = torch.empty(0)

    def fit(self, batches: Iterable[tuple[torch.Tensor, torch.Tensor, torch.Tensor]]) -> None:
        """Fit to inputs (samples, blocks), outputs (samples,) and weights (samples,), all in one batch."""
        (batch,) = batches
        inputs, outputs, weights = (part.cpu().double() for part in batch)
        share = weights / weights.sum()
        centre, level = share @ inputs, share @ outputs  # so that the constant is not held to be small
        roots = weights.sqrt()[:, None]
        rows, right = (inputs - centre) * roots, (outputs - level)[:, None] * roots
        held = (self._ridge**0.5) * torch.eye(inputs.shape[1], dtype=torch.float64)
        nothing = torch.zeros(inputs.shape[1], 1, dtype=torch.float64)
        found = torch.linalg.lstsq(torch.cat([rows, held]), torch.cat([right, nothing]), driver="gelsd")
        self._found = found.solution[:, 0].float()

    def representation(self) -> torch.Tensor:
        """Return what each block adds, (blocks,)."""
        return self._found


def blocks_of(images: torch.Tensor) -> torch.Tensor:
    """Return for each place of an image the number of its block: (1, 1, *space) int64, 8 blocks along each side."""
    number = torch.zeros((), dtype=torch.long)
    for axis, extent in enumerate(images.shape[2:]):
        along = torch.arange(extent) * min(BLOCKS, extent) // extent
        shape = [1] * (images.ndim - 2)
        shape[axis] = extent
        number = number * min(BLOCKS, extent) + along.view(shape)
    return number[None, None].to(images.device)


def heat_of(fitted: Lime, images: torch.Tensor) -> torch.Tensor:
    """Return what each block adds to the answer, on the pixels of the images: (images, rows, columns) float32."""
    with networks.seeded(SEED):
        found = fitted.attribute(
            images,
            baselines=0.0,
            feature_mask=blocks_of(images),
            n_samples=SAMPLES,
            perturbations_per_eval=TOGETHER,
        )
    heat: torch.Tensor = found.mean(1).cpu().float()
    return heat
