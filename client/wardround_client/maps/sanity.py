"""Does a map depend on what the network learnt? It is compared with that of a network with random weights.

Adebayo et al., *Sanity checks for saliency maps*, NeurIPS 2018: the model parameter randomisation test, of all weights
at once. A method whose map hardly changes shows the image's own edges and bright places, whatever the network knows.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wardround_client import networks
from wardround_client.maps.contract import Method, Question
from wardround_common.errors import ModelError
from wardround_common.study.file import Study
from wardround_common.tasks.registry import task_of

Map = NDArray[np.float32]

RANDOM_NETWORKS = 3
"""One of which each image is compared with, by its content: chance then is no single network's."""
ALIKE = 0.5
"""From this mean similarity on the maps are said to hardly depend on what was learnt; our choice, not the paper's."""


def untrained(study: Study, images: NDArray[np.float32], device: torch.device) -> nn.Module:
    """Return a study's network with random weights; the same images have the same."""
    number = hashlib.sha256(np.ascontiguousarray(images).tobytes()).digest()[0] % RANDOM_NETWORKS
    return _untrained(study, number, device)


@lru_cache(maxsize=RANDOM_NETWORKS)
def _untrained(study: Study, number: int, device: torch.device) -> nn.Module:
    network = networks.construct_for(study, study.model.seed + 1 + number)
    return network.to(device).eval()


def maps_of(
    network: nn.Module,
    study: Study,
    method: Method,
    images: NDArray[np.float32],
    of: int,
    window: tuple[int, ...] | None = None,
) -> tuple[Map, Map]:
    """Return a network's map of the images of a case, and that of one with random weights: (records, *space) each.

    Of a slice among others of its series the map is of its own image.

    Raises:
        StudyError: the method cannot be applied to the network.
        ModelError: a map is not a finite number.
    """
    device = next(network.parameters()).device
    given, found, apart = torch.from_numpy(images).to(device), [], task_of(study.task).apart
    for each in (network, untrained(study, images, device)):
        asked, shown = networks.of_own_image(each, given)
        heat = method.explain(Question(asked, of, window, apart), shown)
        if not torch.isfinite(heat).all():
            raise ModelError("the map is not finite", do="Explain it with another --method.")
        found.append(np.ascontiguousarray(heat.numpy(), np.float32))
    return found[0], found[1]


def similarity(one: Map, other: Map) -> float | None:
    """Return Spearman's rank correlation of two maps' absolute values, -1 to 1; None where a map is the same all over.

    Absolute, since that is what an eye sees: where something is marked, whatever its sign.
    """
    from scipy.stats import rankdata  # takes a quarter of a second, for which each command would wait

    ranks = [rankdata(np.abs(each).ravel()) for each in (one, other)]
    if any(each[0] == each.min() == each.max() for each in ranks):
        return None
    return float(np.corrcoef(*ranks)[0, 1])


def said(mean: float | None) -> str:
    """Say in a sentence what a mean similarity means."""
    if mean is None:
        return "No map could be compared with that of a network with random weights."
    if mean >= ALIKE:
        return (
            f"The maps hardly depend on what the network learnt (similarity {mean:.2f} to those of a network with "
            "random weights, 1 is the same): do not read them as its reasons."
        )
    return (
        f"The maps depend on what the network learnt: their similarity to those of a network with random weights is "
        f"{mean:.2f} (1 is the same, 0 is none)."
    )
