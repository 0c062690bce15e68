"""The coordinator's side of a study: prepare, then rounds of training, averaging and evaluation."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import cast

import numpy as np

from wardround_common.errors import MessageError, ModelError, RoundError, VersionError
from wardround_common.messages.parameters import Fixed, Layout, Vector, vector_digest
from wardround_common.messages.rounds import Failure, Parts, Prepared, PrepareRequest
from wardround_common.metrics.class_counts import ClassCounts
from wardround_common.metrics.unlike import LEAST_IMAGES
from wardround_common.results import Absence, Headline, OwnFigures, RoundRecord
from wardround_common.results.map_sums import MapCell
from wardround_common.results.released import first_vector
from wardround_common.results.subgroup_sums import NO_SUBGROUPS, BySubgroup, TestSums
from wardround_common.results.unlike import Unlike, read_summed
from wardround_common.results.withheld import Without
from wardround_common.secagg.terms import Member
from wardround_common.storage import write_atomically
from wardround_common.strategies.contract import Moments
from wardround_common.study.before import INPUT_TENSORS, Before, asks_before
from wardround_common.study.file import Study
from wardround_common.study.plugins import admit
from wardround_common.study.words.phrases import asked_about
from wardround_common.tasks.contract import Sums
from wardround_common.tasks.registry import task_of
from wardround_server.rounds import plain_rounds, secure_rounds
from wardround_server.rounds.carried import Carried, carried, moved
from wardround_server.rounds.exchange import Counted, Exchange, Some, trainers
from wardround_server.rounds.heard import Heard, Rounds, Scored, absence, check_answers, enough
from wardround_server.rounds.keeping import Kept, averaged, evaluated, is_mean, over
from wardround_server.rounds.secure_rounds import Consortium
from wardround_server.rounds.voting import hold_vote


@dataclass(frozen=True, eq=False)
class State:
    """A run after a number of completed rounds: all that the next round needs."""

    layout: Layout
    parameters: Vector = field(repr=False)
    moments: Moments | None
    history: tuple[RoundRecord, ...]
    validation: Sums | None = field(default=None, repr=False)
    """What the hospitals' validation patients said of these parameters, if they were asked: they give the operating
    point."""
    kept: Kept | None = field(default=None, repr=False)
    """The best model so far, or the mean of the last ones, if the study keeps another than the last."""
    fixed: Fixed | None = field(default=None, repr=False)
    """What of the network is not trained, if the study trains a part of it alone."""
    classes: ClassCounts | None = None
    """How many training images of each class the hospitals have, if the study counts them."""

    @property
    def chosen(self) -> Kept:
        """The model that the run keeps, if these were all rounds."""
        return self.kept or Kept((len(self.history),), self.parameters, None, self.validation)


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


MOST_REFUSED = 3
"""How many rounds may be refused one after the other before the run stops: who spoils one spoils the next."""

Event = Ready | RoundBegins | Answered | RoundEnds
Watch = Callable[[Event], None]


def run_study(
    study: Study,
    exchange: Exchange,
    watch: Watch,
    before: State | None = None,
    consortium: Consortium | None = None,
    expected: Collection[str] = (),
    why_away: Callable[[str], str] = lambda name: "away",
    start: bytes | None = None,
) -> State:
    """Drive a study to its last round, from its first or from the ``before`` of an interrupted run.

    Hospitals that only evaluate are asked nothing here. A hospital that comes, or comes back, while rounds go on
    is prepared and takes part from the next one.

    ``consortium``: needed if the study's sums are secure, and only then. ``expected``: who should be in every round;
    one of them that is not even there to be asked is noted with the word that ``why_away`` has for it. ``start``: the
    ``model.safetensors`` of the model that the study starts from; needed in its first round if it does.

    Raises:
        PluginError: the study names a plug-in with a strategy that is not installed exactly so.
        ModelError: ``start`` is not what the study starts from, or not of its network.
        RoundError: fewer hospitals than the study's ``min_hospitals`` are ready or answer; or they do not agree on the
            model; or :data:`MOST_REFUSED` rounds were refused one after the other. What ``watch`` was told as
            ``RoundEnds`` stays true, so the run can continue from there.
    """
    admit(study, network=False)
    if study.aggregation.secure != (consortium is not None):
        raise RoundError("the study's sums are secure, and the coordinator has no roster and no name for the run")
    exchange, expected = trainers(study, exchange), [name for name in expected if study.trains(name)]
    state, roll = _prepare(study, exchange, watch, before, consortium, start)
    if asks_before(study) and not state.history:
        state = _add_up_before(study, state, roll, consortium)
    while not over(study, state.history):
        number = len(state.history) + 1
        state = _round(study, exchange, watch, state, number, consortium, roll, expected, why_away)
        if number < study.training.rounds:
            _check_refusals(state.history)
    if not any(record.counted for record in state.history):
        raise RoundError(
            "every round was given up: nothing was trained", do="Start a new run with the remaining hospitals."
        )
    return state


BEFORE = "before"
"""The coordinator's note of what was added up before the first round: hospitals answer no question again that lies
behind."""


def _add_up_before(study: Study, state: State, roll: _Roll, consortium: Consortium | None) -> State:
    """Let the hospitals add up what the study needs before its first round, and put it where it belongs.

    Raises:
        RoundError: too few of them did, or there is nobody to train on.
    """
    noted = consortium.journal.read(BEFORE) if consortium else None
    if noted:
        found = Before.read(np.array(json.loads(noted), np.int64), study)
    else:
        scored = _rounds_over(study, roll, roll, consortium).score(state.parameters, 0, "before")
        found = cast(Before, scored.sums)
        if not found.records:
            raise RoundError(
                scored.refused or "too few hospitals added up what the study needs before its first round",
                do="Wait until enough are connected, then continue.",
            )
        if consortium:
            consortium.journal.write(BEFORE, json.dumps(found.to_vector().tolist()).encode())
    state = replace(state, classes=found.classes)
    if found.intensities is None:
        return state
    parameters = state.parameters.copy()
    for name, _, part in state.layout.slices():
        if name in INPUT_TENSORS:
            parameters[part] = getattr(found.intensities, INPUT_TENSORS[name])()
    return replace(state, parameters=parameters)


def _check_refusals(history: Sequence[RoundRecord]) -> None:
    """Check that the last rounds were not refused, one after the other."""
    last = history[-MOST_REFUSED:]
    if len(last) < MOST_REFUSED or not all(record.refused for record in last):
        return
    counted = max((record.number for record in history if record.counted), default=0)
    model = f"that of round {counted}" if counted else "the one that the study started from"
    raise RoundError(
        f"rounds {last[0].number} to {last[-1].number} were refused, one after the other; the model is {model}. The "
        f"last: {last[-1].refused}",
        do="Find out with the hospitals which of them did not follow the study, and revoke or repair it. Then resume "
        "the run: it continues with the next round.",
    )


@dataclass(frozen=True, eq=False)
class Judged:
    """What the hospitals' test patients say of the last model, all of them together."""

    test: Sums
    """Of all of them."""
    absent: tuple[Absence, ...]
    """Whose test patients are not among them."""
    refused: str = ""
    """Why the sums are not used, in one sentence; empty if they are."""
    trained: Sums | None = None
    """Of those that trained; None where no hospital only evaluates, or all were summed together."""
    external: Sums | None = None
    """Of those that did not; None as above."""
    subgroups: BySubgroup = NO_SUBGROUPS
    """Of all of them, by subgroup; none where the study asks for none, or they are not known of all."""
    maps: MapCell | None = None
    """Of all of them with an outlined lesion; None where the study does not ask, or nothing is known."""
    recalibrated: Sums | None = None
    """Of all of them by each hospital's own recalibration; None as above."""
    withheld: tuple[Without, ...] = ()
    """Of all of them with each input withheld; empty where the study does not ask."""


