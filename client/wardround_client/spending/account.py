"""A hospital's account in one study: what the study costs its patients, whether the policy allows it, and the charges.

::

    ask ── approve ──► an entry in the ledger that pins study, rounds, event, patients and data
                         │
    Account.charge ◄─────┘ before a round's work, and only as it was approved;  Account.confirm after it
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from wardround_client.preparation.dataset import Dataset
from wardround_client.spending.charge_note import Charge, Spending
from wardround_client.spending.ledger.books import Books, together
from wardround_client.spending.ledger.entries import Event
from wardround_client.spending.ledger.patients import Cohort
from wardround_client.spending.ledger.spending import cost, histories_of
from wardround_client.spending.ledger.store import Ledger
from wardround_client.spending.parts import name_of, part_of, parts_of
from wardround_client.spending.policy import Policy
from wardround_client.spending.policy_check import (
    Level,
    check_delta,
    check_kind,
    check_next_round,
    check_spending,
)
from wardround_client.training.local_work import plan_privacy
from wardround_common.canonical import joined
from wardround_common.counting import count
from wardround_common.errors import ApprovalError, PrivacyError
from wardround_common.privacy.noisy_evaluation import SPLITS, Judging, evaluation_event, sums_of
from wardround_common.randomness import Stream
from wardround_common.study.file import Study
from wardround_common.study.privacy import DpSgd

OTHER_DATA = "the images, labels or patients are not those with which this hospital approved the study"
OTHER_DATA_DO = (
    "Approve the study again with the data as they are now, or restore those that were approved. If nobody changed "
    "them, Wardround was upgraded, and reads some of them otherwise: its changelog says which."
)
UNPROTECTED = Event(noise_multiplier=0.0, sampling_rate=1.0, steps=1)
"""A round of a study without differential privacy."""


@dataclass(frozen=True)
class Ask:
    """What a study asks of a hospital: a number of rounds of an event, from these patients with this data."""

    study: Study
    event: Event
    """Of one round."""
    cohort: Cohort
    data: str
    """The data set's fingerprint."""
    patients: int
    """How many patients it would train on; the cohort counts the names under which they are charged."""
    before: Event | None = None
    """Of what is added up with noise before the first round, which is charged as round 0; None where nothing is."""
    split: Judging | None = None
    """The patients on whom the model is judged with noise, who have an entry of their own; None: those trained on."""

    @property
    def digest(self) -> str:
        """The digest under which the ledger has it: the study's, or one that follows from it."""
        return part_of(self.study.digest(), self.split) if self.split else self.study.digest()

    @property
    def name(self) -> str:
        """What the ledger calls it."""
        return name_of(self.study.study.name, self.split)

    @property
    def terms(self) -> tuple[str, str, int, Event, Cohort]:
        """What is checked against caps: its digest and name in the ledger, its rounds, what each costs, and whom."""
        return self.digest, self.name, self.rounds, self.event, self.cohort

    @property
    def rounds(self) -> int:
        """How often it is charged, if nothing is left out."""
        return sums_of(self.study, self.split) if self.split else self.study.training.rounds

    @property
    def promised(self) -> float | None:
        """The epsilon that the study promises these patients; None where it promises none."""
        if self.split:
            return self.study.evaluation_epsilon
        return self.study.privacy.epsilon if isinstance(self.study.privacy, DpSgd) else None

    def event_of(self, number: int) -> Event:
        """Return the event of a round, or of what comes before the first one, which is 0.

        Raises:
            PrivacyError: the study adds nothing up then.
        """
        if number:
            return self.event
        if self.before is None:
            raise PrivacyError("the study adds up nothing with noise before its first round")
        return self.before


def ask(study: Study, dataset: Dataset, ledger: Ledger) -> Ask:
    """Say what a study asks of the patients that it would train on.

    Raises:
        PrivacyError: the study's privacy cannot be guaranteed with this number of patients.
    """
    plan = plan_privacy(study, dataset.train.patient_count)
    event = UNPROTECTED if plan is None else Event.of(plan.event(1))
    before = None if plan is None or plan.before is None else Event.of(plan.before)
    cohort = ledger.key.cohort(dataset.charged(dataset.train))
    return Ask(study, event, cohort, dataset.fingerprint, dataset.train.patient_count, before)


