"""The hospital service: it answers for every study that its staff approved, and for no other."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from wardround_client import networks
from wardround_client.hospital.answering import Hospital, build, join
from wardround_client.hospital.contribution import (
    Contribution,
    Earlier,
    check_contribution,
    contribution,
    earlier_contribution,
    keep_contribution,
)
from wardround_client.hospital.hospital_audit import Note, about
from wardround_client.hospital.hospital_source import facts_of_intake, hospital_source, said_of_intake, warned_of_intake
from wardround_client.hospital.secure_desk import open_desk
from wardround_client.hospital.two_studies import said_of_near_rosters
from wardround_client.intake.images_there import check_images_there
from wardround_client.maps.in_lesions import rehearse as rehearse_maps
from wardround_client.maps.in_lesions import said_of_lesions
from wardround_client.preparation.dataset import Dataset, Intake, prepare, take_in
from wardround_client.preparation.subgroups import said_of_cells
from wardround_client.site_shift.kept import NAME as OWN_PART
from wardround_client.site_shift.kept import Kept
from wardround_client.spending.account import (
    Account,
    Ask,
    approve_all,
    ask,
    ask_judged,
    check_promised,
    known_to_ledger,
    whom,
)
from wardround_client.spending.charge_note import Charge
from wardround_client.spending.ledger.past import check_not_behind
from wardround_client.spending.ledger.store import Ledger, open_ledger
from wardround_client.spending.ledger.told import Answers, read_told
from wardround_client.spending.lineage import Lineage, check_paid, lineage
from wardround_client.spending.parts import parts_of
from wardround_client.spending.policy import POLICY_NAME, Policy, read_policy
from wardround_client.spending.policy_check import Level, check_delta, check_kind, check_spending
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder, HospitalSettings
from wardround_client.state.pause import FINISHING, paused_since
from wardround_client.state.run_outcomes import outcomes
from wardround_client.state.weights_files import kept_weights
from wardround_client.training.devices import choose
from wardround_client.training.rehearsal import rehearse
from wardround_common.audit.entries import Fact
from wardround_common.audit.recorder import SHORT
from wardround_common.counting import count
from wardround_common.documents.proposal import ProposeRequest
from wardround_common.errors import (
    ImagesAwayError,
    MessageError,
    PausedError,
    PrivacyError,
    StorageError,
    WardroundError,
)
from wardround_common.keys.identity import Identity
from wardround_common.messages.rounds import Parts, round_number, study_digest
from wardround_common.plugins.blame import FAULTS, blamed
from wardround_common.randomness import Stream
from wardround_common.secagg.messages import ConfirmRequest, OpenRequest
from wardround_common.storage import read_private, write_atomically
from wardround_common.study.file import Study
from wardround_common.study.roster import keys_of

if TYPE_CHECKING:  # of Flower, which an approval does not need
    from wardround_client.hospital.app import Reply

STREAM_BYTES = 32
BESIDE = (ConfirmRequest.kind, OpenRequest.kind)


@dataclass(frozen=True)
class Work:
    """What a hospital is working on."""

    study: str
    """Its name."""
    kind: str
    """Of the question."""
    round: int | None = None
    digest: str = ""
    """The study's."""

    def __str__(self) -> str:
        return f"{self.study}: {self.kind}"


Doing = Callable[[Work | None], None]


