"""The coordinator's side of a study: prepare, then rounds of training, averaging and evaluation."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from wardround_common.errors import MessageError, RoundError
from wardround_common.messages import (
    Evaluated,
    EvaluateRequest,
    Failure,
    Parts,
    Prepared,
    PrepareRequest,
    TrainRequest,
    Update,
)
from wardround_common.metrics import ScoreSums
from wardround_common.parameters import Layout, Vector, vector_digest
from wardround_common.results import Absence, RoundRecord
from wardround_common.study import Study
from wardround_server.averaging import Moments, WeightedSum, first_moments, next_model


class Exchange(Protocol):
    """How questions reach hospitals and answers come back; the Flower shell is one."""

    def hospitals(self) -> Sequence[str]:
        """Name the hospitals that can be asked now."""

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        """Ask each hospital its question and give the answers as they come, one for each hospital."""


@dataclass(frozen=True, eq=False)
class State:
    """A run after a number of completed rounds: all that the next round needs."""

    layout: Layout
    parameters: Vector = field(repr=False)
    moments: Moments | None
    history: tuple[RoundRecord, ...]


@dataclass(frozen=True)
class Ready:
    """A hospital has prepared its data."""

    hospital: str


@dataclass(frozen=True)
class RoundBegins:
    """The hospitals were asked for a round's updates."""

    number: int


@dataclass(frozen=True)
class Answered:
    """A hospital's update was added to the sum."""

    number: int
    hospital: str


@dataclass(frozen=True, eq=False)
class RoundEnds:
    """A round is complete; ``state`` is what a checkpoint keeps."""

    record: RoundRecord
    state: State


Event = Ready | RoundBegins | Answered | RoundEnds
Watch = Callable[[Event], None]


def run_study(study: Study, exchange: Exchange, watch: Watch, before: State | None = None) -> State:
    """Drive a study to its last round, from its first or from the ``before`` of an interrupted run.

    Raises:
        RoundError: fewer hospitals than the study's ``min_hospitals`` are ready or answer; or they do not agree on the
            model. What ``watch`` was told as ``RoundEnds`` stays true, so the run can go on from there.
    """
    state = _prepare(study, exchange, watch, before)
    for number in range(len(state.history) + 1, study.training.rounds + 1):
        state = _round(study, exchange, watch, state, number)
    return state


def _pooled_sums(
    study: Study, exchange: Exchange, parameters: Vector, number: int, traffic: _Traffic
) -> tuple[ScoreSums, list[Absence]]:
    """Ask every hospital how good the parameters are on its validation patients; add up, and name who is missing."""
    question = EvaluateRequest(study.digest(), number, "validation", parameters).parts()
    total, absent = ScoreSums.empty(len(study.study.classes)), []
    for name, answer in _ask_all(exchange, EvaluateRequest.kind, question, traffic):
        if isinstance(answer, Failure):
            absent.append(Absence(hospital=name, kind=_word(answer.reason)))
            continue
        try:
            evaluated = Evaluated.parse(answer)
            _check(evaluated.study == study.digest() and evaluated.round == number)
            total = total + ScoreSums.from_vector(evaluated.sums, len(study.study.classes))
        except MessageError as error:
            absent.append(Absence(hospital=name, kind=error.kind))
    return total, absent


@dataclass
class _Traffic:
    """Bytes of a round's messages: their arrays, and the text of their fields."""

    sent: int = 0
    received: int = 0


def _ask_all(
    exchange: Exchange, kind: str, question: Parts, traffic: _Traffic
) -> Iterator[tuple[str, Parts | Failure]]:
    names = exchange.hospitals()
    traffic.sent += len(names) * _size(question)
    for name, answer in exchange.ask(kind, dict.fromkeys(names, question)):
        traffic.received += 0 if isinstance(answer, Failure) else _size(answer)
        yield name, answer


def _size(parts: Parts) -> int:
    text = sum(len(name) + len(str(value)) for name, value in parts.fields.items())
    return text + sum(array.nbytes for array in parts.arrays.values())


def _check(holds: bool) -> None:
    if not holds:
        raise MessageError("the answer is to another question")