def ask_judged(study: Study, dataset: Dataset, ledger: Ledger) -> tuple[Ask, ...]:
    """Say what a study asks of the patients on whom its model is judged; nothing where their sums get no noise.

    Raises:
        PrivacyError: no noise keeps to the epsilon that it states for them, or delta is so large that it would permit
            publishing one of them outright.
    """
    asked = []
    for split in SPLITS:
        event, examples = evaluation_event(study, split), dataset.split(split)
        if event is not None and len(examples):
            cohort = ledger.key.cohort(dataset.charged(examples))
            many = examples.patient_count
            if isinstance(study.privacy, DpSgd) and study.privacy.delta * many >= 1:
                raise PrivacyError(
                    f"delta = {study.privacy.delta} does not protect anybody among {count(many, f'{split} patient')}",
                    do=f"Choose a delta well below {1 / many:.0e} in [privacy].",
                )
            asked.append(Ask(study, Event.of(event), cohort, dataset.fingerprint, many, split=split))
    return tuple(asked)


def known_to_ledger(asked: Ask, ledger: Ledger) -> tuple[int, int]:
    """Count which of a study's patients earlier studies charged, by the ledger's names, and all that these charged.

    Raises:
        StorageError: a cohort cannot be read.
    """
    own = parts_of(asked.study.digest())
    earlier = {approval.cohort for digest, approval in ledger.books.approved.items() if digest not in own}
    numbers = [ledger.cohort(cohort).numbers for cohort in earlier]
    known = np.unique(np.concatenate(numbers)) if numbers else np.empty(0, np.uint64)
    return int(np.isin(asked.cohort.numbers, known).sum()), len(known)


def check_promised(asked: Ask, ledger: Ledger) -> None:
    """Check that the rounds that are left, with those that were trained before, keep to the study's own epsilon.

    With other patients each round has another rate and another noise. All rounds of either keep to epsilon; a patient
    of both has some of the one and some of the other, which can be more.

    Raises:
        PrivacyError: for somebody they would not.
        StorageError: a cohort cannot be read.
    """
    privacy, books, study, promised = asked.study.privacy, ledger.books, asked.digest, asked.promised
    spent = books.spent(study)
    if not spent or not isinstance(privacy, DpSgd) or promised is None:
        return
    left = books.asked(study, asked.rounds, asked.event, asked.before, asked.cohort.digest)
    numbers = {digest: ledger.cohort(digest).numbers for digest in spent} | {asked.cohort.digest: asked.cohort.numbers}
    found = cost(histories_of(numbers), together(spent, left), privacy.delta, enough=promised)
    if (most := float(found.epsilon.max())) > promised:
        raise PrivacyError(
            f"with the rounds that were {'answered' if asked.split else 'trained'} before on other patients, this "
            f"study would bring a patient to epsilon {most:.3g} at delta {privacy.delta:g}, and it promises at most "
            f"{promised:g}",
            do="Restore the images, labels and patients with which it was approved before, or leave the study: "
            f"'wardround hospital close {asked.name}'.",
        )


def approve(asked: Ask, ledger: Ledger, policy: Policy | None) -> tuple[Level, ...]:
    """Take part in a study, if the policy allows it; give what it will spend, of all its rounds, by level.

    Without a policy nothing is checked and nothing said; a hospital that serves always has one.

    Raises:
        PrivacyError: the policy does not allow it; the message says what would be needed. Or it would cost a patient
            more than the study promises.
        StorageError: the ledger cannot be read or written.
    """
    levels: list[Level] = []

    def check(books: Books) -> None:
        if policy is not None:
            if asked.split:
                check_delta(policy, asked.patients)
            else:
                check_kind(policy, asked.study, asked.patients)
            levels.extend(check_spending(policy, ledger, *asked.terms, before=asked.before))
        check_promised(asked, ledger)

    ledger.approve(*asked.terms, asked.data, check, asked.before)
    return tuple(levels)


def approve_all(judged: Iterable[Ask], training: Ask, ledger: Ledger, policy: Policy | None) -> None:
    """Take part in a study with all its patients, or with nobody: what was not open before is closed again.

    Those it trains on are last: the study is approved when its own entry is there.

    Raises:
        PrivacyError: as :func:`approve`; who is in several parts, under one name of the ledger, spends in all of them.
        StorageError: the ledger cannot be read or written.
    """
    begun: list[str] = []
    try:
        for one in (*judged, training):
            ledger.refresh()
            new = one.digest not in ledger.books.approved or one.digest in ledger.books.closed
            with whom(one):
                approve(one, ledger, policy)
            if new:
                begun.append(one.digest)
    except PrivacyError:
        for digest in begun:
            ledger.close(digest)
        raise