@dataclass(eq=False)
class Ward:
    """A hospital's studies, opened when they are first asked about.

    ``doing`` is told what is worked on, and ``note`` what the audit log must tell of; both by two threads, if
    questions are answered :meth:`beside` one another.
    """

    folder: HospitalFolder
    doing: Doing = field(default=lambda work: None)
    note: Note = field(default=lambda what, facts: None)
    _open: dict[str, Hospital] = field(default_factory=dict)
    _under: dict[str, Policy] = field(default_factory=dict)
    """By study: the policy under which it was opened."""
    _images_missed: bool = False
    _at_work: dict[str, threading.Lock] = field(default_factory=dict)
    """By study: its questions are answered one after the other, whoever asks."""

    @property
    def approvals(self) -> Approvals:
        """What was proposed and decided."""
        return Approvals(self.folder.path / "studies")

    def answer(self, kind: str, parts: Parts) -> Reply:
        """Answer one question of the coordinator.

        Raises:
            PausedError: the hospital has paused, and this would begin something.
            ImagesAwayError: the images are needed, and are not there.
            ApprovalError: it is of a study that was not approved here.
            WardroundError: what the hospital raises in that study.
        """
        try:
            return self._answer(kind, parts)
        except WardroundError as error:
            if isinstance(error, ImagesAwayError):
                self._images_missed = True
            if kind != ProposeRequest.kind:  # it is asked every few seconds; that it came is noted anyway
                self.note("question refused", {"kind": kind, "why": error.kind} | _asked_about(parts))
            raise

    def images_are_away(self) -> bool:
        """Say whether the images were not there when they were last needed, and still are not."""
        if self._images_missed:
            with suppress(ImagesAwayError):
                check_images_there(self.folder.settings())
                self._images_missed = False
        return self._images_missed

    def beside(self, kind: str, parts: Parts) -> bool:
        """Say whether a question can be answered while another one is worked on, in another thread.

        A proposal can; so can what opens the sum of a study that is open here and not at work. To open one reads its
        data and builds its network, which would disturb the training of another.
        """
        if kind == ProposeRequest.kind:
            return True
        with suppress(MessageError):
            digest = study_digest(parts)
            if kind in BESIDE and digest in self._open:
                return not self._at_work[digest].locked()
        return False

    def _answer(self, kind: str, parts: Parts) -> Reply:
        if kind not in FINISHING and paused_since(self.folder.path):
            raise PausedError("this hospital is paused", do="Resume with: wardround hospital resume")
        if kind == ProposeRequest.kind:
            study = ProposeRequest.parse(parts).study
            if not self.approvals.knows(study.digest()):
                self.note("study proposed", about(study))
            return self.approvals.answer(study, self.folder.settings().name, self.folder.identity())
        digest = study_digest(parts)
        check_not_behind(self.folder.path)  # also of what costs nothing: a round would be answered a second time
        study = self.approvals.approved(digest)  # asked each time: an approval can be taken back
        with self._at_work.setdefault(digest, threading.Lock()), self._telling(study, kind, parts):
            if kind not in FINISHING and digest in self._open and hospital_policy(self.folder) != self._under[digest]:
                del self._open[digest]  # its people changed the policy: the study is checked again, caps and all
            if digest not in self._open:
                self._open[digest] = self._take_part(study)
            try:
                return self._open[digest].answer(kind, parts)
            except WardroundError:
                raise
            except FAULTS as error:
                # A graphics card that vanished, or a bug: what is in memory may be broken; all that counts is on the
                # disk, from which the next question opens it again.
                del self._open[digest]
                if told := blamed(error):
                    raise told from error
                raise

    @contextmanager
    def _telling(self, study: Study, kind: str, parts: Parts) -> Iterator[None]:
        number = parts.fields.get("round")
        self.doing(Work(study.study.name, kind, number if isinstance(number, int) else None, study.digest()))
        try:
            yield
        finally:
            self.doing(None)

    def _take_part(self, study: Study) -> Hospital:
        name, identity = self.folder.settings().name, self.folder.identity()
        check_listed(study, name, identity)
        rehearse(study)  # here too: since it was approved, torch or Opacus may be another
        place = self.folder.path / "studies" / study.digest()
        dataset, policy = read_data(self.folder, study), hospital_policy(self.folder)
        self._under[study.digest()] = policy
        # Again: since it was approved, the policy may have become stricter.
        check_kind(policy, study, _asked_of(dataset), trains=dataset.trains)
        account = None  # of a hospital that only evaluates, which is asked nothing that would cost
        judged: dict[str, Account] = {}
        if not dataset.trains:
            check_contribution(self.folder.path, study, dataset)
        else:
            ledger = open_ledger(self.folder.path, identity)
            check_paid(study.model.start, name, ledger.books)
            account = Account(ledger, policy, ask(study, dataset, ledger), self._charging)
            for one in ask_judged(study, dataset, ledger):
                judged[str(one.split)] = Account(ledger, policy, one, self._charging)
        secure = study.aggregation.secure
        desk = open_desk(study, name, identity, place / "desk", os.urandom) if secure else None
        if desk:
            told = read_told(self.folder.audit)
            desk.check_reaches(told.answers.get(study.digest()[:SHORT], Answers()))
        built = build(study, choose(self.folder.settings().device), kept_weights(self.folder.path, study))
        stream, allowed, kept = own_stream(place / "stream.key"), policy.protection, None
        if study.training.keeps:
            kept = Kept(place / OWN_PART, study.digest(), built.first_own)
        return join(study, dataset, stream, built, desk, account, allowed.subgroups, kept, allowed.maps, judged)

    def _charging(self, charge: Charge) -> None:
        self.note("round charged", charge.facts())


def _asked_about(parts: Parts) -> dict[str, Fact]:
    """Say which study and round a question names; what it says is checked by whoever answers it, so maybe nothing."""
    facts: dict[str, Fact] = {}
    with suppress(MessageError):
        facts["study"] = study_digest(parts)[:SHORT]
        facts["round"] = round_number(parts)
    return facts


