"""What a network makes of an image on its way to an answer: its features, by which images are compared.

The mean over space of the maps of every convolution, each layer's brought to length 1, since what tells another kind of
image is at every depth and least of all in the layer before the answer (Anthony and Kamnitsas, *On the use of
Mahalanobis distance for out-of-distribution detection with neural networks for medical imaging*, UNSURE 2023); of an
examination, the mean over its slices or windows. A network without convolutions gives what its last layer decides on.
They are found by watching the layers, so that a network stays one file.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from wardround_client.networks import OWN, Bag, Slices, body_of
from wardround_client.preparation.examples import Examples
from wardround_client.preparation.kept_volumes import KeptVolumes
from wardround_client.tasks.windows import outline
from wardround_client.training.supply import supply_of
from wardround_common.errors import ModelError
from wardround_common.metrics.unlike import FEATURES, Floats
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study
from wardround_common.tasks.registry import task_of

_CONVOLUTIONS = (nn.Conv2d, nn.Conv3d)
_BATCH = 64


@dataclass(eq=False)
class Watched:
    """What a network's layers gave since it was last asked for."""

    _passes: list[torch.Tensor] = field(default_factory=list)
    _layers: list[torch.Tensor] = field(default_factory=list)

    def take(self) -> Floats:
        """Return the features (records, channels) of all passes since the last time, records in their order."""
        found = torch.cat(self._passes).double().numpy()
        self._passes.clear()
        return found

    def see(self, maps: torch.Tensor) -> None:
        """Look at the maps of a layer (records, channels, *space)."""
        pooled = maps.detach().flatten(2).mean(2) if maps.dim() > 2 else maps.detach()
        self._layers.append(functional.normalize(pooled, dim=1))

    def end(self, own: int | None, records: int) -> None:
        """Keep what was seen in a pass over records that is over; of a record of slices, that of its ``own`` one."""
        found = torch.cat(self._layers, dim=1)
        if own is not None:
            found = found.view(records, -1, found.shape[1])[:, own]
        self._passes.append(found.float().cpu())
        self._layers.clear()


@contextmanager
def watching(network: nn.Module) -> Iterator[Watched]:
    """Watch a network as long as this lasts."""
    seen = Watched()

    def before(module: nn.Module, inputs: Any) -> None:
        seen.see(inputs[0][:, : network.width] if isinstance(network, Bag) else inputs[0])

    def after(module: nn.Module, inputs: Any, output: Any) -> None:
        seen.see(output)

    def over(module: nn.Module, inputs: Any, output: Any) -> None:
        seen.end(own, len(output))

    # Of several images what they add up to is seen, and nothing that is known besides them: of a slice its own image.
    own = OWN if isinstance(network, Slices) else None
    decides = network if isinstance(network, Bag) else body_of(network)
    watched = () if isinstance(network, Bag) else decides.modules()
    handles = [layer.register_forward_hook(after) for layer in watched if isinstance(layer, _CONVOLUTIONS)]
    if not handles:
        *_, last = (layer for layer in decides.modules() if isinstance(layer, nn.Linear))
        handles = [last.register_forward_pre_hook(before)]
    handles.append(network.register_forward_hook(over))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def in_short(features: Floats, seed: int) -> Floats:
    """Bring features (records, channels) to vectors (records, FEATURES) of length 1 at most.

    Each is brought to length 1. What is longer is projected onto directions that the study's seed draws and that stand
    at right angles; what is shorter is filled with zeros.
    """
    length = np.linalg.norm(features, axis=1, keepdims=True)
    unit = np.divide(features, length, out=np.zeros_like(features), where=length > 0)
    channels = features.shape[1]
    if channels <= FEATURES:
        return np.pad(unit, ((0, 0), (0, FEATURES - channels)))
    short: Floats = unit @ _directions(channels, seed)
    return short


@lru_cache(maxsize=4)
def _directions(channels: int, seed: int) -> Floats:
    drawn = insecure_stream(seed, "directions of features").uniform(channels * FEATURES).reshape(channels, FEATURES)
    found, signs = np.linalg.qr(drawn - 0.5)
    directions: Floats = found * np.sign(np.diag(signs))  # so that it is the same whatever LAPACK makes of a sign
    return directions


@torch.no_grad()
def features_of(network: nn.Module, study: Study, examples: Examples) -> tuple[Floats, NDArray[np.int64]]:
    """Return the features (cases, FEATURES) of a split, and whose each is (cases,); they stay in the hospital.

    A case is what a model is asked about by itself: an image, or all slices of an examination.

    Raises:
        ModelError: a feature is not a finite number (the training diverged).
    """
    network.eval()
    of_series, device = task_of(study.task).takes_series(study.task), next(network.parameters()).device
    found, patients = [], []
    with watching(network) as seen:
        for places in _cases(examples, together=not of_series):
            if isinstance(examples.kept, KeptVolumes):
                outline(network, torch.from_numpy(examples.images(places)).to(device), examples.kept.patch)
            else:
                step = max(1, _BATCH // study.data.bag_size) if study.data.bagged else _BATCH
                chunks = [places[start : start + step] for start in range(0, len(places), step)]
                for images, _ in supply_of(examples, device).batches(chunks):
                    network(images)
            taken = seen.take()
            if not np.isfinite(taken).all():
                raise ModelError("the model's features are not finite", do="Lower the learning rate in [training].")
            if of_series:
                taken, places = taken.mean(axis=0, keepdims=True), places[:1]
            found.append(in_short(taken, study.model.seed))
            patients.append(examples.patients[places])
    if not found:
        return np.zeros((0, FEATURES)), np.zeros(0, np.int64)
    return np.concatenate(found), np.concatenate(patients)


def _cases(examples: Examples, *, together: bool) -> Iterator[NDArray[np.int64]]:
    """Yield the places of the records of each case; ``together``: of all images, each of which is one."""
    if together:
        if len(examples):
            yield np.arange(len(examples))
        return
    if isinstance(examples.kept, KeptVolumes):
        yield from (np.array([place]) for place in range(len(examples)))
        return
    for places in examples.places_by_patient():
        lying = examples.lying(places)
        series = np.zeros(len(places), np.int64) if lying is None else lying.series
        yield from (places[series == one] for one in np.unique(series))
