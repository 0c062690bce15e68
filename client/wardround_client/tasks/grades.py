"""Grades in a hospital: a label for each image, and for each step between grades whether it is reached.

The network's first output is the log-odds that an image is above the lowest grade. Each further one takes a positive
number off, so that a higher grade is never more likely to be reached than a lower one. The loss is the cross-entropy of
the steps: Cao, Mirjalili and Raschka, *Rank consistent ordinal regression for neural networks*, Pattern Recognition
Letters 140 (2020), equation 4, with thresholds that may depend on the image.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from wardround_client.tasks import class_labels
from wardround_client.tasks.contract import (
    Answer,
    Asked,
    Asking,
    Case,
    Chosen,
    LocalTask,
    Loss,
    Outputs,
)
from wardround_client.tasks.outline_measures import Places
from wardround_common.counting import chance, kept
from wardround_common.errors import ModelError
from wardround_common.metrics.grades import GradeSums
from wardround_common.study.training import Training
from wardround_common.tasks import grades
from wardround_common.tasks.grades import Grades

DIGITS = 6
"""Of a probability that is written down."""


def steps(outputs: torch.Tensor) -> torch.Tensor:
    """Return the log-odds that each grade above the lowest is reached, falling: (records, grades - 1)."""
    first, others = outputs[:, :1], functional.softplus(outputs[:, 1:])
    return torch.cat([first, first - others.cumsum(dim=1)], dim=1)


def loss_of_steps(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean cross-entropy of the steps (records,): outputs (records, grades - 1), grades (records,)."""
    reached = targets[:, None] > torch.arange(outputs.shape[1], device=outputs.device)
    each = functional.binary_cross_entropy_with_logits(steps(outputs), reached.to(outputs.dtype), reduction="none")
    return each.mean(dim=1)


def _loss(section: Grades, training: Training, device: torch.device) -> Loss:
    return loss_of_steps


def decided(outputs: torch.Tensor) -> NDArray[np.int64]:
    """Return the highest grade that is more likely reached than not: (records,)."""
    grade: NDArray[np.int64] = (steps(outputs) > 0).sum(dim=1).numpy()
    return grade


def _sums(
    section: Grades, outputs: Outputs, targets: Outputs, patients: NDArray[np.int64], places: Places | None
) -> GradeSums:
    if not isinstance(outputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
        raise TypeError("images are judged together")
    losses: NDArray[np.float64] = loss_of_steps(outputs.double(), targets).numpy()
    return GradeSums.of(targets.numpy(), decided(outputs), losses, len(section.classes))


def _answer(section: Grades, outputs: torch.Tensor, asked: Asked, case: Case, chosen: Chosen) -> Answer:
    """Say which grade an image has, and how likely each is."""
    reached: NDArray[np.float64] = steps(outputs.double()).sigmoid().numpy()[0]
    if not np.isfinite(reached).all():
        raise ModelError("the model's scores are not finite", do="Its training diverged: do not use it.")
    each = -np.diff(np.concatenate([[1.0], reached, [0.0]]))
    return Answer(
        {
            "class": section.classes[int(decided(outputs)[0])],
            "probabilities": {word: kept(float(p), DIGITS) for word, p in zip(section.classes, each, strict=True)},
            "calibrated": False,
        }
    )


def _rows(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    probabilities = {f"probability {word}": p for word, p in facts["probabilities"].items()}
    return [{"class": facts["class"], **probabilities, "calibrated": facts["calibrated"]}]


def _said(facts: Mapping[str, Any]) -> str:
    told = ", ".join(f"{word} {chance(p, 2)}" for word, p in facts["probabilities"].items())
    return f"{facts['class']} (uncalibrated probabilities: {told})"


TASK = LocalTask[Grades, GradeSums](
    task=grades.TASK,
    find=class_labels.find,
    targets=class_labels.targets,
    strata=lambda section, targets: targets[:],
    members=class_labels.members,
    loss=_loss,
    sums=_sums,
    asking=Asking(_answer, _rows, _said),
    noise=lambda section, records, space: torch.arange(records) % len(section.classes),
)
