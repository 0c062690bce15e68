"""Classification in a hospital: a label for each image, cross-entropy, sums over scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

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
    kind_of,
    thresholds_of,
)
from wardround_client.tasks.outline_measures import Places
from wardround_common.counting import chance, kept
from wardround_common.errors import ModelError
from wardround_common.metrics.calibration import at_temperature
from wardround_common.metrics.sums import ScoreSums
from wardround_common.study.training import Training
from wardround_common.tasks import classification
from wardround_common.tasks.classification import Classification

DIGITS = 6
"""Of a probability that is written down."""


def _loss(section: Classification, training: Training, device: torch.device) -> Loss:
    given, gamma = training.class_weights, training.focal_gamma
    weights = None if given is None else torch.tensor(given, device=device)
    entropy = nn.CrossEntropyLoss(weights, reduction="none")
    return entropy if gamma is None else _focal(entropy, gamma)


def _focal(entropy: Loss, gamma: float) -> Loss:
    """Return the focal loss (Lin et al., *Focal loss for dense object detection*, ICCV 2017, equations 4 and 5).

    Each record's is its own: nothing is divided by the losses or weights of a batch.
    """

    def loss(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        true = outputs.log_softmax(1).gather(1, targets[:, None])[:, 0]
        # -expm1 is 1 - p to the last digit, and never 0, whose power has no finite gradient where gamma is below 1.
        return (-torch.expm1(true)).clamp(min=1e-12).pow(gamma) * entropy(outputs, targets)

    return loss


def _sums(
    section: Classification,
    outputs: Outputs,
    targets: Outputs,
    patients: NDArray[np.int64],
    places: Places | None,
) -> ScoreSums:
    if not isinstance(outputs, torch.Tensor) or not isinstance(targets, torch.Tensor):
        raise TypeError("images are judged together")
    losses: NDArray[np.float64] = nn.functional.cross_entropy(outputs.double(), targets, reduction="none").numpy()
    return ScoreSums.of(targets.numpy(), outputs.softmax(1).numpy(), losses)


def _answer(section: Classification, outputs: torch.Tensor, asked: Asked, case: Case, chosen: Chosen) -> Answer:
    """Say what one image is: the class, each probability, and at which point it was decided."""
    own: NDArray[np.float32] = outputs.softmax(1).numpy()  # (1, classes), decided on as where they are summed
    if not np.isfinite(own).all():
        raise ModelError("the model's scores are not finite", do="Its training diverged: do not use it.")
    point = chosen.point if len(section.classes) == 2 and isinstance(chosen.point, float) else None
    here = chosen.recalibration
    scores = own[0].astype(np.float64) if here is None else here.apply(own)[0]
    decided = int(scores.argmax()) if point is None else int(scores[1] >= point)
    if point is not None and chosen.temperature is not None:  # on the scale of the probabilities that are shown
        point = float(at_temperature(np.array([1 - point, point]), chosen.temperature)[1])
    shown = scores if chosen.temperature is None else at_temperature(own, chosen.temperature)[0]
    return Answer(
        {
            "class": section.classes[decided],
            "probabilities": {word: kept(float(p), DIGITS) for word, p in zip(section.classes, shown, strict=True)},
            "calibrated": chosen.temperature is not None or here is not None,
            **({} if here is None else {"recalibrated": True}),
            "operating_point": None if point is None else kept(point, DIGITS),
        }
    )


def _rows(facts: Mapping[str, Any]) -> list[dict[str, Any]]:
    probabilities = {f"probability {word}": p for word, p in facts["probabilities"].items()}
    more = {name: facts[name] for name in ("calibrated", "recalibrated", "operating_point") if name in facts}
    return [{"class": facts["class"], **probabilities, **more}]


def _said(facts: Mapping[str, Any]) -> str:
    kind = f"{kind_of(facts) or 'calibrated '}probability"
    ((finding, point),) = thresholds_of(facts).items() or [(facts["class"], None)]
    threshold = "" if point is None else f", threshold {chance(point, 2)}"
    return f"{facts['class']} ({kind} of {finding} {chance(facts['probabilities'][finding], 2)}{threshold})"


TASK = LocalTask[Classification, ScoreSums](
    task=classification.TASK,
    find=class_labels.find,
    targets=class_labels.targets,
    strata=lambda section, targets: targets[:],
    members=class_labels.members,
    loss=_loss,
    sums=_sums,
    asking=Asking(_answer, _rows, _said),
    noise=lambda section, records, space: torch.arange(records) % len(section.classes),
)