def _said_of_levels(levels: Iterable[Level], after: str) -> Iterator[str]:
    for level in levels:
        spent = f"epsilon {level.before:.2f} so far, {level.after:.2f} after {after}"
        yield f"{count(level.patients, 'patient')}: {spent}."


@dataclass(frozen=True)
class Planned:
    """What a study would ask of this hospital's patients, before anybody approves it."""

    study: Study
    asked: Ask | None
    """None where this hospital only evaluates: nothing is trained on, reserved or spent."""
    ledger: Ledger
    policy: Policy
    levels: tuple[Level, ...]
    """What its patients spent before, and will have spent after all rounds."""
    judged: tuple[tuple[Ask, tuple[Level, ...]], ...]
    """The same of the patients on whom the model is judged with noise; none where their sums get none."""
    folder: Path
    brings: Contribution
    """What the study takes of this hospital's images and labels."""
    earlier: Earlier | None
    """What was brought the time before."""
    settings: HospitalSettings
    intake: Intake
    told: tuple[str, ...] = ()
    """What leaves by subgroup and over maps, or that nothing does, nothing where the study does not ask; and which
    studies approved before tell more together with it."""
    known: tuple[int, int] = (0, 0)
    """How many of its patients earlier studies charged, and how many patients these charged in all."""
    lineage: Lineage | None = None
    """What the training of the model that it starts from cost these patients; None if it starts from none."""

    def uses(self) -> Iterator[str]:
        """Say on whom it trains here, and what that spends; or that it trains on nobody."""
        if self.asked is None:
            yield (
                f"This hospital's patients are never trained on: the model is tried on all {self.brings.patients} of "
                "them, once, after the last round."
            )
            yield (
                "No epsilon is reserved or spent here. What leaves are sums of how well the model does on them, which "
                "are exact: epsilon does not cover them."
            )
            yield from self.told
            return
        yield f"Here it would train on {count(self.asked.patients, 'patient')}."
        yield from _said_of_levels(self.levels, "all rounds")
        for asked, levels in self.judged:
            yield f"Here the model would be judged on {count(asked.patients, f'{asked.split} patient')}."
            yield from _said_of_levels(levels, count(asked.rounds, "evaluation"))
        if self.lineage:
            yield from self.lineage.sentences()
        yield from self.told

    def warnings(self) -> list[str]:
        """Say what the hospital's people should look at before they approve."""
        changes = self.earlier.changes(self.brings) if self.earlier else ()
        return [*self.brings.warnings(), *changes, *warned_of_intake(self.intake), *self._strangers()]

    def _strangers(self) -> Iterator[str]:
        known, before = self.known
        if before and not known:
            yield (
                f"the ledger knows none of these patients, and {before:,} from earlier studies. If they are the same "
                "persons under other names, what they have spent is not counted: PatientIDs, or the column 'patient', "
                "must be those of the earlier studies."
            )

    def intake_said(self) -> list[str]:
        """Say who is a patient here, and which of the hospital's own switches hold."""
        return list(said_of_intake(self.settings, self.intake))

    def facts(self) -> dict[str, Fact]:
        """Say the same for the audit log, and from which model the study starts."""
        start = self.study.model.start
        model: dict[str, Fact] = {"start": start.name, "start model": start.model[:SHORT]} if start else {}
        return facts_of_intake(self.settings, self.intake) | model

    def approve(self) -> None:
        """Take part, as it was planned.

        Raises:
            PrivacyError: the policy does not allow it any more.
            StorageError: ledger or state folder cannot be written.
        """
        if self.asked:
            approve_all((one for one, _ in self.judged), self.asked, self.ledger, self.policy)
        keep_contribution(self.folder, self.study, self.brings, datetime.now(UTC))