@contextmanager
def whom(asked: Ask) -> Iterator[None]:
    """Say in errors of which patients of a study they are, if not of those that it trains on."""
    try:
        yield
    except PrivacyError as error:
        if asked.split and not error.where:
            error.where = f"the {asked.split} patients"
        raise


@dataclass(eq=False)
class Account:
    """A hospital's account in one study that it approved."""

    ledger: Ledger
    policy: Policy | None
    asked: Ask
    charging: Callable[[Charge], None] | None = None
    """Told of each new charge just before it is in the ledger; a crash between the two lets it be told again."""
    _study: str = ""
    _cohort: str = ""
    _cleared: int = -1
    """The ledger's count of terms for which all that is planned was found to stay within the caps."""

    def __post_init__(self) -> None:
        whole = self.asked.study.digest() if self.asked.split else ""
        self._spending = Spending(self.ledger, self.asked.cohort, self.policy, whole)
        self._study, self._cohort = self.asked.digest, self.asked.cohort.digest

    def check_approved(self) -> None:
        """Check that the study was approved as it is asked now.

        Raises:
            ApprovalError: it was not, or is closed here.
            PrivacyError: it was approved for other patients, data, rounds or noise.
        """
        self.ledger.refresh()
        self._check_approved(self.ledger.books)

    def was_charged(self) -> bool:
        """Tell whether anything of the study was ever charged here."""
        self.ledger.refresh()
        return any(study == self._study for study, _ in self.ledger.books.charged)

    def charge(self, number: int, parameters: str, stream: Stream, share: str = "") -> None:
        """Charge a round to its patients; durable when it returns, and nothing before may touch an image.

        Round 0 is what is added up before the first round, and is not charged after that.

        The same round from the same ``parameters``, a digest, the same ``stream`` and the same data is charged once: it
        gives the same answer. With anything else it would be a second answer for one charge, and is refused: the same
        noise on images that were changed, as after another approval, would tell what changed, and so would the same
        draw at another size of noise, which ``share`` says where the noise is one of several hospitals' shares.

        Raises:
            ApprovalError: it is not approved, or is closed here.
            PrivacyError: it is not as approved, was answered for another question, or would exceed a cap.
            StorageError: the ledger cannot be read or written.
        """
        which = stream.child("which stream this is").words(4).tobytes()
        facts = (parameters.encode(), which, self.asked.data.encode(), share.encode())
        draw = hashlib.sha256(joined(b"wardround ledger draw 2", *facts)).hexdigest()
        event = self.asked.event_of(number)

        def check(books: Books) -> None:
            if not number and books.rounds_of(self._study):
                raise PrivacyError("the study's first round was charged: nothing is added up before it any more")
            self._check_round(books, event)
            if self.charging:
                self.charging(self._spending.charging(books, self._study, number, event))

        self.ledger.charge(self._study, number, self._cohort, event, draw, check)

    def confirm(self, number: int) -> None:
        """Note that a charged round's work was done."""
        self.ledger.confirm(self._study, number)

    def _check_round(self, books: Books, event: Event) -> None:
        self._check_approved(books)
        if self.policy is None or self._cleared == books.terms:
            return
        if check_next_round(self.policy, self.ledger, self._study, self.asked.name, event, self.asked.cohort):
            self._cleared = books.terms

    def _check_approved(self, books: Books) -> None:
        approval = books.approved.get(self._study)
        if approval is not None and self._study in books.closed:
            raise ApprovalError(
                "the study is closed at this hospital",
                do=f"To take part again: wardround hospital approve {self.asked.name}",
            )
        if approval is None:
            raise ApprovalError("this hospital has not approved the study", do="Approve it first.")
        if approval.cohort != self._cohort or approval.data != self.asked.data:
            raise PrivacyError(OTHER_DATA, do=OTHER_DATA_DO)
        planned = (self.asked.event, self.asked.before, self.asked.rounds)
        if (approval.event, approval.before, approval.rounds) != planned:
            raise PrivacyError(
                "the noise or the rounds are not those that this hospital approved",
                do="Approve the study again: a different version of Wardround may plan it differently.",
            )
