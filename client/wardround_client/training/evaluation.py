"""How a model does on a hospital's own patients: scores that stay here, and sums that may leave."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wardround_client.preparation.dataset import Examples
from wardround_common.metrics import Scores, ScoreSums

BATCH = 256


def predict(network: nn.Module, examples: Examples) -> Scores:
    """Return the network's probabilities for each image; they stay in the hospital."""
    probabilities = [chunk.softmax(1) for chunk in _logits(network, examples)]
    return Scores(examples.labels, torch.cat(probabilities).numpy(), examples.patients)


def score_sums(network: nn.Module, examples: Examples) -> ScoreSums:
    """Sum up how the network does on these images: histograms of scores by class, losses, counts."""
    logits = torch.cat(list(_logits(network, examples)))  # (images, classes)
    losses: NDArray[np.float64] = nn.functional.cross_entropy(
        logits.double(), torch.from_numpy(examples.labels), reduction="none"
    ).numpy()
    return ScoreSums.of(examples.labels, logits.softmax(1).numpy(), losses)


@torch.no_grad()
def _logits(network: nn.Module, examples: Examples) -> Iterator[torch.Tensor]:
    network.eval()
    device = next(network.parameters()).device
    for start in range(0, len(examples.labels), BATCH):
        images = torch.from_numpy(examples.images(slice(start, start + BATCH)))
        yield network(images.to(device)).cpu()
