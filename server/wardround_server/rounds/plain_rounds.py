"""A round whose answers the coordinator reads one by one: ``secure = false``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from wardround_common.errors import MessageError
from wardround_common.messages.parameters import Vector
from wardround_common.messages.rounds import (
    MOST_EXAMPLES,
    Evaluated,
    EvaluateRequest,
    Failure,
    Split,
    TrainRequest,
    Update,
)
from wardround_common.metrics.class_counts import ClassCounts
from wardround_common.metrics.shapes import LEAST_RECORDS
from wardround_common.results import Absence, OwnFigures
from wardround_common.study.file import Study
from wardround_common.tasks.registry import task_of
from wardround_server.averaging import WeightedSum
from wardround_server.rounds.bounds import check_bounds
from wardround_server.rounds.carried import Carried, questions_of
from wardround_server.rounds.exchange import Exchange
from wardround_server.rounds.heard import Heard, Scored, absence, check_answers, enough, form_of


@dataclass(frozen=True, eq=False)
class Rounds:
    """The plain rounds of one run."""

    study: Study
    exchange: Exchange
    classes: ClassCounts | None = None
    """How many training images of each class there are, if the study counts them."""
    carried: Carried | None = None
    """What the questions of rounds carry besides, if steps are corrected."""

    def train(self, parameters: Vector, number: int, tell: Callable[[str], None]) -> Heard:
        """Ask every hospital for its update and add them up as they come; ``tell`` is told each that was added.

        Raises:
            RoundError: fewer hospitals than the study's ``min_hospitals`` answer.
        """
        total = WeightedSum(len(parameters))
        losses: list[tuple[float, int]] = []
        own: dict[str, float] = {}
        epsilons: dict[str, float] = {}
        answered: list[str] = []
        absent: list[Absence] = []
        control = self.carried.control if self.carried else None
        request = TrainRequest(self.study.digest(), number, parameters, classes=self.classes, control=control)
        for name, answer in self.exchange.ask(
            TrainRequest.kind, questions_of(request, self.exchange.hospitals(), self.carried)
        ):
            if isinstance(answer, Failure):
                absent.append(absence(name, answer.reason))
                continue
            try:
                update = Update.parse(answer, len(parameters))
                check_answers(self.study, update.study, number, update.round)
                check_bounds(update, self.study.aggregation)
                total.add(update.vector, update.examples)
            except MessageError as error:
                absent.append(absence(name, error.kind))
                continue
            answered.append(name)
            if update.mean_loss is not None:
                losses.append((update.mean_loss, update.examples))
                if update.examples >= LEAST_RECORDS:
                    own[name] = update.mean_loss
            if update.epsilon is not None:
                epsilons[name] = update.epsilon
            tell(name)
        enough(self.study, f"heard in round {number}", answered, absent)
        weight = sum(examples for _, examples in losses)
        return Heard(
            mean=total.mean(),
            answered=tuple(sorted(answered)),
            absent=tuple(absent),
            training_loss=sum(loss * examples for loss, examples in sorted(losses)) / weight if weight else None,
            epsilons=dict(sorted(epsilons.items())),
            clipped=None,
            losses=own,
        )

    def score(
        self, parameters: Vector, number: int, split: Split = "validation", everybody: NDArray[np.int64] | None = None
    ) -> Scored:
        """Ask every hospital how good the parameters are on its patients of a split, and add up.

        Sums that are impossible are left out, and their hospital is named as missing.
        """
        question = EvaluateRequest(self.study.digest(), number, split, parameters, everybody=everybody).parts()
        form = form_of(self.study, split)
        total, absent = form.empty(), []
        own: dict[str, OwnFigures] = {}
        for name, answer in self.exchange.ask(EvaluateRequest.kind, dict.fromkeys(self.exchange.hospitals(), question)):
            if isinstance(answer, Failure):
                absent.append(absence(name, answer.reason))
                continue
            try:
                evaluated = Evaluated.parse(answer)
                check_answers(self.study, evaluated.study, number, evaluated.round)
                sums = form.read(evaluated.sums)
                if sums.records > MOST_EXAMPLES:
                    raise MessageError("more images are reported as scored than any hospital has")
                total = total + sums
                if self.study.tracking.hospitals and split == "validation" and sums.records >= LEAST_RECORDS:
                    value = task_of(self.study.task).first.value(sums, None)
                    own[name] = OwnFigures(validation_loss=sums.mean_loss(), headline=value)
            except MessageError as error:
                absent.append(absence(name, error.kind))
        return Scored(total, tuple(absent), own=own)
