"""A round of which the coordinator reads only sums: ``secure = true`` (docs/secagg.md, section 4)."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from wardround_common.buffers import vacant
from wardround_common.canonical import cut, joined
from wardround_common.errors import MessageError, RoundError, StorageError
from wardround_common.keys.identity import KEY_BYTES, Roster
from wardround_common.messages.parameters import Vector
from wardround_common.messages.rounds import RUN_BYTES, EvaluateRequest, Failure, Parts, Prepared, Split, TrainRequest
from wardround_common.metrics.class_counts import ClassCounts
from wardround_common.metrics.sums import UNIT
from wardround_common.privacy.accounting import noise_multiplier_for
from wardround_common.privacy.noisy_sum import NoisySum, has_noise, least_survivors
from wardround_common.results import Absence
from wardround_common.secagg.exchange import Head
from wardround_common.secagg.messages import Confirmation, ConfirmRequest, MaskedAnswer, Opened, OpenRequest
from wardround_common.secagg.question import question_digest
from wardround_common.secagg.statements import check_statement, write_statements
from wardround_common.secagg.terms import Member, Terms, read_members, write_members
from wardround_common.storage import write_atomically
from wardround_common.study.file import Study
from wardround_common.study.privacy import DistributedDpSgd, DpSgd
from wardround_common.study.schedule import learning_rate
from wardround_common.study.sums import clip_claim, encoding_for, margins_for, threshold_for
from wardround_server.rounds.bounds import mean_excess, noisy_excess, readable_sums, refusal
from wardround_server.rounds.carried import Carried, questions_of
from wardround_server.rounds.exchange import Exchange
from wardround_server.rounds.heard import GivenUp, Heard, Scored, absence, check_answers, enough, form_of
from wardround_server.rounds.secure_sum import Confirming, Gathering, Opening, Total

TRAINING_COUNTS = 3  # weight, loss, clipped numbers
_WHAT = {
    "test": "the test patients' judgement",
    "before": "the sum before the first round",
    "features": "the sum of the validation patients' features",
    "distances": "the histogram of the validation patients' distances",
}


class Journal(Protocol):
    """Where the coordinator notes whom it asked and whom it counts, before it says so to anybody.

    Hospitals answer one cohort and one list of survivors for each sum. A coordinator that forgot them could not
    repeat its questions after a crash.
    """

    def read(self, name: str) -> bytes | None:
        """Return the note of that name."""

    def write(self, name: str, content: bytes) -> None:
        """Keep a note in the place of the one before."""


@dataclass(frozen=True)
class FolderJournal:
    """A journal as one small file a note."""

    folder: Path

    def read(self, name: str) -> bytes | None:
        """Return the note of that name."""
        try:
            return (self.folder / name).read_bytes()
        except FileNotFoundError:
            return None

    def write(self, name: str, content: bytes) -> None:
        """Keep a note in the place of the one before."""
        write_atomically(self.folder / name, content)


@dataclass(frozen=True)
class Consortium:
    """What the coordinator needs for secure sums: the run's name, the roster, a journal."""

    run: bytes
    """16 bytes from the operating system's generator, the same when the run is resumed."""
    roster: Roster
    journal: Journal = field(repr=False)
    give_up: bool = False
    """Whether a round that was begun before and cannot be summed now is left out, and the next one begun. What its
    training cost the hospitals stays spent."""

    def member(self, name: str, study: Study, prepared: Prepared) -> Member:
        """Take a hospital's key for this run.

        Raises:
            MessageError: it sent none, or it is not signed by the hospital that the roster has under this name.
        """
        if prepared.agreement is None:
            raise MessageError("the study's sums are secure, and the hospital sent no key")
        member = Member(name, prepared.agreement[:KEY_BYTES], prepared.agreement[KEY_BYTES:])
        member.check(self.roster, study.digest(), self.run)
        return member


def open_consortium(folder: Path, roster: Roster, *, give_up: bool = False) -> Consortium:
    """Open what the coordinator keeps of a run's secure sums; a run that begins gets its name here.

    Raises:
        StorageError: the folder cannot be written.
    """
    name = folder / "run"
    if not name.exists():
        write_atomically(name, os.urandom(RUN_BYTES))
    return Consortium(name.read_bytes(), roster, FolderJournal(folder), give_up)