def plan(folder: HospitalFolder, study: Study) -> Planned:
    """Read the data that a study would take, and weigh what it would spend against the policy.

    Raises:
        DataError: the data cannot be used for it.
        StudyError: the network does not run at the study's image size.
        PrivacyError: there is no policy, it does not allow the study, the study does not list this hospital, or its
            network cannot be trained with privacy by patient.
    """
    check_listed(study, folder.settings().name, folder.identity())
    policy = hospital_policy(folder)
    weights = kept_weights(folder.path, study)
    rehearse(study)  # in a process of its own where others say what the network is, before it is built in this one
    if weights is not None:
        networks.build(study, weights)
    rehearse_maps(study)
    ledger = open_ledger(
        folder.path, folder.identity()
    )  # also where nothing is spent: none may begin after an approval
    dataset = read_data(folder, study)
    brings, earlier = contribution(dataset, study), earlier_contribution(folder.path, study)
    others = Approvals(folder.path / "studies").all()
    ever = ledger.books.approved.keys()  # of one that was withdrawn since, sums may have left
    answered = [one.study for one in others if one.decision == "approved" or one.study.digest() in ever]
    near = tuple(said_of_near_rosters(study, answered))
    if not dataset.trains:
        check_kind(policy, study, _asked_of(dataset), trains=False)
        settings, intake = folder.settings(), dataset.intake
        told = (*said_of_subgroups(study, dataset, policy), *said_of_maps(study, dataset, policy), *near)
        return Planned(study, None, ledger, policy, (), (), folder.path, brings, earlier, settings, intake, told)
    check_paid(study.model.start, folder.settings().name, ledger.books)
    asked = ask(study, dataset, ledger)
    check_kind(policy, study, asked.patients)
    ended = {part: how for digest, how in outcomes(folder.path).items() for part in parts_of(digest)}
    spent = check_spending(policy, ledger, *asked.terms, ended, asked.before)
    check_promised(asked, ledger)
    judged = []
    for one in ask_judged(study, dataset, ledger):
        with whom(one):
            check_delta(policy, one.patients)
            judged.append((one, check_spending(policy, ledger, *one.terms, ended)))
            check_promised(one, ledger)
    return Planned(
        study,
        asked,
        ledger,
        policy,
        spent,
        tuple(judged),
        folder.path,
        brings,
        earlier,
        settings=folder.settings(),
        intake=dataset.intake,
        told=(*said_of_subgroups(study, dataset, policy), *said_of_maps(study, dataset, policy), *near),
        known=known_to_ledger(asked, ledger),
        lineage=lineage(asked, ledger, policy.budget.delta),
    )


def said_of_subgroups(study: Study, dataset: Dataset, policy: Policy) -> tuple[str, ...]:
    """Say to the hospital's people, and nobody else, of how many test patients sums would leave by subgroup."""
    asked = study.evaluation.subgroups
    if not asked:
        return ()
    if not policy.protection.subgroups:
        names = ", ".join(one.name for one in asked)
        return (
            f"The study asks for the test patients' sums by {names}. This hospital's policy does not allow it "
            "(subgroups = false): it takes part without them.",
        )
    return tuple(
        f"The test patients' sums would also leave by {one.name}: {said_of_cells(one, codes)}."
        for one, codes in zip(asked, dataset.by_subgroup, strict=True)
    )


def said_of_maps(study: Study, dataset: Dataset, policy: Policy) -> Iterator[str]:
    """Say to the hospital's people, and nobody else, of how many test patients sums over maps would leave."""
    asked = study.evaluation.maps
    if asked is None:
        return
    what = f"sums of how much of the model's maps ({asked.method}) lies in lesions"
    if policy.protection.maps:
        yield f"What would also leave are {what}: {said_of_lesions(study, dataset)}."
    else:
        yield (
            f"The study asks for {what}. This hospital's policy does not allow it (maps = false): it takes part "
            "without them."
        )


def _asked_of(dataset: Dataset) -> int:
    """Return how many patients a study would train on here, or try its model on where the hospital only evaluates."""
    return (dataset.train if dataset.trains else dataset.test).patient_count


def read_data(folder: HospitalFolder, study: Study) -> Dataset:
    """Scan what changed in the hospital's images, and prepare those that the study takes."""
    check_images_there(folder.settings())
    source = hospital_source(folder)
    trains = study.trains(folder.settings().name)
    return prepare(source, study, *take_in(source, study), trains=trains)


def hospital_policy(folder: HospitalFolder) -> Policy:
    """Read the hospital's policy: without one it takes part in nothing."""
    return read_policy(folder.path / POLICY_NAME)


def check_listed(study: Study, name: str, identity: Identity) -> None:
    """Check that the study lists this hospital with its own key.

    Raises:
        PrivacyError: it does not.
    """
    listed = keys_of(study.roster).keys
    if listed.get(name) != identity.public:
        raise PrivacyError(
            f"the study does not list {name} with this hospital's key",
            do="Ask the coordinator for a study whose roster does. The entry here: wardround hospital identity",
        )


def own_stream(path: Path) -> Stream:
    """Return the hospital's own randomness in a study, secret and the same until the study is over.

    It is kept, so that a question that comes again gets the answer that it got: two answers with two noises would cost
    twice.
    """
    if not path.exists():
        write_atomically(path, os.urandom(STREAM_BYTES), private=True)
    try:
        key = read_private(path, "this hospital's secret of a study", STREAM_BYTES + 1)
    except OSError:
        key = b""
    if len(key) != STREAM_BYTES:
        raise StorageError("this hospital's secret of a study is damaged", where=str(path), do="Restore it, or refuse.")
    return Stream(key)
