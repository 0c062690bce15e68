"""Which model a run keeps: that of the last round, of the best one on validation patients, or a mean of the last few.

The choice is a function of what each round gave anyway, the sums over validation patients, so that it asks hospitals
nothing more and costs no privacy (docs/evaluation.md). It is kept with each round, so that a run that is resumed
chooses as one that was not interrupted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wardround_common.messages.parameters import Vector
from wardround_common.results import RoundRecord
from wardround_common.study.file import Study
from wardround_common.tasks.contract import Sums
from wardround_common.tasks.registry import task_of


@dataclass(frozen=True, eq=False)
class Kept:
    """What is kept of the rounds so far."""

    rounds: tuple[int, ...]
    """The round of the model, or those whose models are averaged."""
    added: NDArray[Any] = field(repr=False)
    """(parameters,) the model, float32; of several the sum of their models, float64."""
    value: float | None = None
    """The headline metric on the validation patients, of the best model."""
    validation: Sums | None = field(default=None, repr=False)
    """What the hospitals' validation patients said of it: they give the operating point."""

    @property
    def model(self) -> Vector:
        """The model (parameters,) float32."""
        return (self.added / len(self.rounds)).astype(np.float32) if len(self.rounds) > 1 else _single(self.added)


def _single(vector: NDArray[Any]) -> Vector:
    return vector.astype(np.float32, copy=False)


def averaged(study: Study, kept: Kept | None, number: int, parameters: Vector) -> Kept | None:
    """Add a round's model to the mean, if the study keeps one and the round is among its last; else nothing changes."""
    over_rounds = study.evaluation.average
    if over_rounds is None or number <= study.training.rounds - over_rounds:
        return kept
    before, added = (kept.rounds, kept.added) if kept else ((), np.zeros(len(parameters)))
    return Kept((*before, number), added + parameters.astype(np.float64))


def is_mean(study: Study, number: int) -> bool:
    """Tell whether the model to be evaluated after a round is the mean and no longer the round's own: the last one."""
    return study.evaluation.keep == "mean-of-last" and number == study.training.rounds


def evaluated(study: Study, kept: Kept | None, number: int, parameters: Vector, validation: Sums) -> Kept | None:
    """Return what is kept after a round's model, or the mean, was evaluated on validation patients."""
    if not validation.records:
        return kept
    if is_mean(study, number) and kept:
        return Kept(kept.rounds, kept.added, None, validation)
    if study.evaluation.keep != "best":
        return kept
    first = task_of(study.task).first
    value: float | None = first.value(validation, None)
    if value is None or (kept and kept.value is not None and first.goodness(value) <= first.goodness(kept.value)):
        return kept
    return Kept((number,), parameters, value, validation)


def over(study: Study, history: Sequence[RoundRecord]) -> bool:
    """Tell whether a run has had its last round: all that are planned, or evaluations that brought nothing better.

    These are ``patience`` of them, one after the other. A round that was not evaluated, or whose evaluation gave no
    value, does not count.
    """
    if len(history) >= study.training.rounds:
        return True
    if study.evaluation.patience is None:
        return False
    goodness = task_of(study.task).first.goodness
    best, since = -np.inf, 0
    for record in history:
        if record.headline.value is None:
            continue
        now = goodness(record.headline.value)
        best, since = (now, 0) if now > best else (best, since + 1)
    return since >= study.evaluation.patience
