"""Classification in a hospital: a label for each image, cross-entropy, sums over scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from wardround_client.intake.instance import Index, Instance
from wardround_client.intake.labels import find_labels
from wardround_client.preparation.source import Source
from wardround_client.tasks.contract import Found, LocalTask, Loss, Targets
from wardround_client.tasks.outline_measures import Places
from wardround_common.metrics.sums import ScoreSums
from wardround_common.study.file import Data, Study, Training
from wardround_common.tasks import classification
from wardround_common.tasks.classification import Classification


def _find(source: Source, index: Index, study: Study) -> Found:
    found = find_labels(source.folder, index, study.groups, csv=source.labels, attribute=source.label_attribute)
    return Found(found.words, found.patients)


def _targets(
    source: Source, data: Data, section: Classification, files: Sequence[Instance], found: Found
) -> NDArray[np.int64]:
    numbers = {word: number for number, word in enumerate(section.classes)}
    return np.array([numbers[found.words[instance.file]] for instance in files], np.int64)


def _members(section: Classification, targets: Targets) -> NDArray[np.bool_]:
    members: NDArray[np.bool_] = targets[:, None] == np.arange(len(section.classes))
    return members


def _loss(section: Classification, training: Training, device: torch.device) -> Loss:
    weights = training.class_weights
    return nn.CrossEntropyLoss(None if weights is None else torch.tensor(weights, device=device), reduction="none")


def _sums(
    section: Classification,
    outputs: torch.Tensor,
    targets: torch.Tensor,
    patients: NDArray[np.int64],
    places: Places | None,
) -> ScoreSums:
    losses: NDArray[np.float64] = nn.functional.cross_entropy(outputs.double(), targets, reduction="none").numpy()
    return ScoreSums.of(targets.numpy(), outputs.softmax(1).numpy(), losses)


TASK = LocalTask[Classification, ScoreSums](
    task=classification.TASK,
    find=_find,
    targets=_targets,
    strata=lambda section, targets: targets,
    members=_members,
    loss=_loss,
    sums=_sums,
    noise=lambda section, records, space: torch.arange(records) % len(section.classes),
)