@dataclass(frozen=True, eq=False)
class Rounds:
    """The secure sums of one run."""

    study: Study
    exchange: Exchange
    consortium: Consortium
    members: Mapping[str, Member]
    classes: ClassCounts | None = None
    """How many training images of each class there are, if the study counts them."""
    carried: Carried | None = None
    """What the questions of rounds carry besides, if steps are corrected."""

    def train(self, parameters: Vector, number: int, tell: Callable[[str], None]) -> Heard | GivenUp:
        """Sum the hospitals' weighted updates, weights and losses; ``tell`` is told each that was added, masked.

        Under ``trust = "distributed"``: sum their gradients, and give the step down the mean as the mean update. A sum
        that is beyond what the study allows is refused: the round is given up.

        Raises:
            RoundError: too few hospitals upload, confirm or open; nothing of the round was read.
        """
        begun = self._note("train", number) is not None
        absent: list[Absence] = []
        try:
            return self._train(parameters, number, tell, absent)
        except RoundError as error:
            if not (begun and self.consortium.give_up):
                error.give_up = True
                raise
            threshold_for(self.study, len(self._there()))  # else the next round would be spent in vain
            return GivenUp(tuple(absent))

    def _train(
        self, parameters: Vector, number: int, tell: Callable[[str], None], absent: list[Absence]
    ) -> Heard | GivenUp:
        def ask(cohort: bytes) -> TrainRequest:
            control = self.carried.control if self.carried else None
            return TrainRequest(self.study.digest(), number, parameters, cohort, self.classes, control)

        privacy = self.study.privacy
        noisy = isinstance(privacy, DistributedDpSgd)
        counts = 0 if noisy else TRAINING_COUNTS
        total, hospitals, survivors = self._sum(ask, len(parameters), counts, tell, absent)
        if isinstance(privacy, DistributedDpSgd):
            form = NoisySum.of(self.study, privacy, hospitals, threshold_for(self.study, hospitals))
            noise = noise_multiplier_for(privacy, privacy.sampling_rate, self.study.training.rounds)
            if excess := noisy_excess(form, noise, total, len(survivors)):
                return _refused(number, excess, survivors, absent)
            step = -learning_rate(self.study.training, number) / self.study.training.batch_size
            return Heard(form.decode(total.update) * step, tuple(survivors), tuple(absent), None, {}, None)
        encoding, private = encoding_for(self.study.aggregation, hospitals), isinstance(privacy, DpSgd)
        if excess := mean_excess(encoding, total, len(survivors), private=private):
            return _refused(number, excess, survivors, absent)
        weight, loss, clipped = total.counts.tolist()
        return Heard(
            mean=encoding.decode(total.update, weight),
            answered=tuple(survivors),
            absent=tuple(absent),
            training_loss=None if private else loss * UNIT / weight,
            epsilons={},
            clipped=clipped / (len(survivors) * len(parameters)),
        )

    def score(
        self, parameters: Vector, number: int, split: Split = "validation", everybody: NDArray[np.int64] | None = None
    ) -> Scored:
        """Sum how good the parameters are on the hospitals' patients of a split.

        If too few hospitals take part, or the sums are impossible, they are empty: the round is complete without them.
        """

        def ask(cohort: bytes) -> EvaluateRequest:
            return EvaluateRequest(self.study.digest(), number, split, parameters, cohort, everybody)

        form = form_of(self.study, split)
        absent: list[Absence] = []
        try:
            total, _, survivors = self._sum(ask, 0, form.length, lambda name: None, absent)
        except RoundError:
            return Scored(form.settled(form.empty()), tuple(absent))
        sums, excess = readable_sums(total, len(survivors), form)
        what = _WHAT.get(split, f"the evaluation of round {number}")
        return Scored(form.settled(sums), tuple(absent), refusal(what, excess, survivors) if excess else "")

    def _sum(
        self,
        ask: Callable[[bytes], TrainRequest | EvaluateRequest],
        size: int,
        counts: int,
        tell: Callable[[str], None],
        absent: list[Absence],
    ) -> tuple[Total, int, list[str]]:
        """Return the sum, over how many hospitals it was encoded, and who is in it; note in ``absent`` who is not.

        If the sum cannot be opened, those whose confirmation or shares were missing are noted too.
        """
        there = self._there()
        request = ask(b"")
        what, number = request.kind, request.round
        noted = self._note(what, number)
        members = noted[0] if noted else tuple(self.members[name] for name in there)
        threshold = threshold_for(self.study, len(members))  # refuses too few before anybody is asked
        if noted is None:
            self._write_note(what, number, members, ())
        here = [member.name for member in members if member.name in there]
        question = ask(write_members(members))
        with ThreadPoolExecutor(1) as beside:  # the terms have a hash of the model, and so have the questions' parts
            made = beside.submit(self._terms, request, members, threshold)
            gathering = self._gather(made, members, question, here, size, counts, tell, absent)
        terms = made.result()
        survivors = gathering.names
        noisy = has_noise(self.study, terms.what, number)
        least = least_survivors(self.study, len(members), terms.threshold) if noisy else terms.threshold
        enough(self.study, f"heard in round {number}", survivors, absent, least)
        if noted and noted[1] and list(noted[1]) != survivors:
            raise RoundError(
                f"round {number} was to be summed over {', '.join(noted[1])} and not all of them are there again",
                do="Wait until they are: the hospitals open this sum over no other set.",
            )
        self._write_note(what, number, members, tuple(survivors))
        silent: dict[str, str] = {}
        try:
            opening = self._confirm(gathering.close(), terms, survivors, silent)
            return self._open(opening, terms, silent), len(members), survivors
        except RoundError:
            absent += [absence(name, kind) for name, kind in silent.items()]
            raise

    def _terms(self, request: TrainRequest | EvaluateRequest, members: tuple[Member, ...], threshold: int) -> Terms:
        return Terms(
            self.study.digest(),
            self.consortium.run,
            "train" if isinstance(request, TrainRequest) else "evaluate",
            request.round,
            question_digest(request),
            self.consortium.roster.digest,
            members,
            threshold,
            *margins_for(self.study),
        )

    def _there(self) -> list[str]:
        return [name for name in sorted(self.exchange.hospitals()) if name in self.members]

    def _gather(
        self,
        made: Future[Terms],
        members: tuple[Member, ...],
        question: TrainRequest | EvaluateRequest,
        here: list[str],
        size: int,
        counts: int,
        tell: Callable[[str], None],
        absent: list[Absence],
    ) -> Gathering:
        dtype = encoding_for(self.study.aggregation, len(members)).dtype
        noted = self._note(question.kind, question.round)
        awaited = (noted[1] if noted else ()) or here  # after a crash: those that were to be summed
        absent += [absence(member.name, "silent") for member in members if member.name not in here]
        # A late upload is not even asked for: the list was closed without it.
        absent += [absence(name, "dropped") for name in here if name not in awaited]
        asked = [name for name in here if name in awaited]
        claim = clip_claim(self.study)
        stated: dict[str, tuple[Head, bytes]] | None = None
        if self.study.aggregation.clip_statements and question.kind == "train":
            stated = {}
        answers = iter(self.exchange.ask(question.kind, questions_of(question, asked, self.carried)))
        first = [*islice(answers, 1)]  # so that the questions are out
        terms = made.result()
        gathering = Gathering(terms, self.consortium.roster, Total(vacant(size, dtype), np.empty(counts, "<u8")))
        for name, answer in chain(first, answers):
            try:
                upload = MaskedAnswer.parse(_parts(answer), size, counts, dtype, terms.graph.circle)
                check_answers(self.study, upload.study, terms.round, upload.round)
                head, place = upload.upload.head, terms.place(name)
                if stated is not None:
                    check_statement(self.consortium.roster.keys[name], upload.statement, terms, place, head, claim)
                gathering.add(name, upload.upload)
                if stated is not None:
                    stated[name] = (head, upload.statement)
                tell(name)
            except MessageError as error:
                absent.append(absence(name, error.what if isinstance(answer, Failure) else error.kind))
        if stated is not None:
            self.consortium.journal.write(f"statements.{terms.round:06d}", write_statements(terms, claim, stated))
        return gathering

    def _confirm(self, confirming: Confirming, terms: Terms, survivors: list[str], silent: dict[str, str]) -> Opening:
        digest, number = self.study.digest(), terms.round
        question = ConfirmRequest(digest, number, terms.what, confirming.question()).parts()
        for name, answer in self.exchange.ask(ConfirmRequest.kind, dict.fromkeys(survivors, question)):
            try:
                confirmation = Confirmation.parse(_parts(answer))
                check_answers(self.study, confirmation.study, number, confirmation.round)
                confirming.add(name, confirmation.signature)
            except MessageError as error:
                silent[name] = error.what if isinstance(answer, Failure) else error.kind
        return confirming.close()

    def _open(self, opening: Opening, terms: Terms, silent: dict[str, str]) -> Total:
        digest, number = self.study.digest(), terms.round
        signatures = opening.signatures()
        questions = {
            name: OpenRequest(digest, number, terms.what, signatures, opening.sealed_for(name)).parts()
            for name in opening.names
        }
        for name, answer in self.exchange.ask(OpenRequest.kind, questions):
            try:
                opened = Opened.parse(_parts(answer))
                check_answers(self.study, opened.study, number, opened.round)
                opening.add(name, opened.shares)
            except MessageError as error:
                silent[name] = error.what if isinstance(answer, Failure) else error.kind
        return opening.total()

    def _place(self, what: str, number: int) -> str:
        """Name the note of a sum: what may be asked again when a run is resumed replaces no later sum's note.

        Of sums after the rounds, those over features and those over hospitals that only evaluate have their own.
        """
        if number > self.study.test_round:
            return f"{what}.external"
        return f"{what}.features" if self.study.training.rounds < number < self.study.test_round else what

    def _note(self, what: str, number: int) -> tuple[tuple[Member, ...], tuple[str, ...]] | None:
        content = self.consortium.journal.read(self._place(what, number))
        if content is None:
            return None
        try:
            noted, cohort, *survivors = cut(content)
            members = read_members(cohort)
        except (MessageError, ValueError):
            raise StorageError(
                "the coordinator's record of a round is damaged", do="Start a new run in another folder."
            ) from None
        if int(noted) != number:
            return None
        return members, tuple(name.decode() for name in survivors)

    def _write_note(self, what: str, number: int, members: tuple[Member, ...], survivors: tuple[str, ...]) -> None:
        names = [name.encode() for name in survivors]
        content = joined(str(number).encode(), write_members(members), *names)
        self.consortium.journal.write(self._place(what, number), content)


def _refused(number: int, excess: str, survivors: list[str], absent: list[Absence]) -> GivenUp:
    return GivenUp(tuple(absent), tuple(survivors), refusal(f"the sum of round {number}", excess, survivors))


def _parts(answer: Parts | Failure) -> Parts:
    if isinstance(answer, Failure):
        raise MessageError(answer.reason)
    return answer