def judge_study(
    study: Study,
    exchange: Exchange,
    state: State,
    consortium: Consortium | None = None,
    expected: Collection[str] = (),
    why_away: Callable[[str], str] = lambda name: "away",
) -> Judged:
    """Let the hospitals judge the kept model on their test patients, once; sums are as secure as those of rounds.

    Those that only evaluate are summed apart from those that trained where they are enough for a sum of their own
    (:attr:`Study.external_apart`), else together with them: each hospital is in one sum, so that no two differ by one.
    Too few hospitals give empty sums and no error: the model is there.

    Raises:
        RoundError: fewer hospitals than the study's ``min_hospitals`` are ready.
    """
    _, roll = _prepare(study, exchange, lambda event: None, state, consortium)
    there, model = roll.hospitals(), state.chosen.model

    def score(number: int, takes: Callable[[str], bool]) -> Scored:
        return _rounds_over(study, Some(roll, takes), roll, consortium).score(model, number, "test")

    if not study.external_apart:
        scored = score(study.test_round, lambda name: True)
        absent = _all_absent(scored.absent, roll, there, expected, why_away)
        tested = cast(TestSums, scored.sums)  # what ``form_of`` reads of test patients
        told = (tested.groups, tested.maps, tested.recalibrated, tested.withheld)
        return Judged(tested.whole, absent, scored.refused, None, None, *told)
    own = score(study.test_round, study.trains)
    others = score(study.external_round, lambda name: not study.trains(name))
    absent = _all_absent((*own.absent, *others.absent), roll, there, expected, why_away)
    refused = "; ".join(scored.refused for scored in (own, others) if scored.refused)
    trained, external = cast(TestSums, own.sums), cast(TestSums, others.sums)
    both = trained + external
    sums = (trained.whole, external.whole, both.groups, both.maps, both.recalibrated, both.withheld)
    return Judged(both.whole, absent, refused, *sums)


