"""The mean brightness of an image, at a hospital: its own pixels are the target."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from example_plugin import brightness
from example_plugin.brightness import UNIT, Brightness, BrightnessSums
from wardround_client.images import read_image
from wardround_client.intake.instance import Index, Instance
from wardround_client.preparation import preprocessing
from wardround_client.preparation.source import Source
from wardround_client.tasks.contract import Found, LocalTask, Loss, Targets
from wardround_common.study.data import Data
from wardround_common.study.file import Study
from wardround_common.study.training import Training


def _targets(
    source: Source, data: Data, section: Brightness, files: Sequence[Instance], found: Found
) -> NDArray[np.float32]:
    images = [read_image(source.folder / instance.file, voi=False) for instance in files]
    return np.array([preprocessing.to_network_form(image, data).mean() for image in images], np.float32)


def _members(section: Brightness, targets: Targets) -> NDArray[np.bool_]:
    return np.ones((len(targets), 1), np.bool_)


def _loss(section: Brightness, training: Training, device: torch.device) -> Loss:
    return lambda outputs, targets: (outputs[:, 0] - targets).square()


def _sums(
    section: Brightness, outputs: torch.Tensor, targets: torch.Tensor, patients: NDArray[np.int64], places: object
) -> BrightnessSums:
    errors = (outputs[:, 0].double() - targets.double()).square().numpy()
    return BrightnessSums(len(errors), int(np.rint(errors / UNIT).astype(np.int64).sum()))


def _find(source: Source, index: Index, study: Study) -> Found:
    return Found({instance.file: "image" for instance in index.accepted})


TASK = LocalTask[Brightness, BrightnessSums](
    task=brightness.TASK,
    find=_find,
    targets=_targets,
    strata=lambda section, targets: np.zeros(len(targets), np.int64),
    members=_members,
    loss=_loss,
    sums=_sums,
    noise=lambda section, records, space: torch.linspace(0, 1, records),
)
