"""Generation in a hospital: labels where classes are stated, the variational bound as loss, sums of its two parts.

The network says of each image how far off its reconstruction is, and where the image lies among the latent numbers.
The loss is the negative evidence lower bound of Kingma and Welling (*Auto-encoding variational Bayes*, ICLR 2014) in
nats, with a weight of the divergence (Higgins et al., *beta-VAE*, ICLR 2017). Pixels are normal around their
reconstruction. Latent numbers are normal around the mean of the image's class; these means are fixed and the same in
every study, so that a label is in the loss and not in the network, and an image of a class is drawn around its mean.
Where a diffusion draws the latent numbers, its error for the record's class is added to the loss.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from wardround_client.intake.instance import Index, Instance
from wardround_client.intake.labels import find_labels
from wardround_client.networks import class_means
from wardround_client.preparation.source import Source
from wardround_client.tasks.contract import Found, LocalTask, Loss, Outputs, Targets
from wardround_client.tasks.outline_measures import Places
from wardround_common.metrics.reconstructions import ReconstructionSums
from wardround_common.study.data import Data
from wardround_common.study.file import Study
from wardround_common.study.training import Training
from wardround_common.tasks import generation
from wardround_common.tasks.generation import ALL, Generation

DEVIATION = 0.1
"""Of a pixel around its reconstruction, where 1 is the range from black to white."""
KIND, PIXELS = 0, 1
"""What a target holds: the number of the class, and how many numbers an image has."""


def _find(source: Source, index: Index, study: Study) -> Found:
    """Take every accepted image, or those with a label where the study states classes."""
    section = study.task
    if not isinstance(section, Generation):
        raise TypeError("this is a study of another task")
    if not section.classes:
        return Found({instance.file: ALL for instance in index.accepted})
    found = find_labels(source.folder, index, study.groups, csv=source.labels, attribute=source.label_attribute)
    return Found(found.words, found.patients)


def _targets(
    source: Source, data: Data, section: Generation, files: Sequence[Instance], found: Found
) -> NDArray[np.float32]:
    """Return (files, 2): the number of each image's class, and how many numbers it has."""
    numbers = {word: number for number, word in enumerate(section.classes or (ALL,))}
    kinds = [numbers[found.words[instance.file]] for instance in files]
    pixels = data.inputs * int(np.prod(data.extent))
    return np.array([(kind, pixels) for kind in kinds], np.float32).reshape(-1, 2)


def _kinds(targets: Targets) -> NDArray[np.int64]:
    kinds: NDArray[np.int64] = np.asarray(targets[:])[:, KIND].astype(np.int64)
    return kinds


def _members(section: Generation, targets: Targets) -> NDArray[np.bool_]:
    members: NDArray[np.bool_] = _kinds(targets)[:, None] == np.arange(len(section.classes or (ALL,)))
    return members


def means_of(section: Generation, device: torch.device | None = None) -> torch.Tensor:
    """Return the mean of the latent numbers of each class (classes, latent); of a study without classes, zeros."""
    return class_means(len(section.classes), section.latent, device)


def parts_of(
    section: Generation, outputs: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return of each record the mean squared error, its negative log-likelihood and the divergence: (records,) each.

    ``outputs`` (records, 1 + 2 · latent, or more): mean squared error of a pixel, means and log-variances of the latent
    numbers.
    The log-likelihood is up to a constant, which no model changes. Each number depends on its own record alone.
    """
    squared, (mean, spread) = outputs[:, 0].clamp(min=0), outputs[:, 1 : 1 + 2 * section.latent].chunk(2, dim=1)
    around = means_of(section, outputs.device).to(outputs)[targets[:, KIND].long()]
    far = targets[:, PIXELS].to(outputs.dtype) * squared / (2 * DEVIATION**2)
    divergence = ((mean - around).square() + spread.exp() - 1 - spread).sum(dim=1) / 2
    return squared, far, divergence.clamp(min=0)  # less than 0 it is by rounding alone, near a perfect prior


def denoising_of(section: Generation, outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return of each record the error of what draws its latent numbers, (records,); 0 where their prior draws them.

    ``outputs`` (records, 1 + 2 · latent + classes): the last ones are that error for each class.
    """
    if section.sampler == "prior":
        return torch.zeros_like(outputs[:, 0])
    errors = outputs[:, 1 + 2 * section.latent :].clamp(min=0)
    return errors.gather(1, targets[:, KIND].long()[:, None])[:, 0]


def _loss(section: Generation, training: Training, device: torch.device) -> Loss:
    def bound(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        _, far, divergence = parts_of(section, outputs, targets)
        return far + section.beta * divergence + denoising_of(section, outputs, targets)

    return bound


def _sums(
    section: Generation, outputs: Outputs, targets: Outputs, patients: NDArray[np.int64], places: Places | None
) -> ReconstructionSums:
    if not isinstance(outputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
        raise TypeError("images are judged together")
    squared, far, divergence = (part.numpy() for part in parts_of(section, outputs.double(), targets))
    denoising = denoising_of(section, outputs.double(), targets).numpy()
    return ReconstructionSums.of(squared, divergence, far + section.beta * divergence + denoising)


def _noise(section: Generation, records: int, space: tuple[int, ...]) -> torch.Tensor:
    kinds = torch.arange(records) % max(1, len(section.classes))
    return torch.stack([kinds, torch.full_like(kinds, int(np.prod(space)))], dim=1).float()


TASK = LocalTask[Generation, ReconstructionSums](
    task=generation.TASK,
    find=_find,
    targets=_targets,
    strata=lambda section, targets: _kinds(targets),
    members=_members,
    loss=_loss,
    sums=_sums,
    noise=_noise,
)