def describe_usual(
    study: Study, exchange: Exchange, state: State, path: Path, consortium: Consortium | None = None
) -> Unlike | None:
    """Let the hospitals that train add up what validation images are like to the kept model, once, after the rounds.

    Two sums, as secure as those of rounds: over features, then over each image's distance from the others'. What each
    gave is written to ``path`` before the next is asked, since hospitals answer no earlier question again; a run that
    is resumed goes on from there. None if the study does not ask for it, or if there are no sums: the model is there.

    Raises:
        RoundError: fewer hospitals than the study's ``min_hospitals`` are ready.
        StorageError: the file cannot be read or written, or holds something else.
    """
    fraction, model = study.evaluation.usual, state.chosen.model
    if not fraction:
        return None
    digest = vector_digest(model)
    known = read_summed(path)
    if known is not None and known.model == digest and known.histogram:
        return known
    asked = trainers(study, exchange)
    _, roll = _prepare(study, asked, lambda event: None, state, consortium)
    rounds = _rounds_over(study, roll, roll, consortium)
    first, second = study.features_rounds
    if known is None or known.model != digest:
        moments = rounds.score(model, first, "features").sums
        if moments.records < LEAST_IMAGES:
            return None
        known = Unlike(model=digest, fraction=fraction, moments=tuple(moments.to_vector().tolist()))
        write_atomically(path, known.content())
    everybody = np.array(known.moments, np.int64)
    distances = rounds.score(model, second, "distances", everybody).sums
    if not distances.records:
        return None
    known = known.model_copy(update={"histogram": tuple(distances.to_vector().tolist())})
    write_atomically(path, known.content())
    return known


def not_usual(study: Study) -> str:
    """Say that the model tells no unlike images, and why; they are counted as the model is asked about them."""
    return (
        "The model does not say which images are unlike those of its training: too few hospitals answered, or they "
        f"have fewer than {LEAST_IMAGES} validation {asked_about(study)} together."
    )


@dataclass(frozen=True)
class _Roll:
    """Who is ready for the study, and who is not, and why."""

    exchange: Exchange
    first_parameters: str
    """Digest of those that the study's seed gives, or that it starts from."""
    members: dict[str, Member]
    """The keys of secure sums."""
    ready: set[str]
    failed: dict[str, str]
    """Since the last round; they are asked again before the next one."""

    def hospitals(self) -> Sequence[str]:
        """Name those that are ready and there."""
        return [name for name in self.exchange.hospitals() if name in self.ready]

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        """Ask them."""
        return self.exchange.ask(kind, questions)

    def welcome(self, study: Study, layout: Layout, watch: Watch, consortium: Consortium | None) -> None:
        """Prepare those who are there and are neither ready nor known not to be."""
        new = [name for name in self.exchange.hospitals() if name not in self.ready and name not in self.failed]
        if not new:
            return
        question = PrepareRequest(study.digest(), False, consortium.run if consortium else None).parts()
        for name, answer in self.exchange.ask(PrepareRequest.kind, dict.fromkeys(new, question)):
            try:
                prepared = _read(answer)
                check_answers(study, prepared.study, 0, 0)
                if (prepared.layout.digest, prepared.parameters_digest) != (layout.digest, self.first_parameters):
                    raise MessageError("model")
                if consortium:
                    self.members[name] = consortium.member(name, study, prepared)
            except MessageError as error:
                self.failed[name] = _word(error)
            else:
                self.ready.add(name)
                watch(Ready(name))