def _prepare(study: Study, exchange: Exchange, watch: Watch, before: State | None) -> State:
    names = exchange.hospitals()
    digest = study.digest()
    ready: dict[str, Prepared] = {}
    failed: dict[str, str] = {}
    asked: list[str] = list(names)
    senders: set[str] = set()
    while asked:
        # One hospital sends the parameters that the seed gives; should it fail, the next one is asked, each once.
        sender = None if before else asked[0]
        senders.add(asked[0])
        questions = {name: PrepareRequest(digest, name == sender).parts() for name in asked}
        for name, answer in exchange.ask(PrepareRequest.kind, questions):
            try:
                if isinstance(answer, Failure):
                    raise MessageError(answer.reason)
                ready[name] = Prepared.parse(answer)
                _check(ready[name].study == digest)
                failed.pop(name, None)
                watch(Ready(name))
            except MessageError as error:
                ready.pop(name, None)
                failed[name] = str(error)
        have_parameters = any(prepared.parameters is not None for prepared in ready.values())
        asked = [] if before or have_parameters else [name for name in ready if name not in senders][:1]
    _enough(
        study,
        "ready for the study",
        list(ready),
        [Absence(hospital=name, kind=_word(why)) for name, why in failed.items()],
    )
    models = {(prepared.layout.digest, prepared.parameters_digest) for prepared in ready.values()}
    if len(models) > 1:
        raise RoundError(
            "the hospitals do not build the same model from the study: " + ", ".join(sorted(ready)),
            do="Install the same version of Wardround, torch and MONAI everywhere.",
        )
    if before:
        if before.layout.digest != next(iter(ready.values())).layout.digest:
            raise RoundError(
                "the hospitals build another model than the one that this run began with",
                do="Go on with the versions of torch and MONAI that it began with.",
            )
        return before
    for prepared in ready.values():
        vector = prepared.parameters
        if vector is not None and vector_digest(vector) == prepared.parameters_digest:
            return State(prepared.layout, vector, first_moments(study.training, prepared.layout.size), ())
    raise RoundError("no hospital sent the first parameters that all of them built", do="Start again.")


def _round(study: Study, exchange: Exchange, watch: Watch, state: State, number: int) -> State:
    began = time.monotonic()
    watch(RoundBegins(number))
    traffic = _Traffic()
    total = WeightedSum(state.layout.size)
    losses: list[tuple[float, int]] = []
    epsilons: dict[str, float] = {}
    answered: list[str] = []
    absent: list[Absence] = []
    question = TrainRequest(study.digest(), number, state.parameters).parts()
    for name, answer in _ask_all(exchange, TrainRequest.kind, question, traffic):
        if isinstance(answer, Failure):
            absent.append(Absence(hospital=name, kind=_word(answer.reason)))
            continue
        try:
            update = Update.parse(answer, state.layout.size)
            _check(update.study == study.digest() and update.round == number)
            total.add(update.vector, update.examples)
        except MessageError as error:
            absent.append(Absence(hospital=name, kind=error.kind))
            continue
        answered.append(name)
        if update.mean_loss is not None:
            losses.append((update.mean_loss, update.examples))
        if update.epsilon is not None:
            epsilons[name] = update.epsilon
        watch(Answered(number, name))
    _enough(study, f"heard in round {number}", answered, absent)
    moments, parameters = next_model(study.training, state.moments, state.parameters, total.mean())
    sums, unheard = _pooled_sums(study, exchange, parameters, number, traffic)
    known = {absence.hospital for absence in absent}
    absent += [absence for absence in unheard if absence.hospital not in known]
    weight = sum(examples for _, examples in losses)
    record = RoundRecord(
        number=number,
        seconds=time.monotonic() - began,
        bytes_to_hospitals=traffic.sent,
        bytes_from_hospitals=traffic.received,
        training_loss=sum(loss * examples for loss, examples in sorted(losses)) / weight if weight else None,
        validation_loss=sums.mean_loss(),
        validation_auroc=sums.auroc(),
        answered=tuple(sorted(answered)),
        absent=tuple(sorted(absent, key=lambda absence: absence.hospital)),
        epsilons=dict(sorted(epsilons.items())),
    )
    after = State(state.layout, parameters, moments, (*state.history, record))
    watch(RoundEnds(record, after))
    return after


def _enough(study: Study, what: str, here: list[str], absent: list[Absence]) -> None:
    least = study.aggregation.min_hospitals
    if len(here) < least:
        missing = ", ".join(f"{absence.hospital} ({absence.kind})" for absence in absent) or "none was there to ask"
        raise RoundError(
            f"{len(here)} hospitals are {what} where the study needs {least}; missing: {missing}",
            do="Mend what the missing hospitals report ('model' means that training diverged: lower the learning "
            "rate), or lower min_hospitals in [aggregation].",
        )


def _word(reason: str) -> str:
    return reason if re.fullmatch("[a-z][a-z-]{0,30}", reason) else "error"