def _prepare(
    study: Study,
    exchange: Exchange,
    watch: Watch,
    before: State | None,
    consortium: Consortium | None,
    start: bytes | None = None,
) -> tuple[State, _Roll]:
    released = study.model.start
    if released and start is None and before is None:
        raise RoundError(
            f"the study starts from the model '{released.name}', which is not here",
            do="Give its folder with --start MODEL_FOLDER.",
        )
    names = exchange.hospitals()
    digest = study.digest()
    ready: dict[str, Prepared] = {}
    failed: dict[str, str] = {}
    members: dict[str, Member] = {}
    run = consortium.run if consortium else None
    asked: list[str] = list(names)
    senders: set[str] = set()
    while asked:
        # One hospital sends the parameters that the seed gives; should it fail, the next one is asked, each once.
        sender = None if before or released else asked[0]
        senders.add(asked[0])
        questions = {name: PrepareRequest(digest, name == sender, run).parts() for name in asked}
        for name, answer in exchange.ask(PrepareRequest.kind, questions):
            try:
                ready[name] = _read(answer)
                check_answers(study, ready[name].study, 0, 0)
                if consortium:
                    members[name] = consortium.member(name, study, ready[name])
                failed.pop(name, None)
                watch(Ready(name))
            except MessageError as error:
                ready.pop(name, None)
                members.pop(name, None)
                failed[name] = _word(error)
        have_parameters = any(prepared.parameters is not None for prepared in ready.values())
        asked = [] if before or released or have_parameters else [name for name in ready if name not in senders][:1]
    enough(study, "ready for the study", list(ready), [absence(name, why) for name, why in failed.items()])
    built = {name: (prepared.layout.digest, prepared.parameters_digest) for name, prepared in ready.items()}
    models = {model for name, model in built.items() if study.trains(name)} or set(built.values())
    for name in [name for name, model in built.items() if model not in models]:  # it only evaluates, and stops nobody
        failed[name] = ModelError.kind
        del ready[name]
        members.pop(name, None)
    if len(models) > 1:
        raise RoundError(
            "the hospitals do not build the same model from the study: " + ", ".join(sorted(ready)),
            do="Install the same version of Wardround, torch and MONAI everywhere.",
        )
    ((_, first_parameters),) = models
    roll = _Roll(exchange, first_parameters, members, set(ready), failed)
    if before:
        if before.layout.digest != next(iter(ready.values())).layout.digest:
            raise RoundError(
                "the hospitals build a different model from the one that this run began with",
                do="Continue with the versions of torch and MONAI that it began with.",
            )
        return before, roll
    training = study.training
    if released and start is not None:
        layout = next(iter(ready.values())).layout
        given = first_vector(start, released, layout)
        return State(layout, given, training.how.begin(training.values, layout.size), ()), roll
    for prepared in ready.values():
        vector, fixed = prepared.parameters, prepared.fixed
        if vector is None or (fixed is None) != (study.model.train == "all"):
            continue
        digest = vector_digest(vector) if fixed is None else fixed.digest_with(prepared.layout, vector)
        if digest == prepared.parameters_digest:
            moments = training.how.begin(training.values, prepared.layout.size)
            return State(prepared.layout, vector, moments, (), fixed=fixed), roll
    raise RoundError("no hospital sent the initial parameters that all of them built", do="Start again.")


def _read(answer: Parts | Failure) -> Prepared:
    if isinstance(answer, Failure):
        raise MessageError(answer.reason)
    return Prepared.parse(answer)


def _word(error: MessageError) -> str:
    """Return why a hospital is not ready: what it said, or what we found."""
    return error.kind if isinstance(error, VersionError) else error.what


def _rounds_over(
    study: Study,
    exchange: Exchange,
    roll: _Roll,
    consortium: Consortium | None,
    classes: ClassCounts | None = None,
    carries: Carried | None = None,
) -> Rounds:
    """Return the rounds with the hospitals of an exchange, which are on the roll, as secure as the study has them."""
    if consortium is None:
        return plain_rounds.Rounds(study, exchange, classes, carries)
    return secure_rounds.Rounds(study, exchange, consortium, roll.members, classes, carries)


def _round(
    study: Study,
    exchange: Exchange,
    watch: Watch,
    state: State,
    number: int,
    consortium: Consortium | None,
    roll: _Roll,
    expected: Collection[str],
    why_away: Callable[[str], str],
) -> State:
    watch(RoundBegins(number))
    began = time.monotonic()
    roll.welcome(study, state.layout, watch, consortium)
    counted = Counted(roll)
    carries = carried(study, state.moments, state.history)
    rounds = _rounds_over(study, counted, roll, consortium, state.classes, carries)

    def tell(name: str) -> None:
        watch(Answered(number, name))

    heard = rounds.train(state.parameters, number, tell)
    work = heard if isinstance(heard, Heard) else None
    moments, parameters, refused = state.moments, state.parameters, "" if isinstance(heard, Heard) else heard.refused
    absences = list(heard.absent)
    against: tuple[str, ...] = ()
    training = study.training
    if work:
        moments, parameters = training.how.step(training.values, state.moments, state.parameters, work.mean)
        if carries:
            moments = moved(study, moments, carries, work.mean, number, work.answered)
        if study.aggregation.vote_margin is not None:
            models = (state.parameters, parameters)
            vote = hold_vote(study, counted, work.answered, models, number, consortium)
            refused, against = vote.refusal(study), vote.against
            absences += vote.absent
            if refused:
                moments, parameters = state.moments, state.parameters
    task = task_of(study.task)
    # A model that stays and was judged is not judged again: with other hospitals, the difference would tell of one.
    judged = study.judges(number) and ((work and not refused) or (refused and state.validation is None))
    kept = averaged(study, state.kept, number, parameters)
    tried = kept.model if kept and is_mean(study, number) else parameters
    scored = Scored(task.empty(study.task), ())
    if tried is not parameters and not judged and state.validation and np.array_equal(tried, state.parameters):
        # Every round of the mean was refused: it is the model that stayed, and that was judged.
        kept = evaluated(study, kept, number, tried, state.validation)
    elif judged or tried is not parameters:
        scored = rounds.score(tried, number)
        kept = evaluated(study, kept, number, tried, scored.sums)
    absences += scored.absent
    record = RoundRecord(
        number=number,
        seconds=time.monotonic() - began,
        bytes_to_hospitals=counted.sent,
        bytes_from_hospitals=counted.received,
        training_loss=work.training_loss if work else None,
        validation_loss=scored.sums.mean_loss(),
        headline=Headline(metric=task.headline, value=task.first.value(scored.sums, None)),
        answered=heard.answered,
        absent=_all_absent(absences, roll, heard.answered or expected, expected, why_away),
        epsilons=work.epsilons if work else {},
        by_hospital=_by_hospital(work, scored) if study.tracking.hospitals else {},
        clipped=work.clipped if work else None,
        refused=refused,
        against=against,
        scores_refused=scored.refused,
    )
    validation = scored.sums if judged else state.validation if refused or not work else None
    history = (*state.history, record)
    after = State(state.layout, parameters, moments, history, validation, kept, state.fixed, state.classes)
    watch(RoundEnds(record, after))
    return after


def _by_hospital(work: Heard | None, scored: Scored) -> dict[str, OwnFigures]:
    """Return what each hospital told of a round, by hospital; of secure sums there is nothing."""
    losses = work.losses if work else {}
    return {
        name: scored.own.get(name, OwnFigures()).model_copy(update={"training_loss": losses.get(name)})
        for name in sorted({*losses, *scored.own})
    }


def _all_absent(
    absences: Sequence[Absence],
    roll: _Roll,
    answered: Collection[str],
    expected: Collection[str],
    why_away: Callable[[str], str],
) -> tuple[Absence, ...]:
    """Name also who was not ready, and who was expected and not there; each hospital once."""
    named = {absent.hospital: absent for absent in reversed(absences)}
    others = {name: why_away(name) for name in expected} | roll.failed
    roll.failed.clear()
    more = {name: absence(name, kind) for name, kind in others.items() if name not in answered and name not in named}
    return tuple(absent for _, absent in sorted((named | more).items()))
