"""A hospital's metrics for its own Prometheus, read when they are requested.

They are the hospital's own: it serves them on its loopback, and sends none of them to the coordinator. Neither the
number of patients nor anything of one patient is among them.
"""

from __future__ import annotations

import logging
import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from importlib.metadata import version
from typing import Protocol, get_args

from prometheus_client.metrics_core import InfoMetricFamily, Metric

from wardround_client.link.supernode import State, Status
from wardround_client.service.attendance import Attendance
from wardround_client.service.ward import hospital_policy
from wardround_client.spending.budget import BudgetStatement, state_budget
from wardround_client.spending.ledger.store import existing_ledger, read_head
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.state.pause import paused_since
from wardround_common.documents.proposal import Decision
from wardround_common.errors import WardroundError
from wardround_common.shell.metrics_port import Families

log = logging.getLogger(__name__)

PREFIX = "wardround_hospital_"
_ours = Families(PREFIX)
_gauge, _counter, _one = _ours.gauge, _ours.counter, _ours.one
BUDGET_EACH_S = 60.0  # at most so often is the ledger added up: the training needs the processor more


class Linked(Protocol):
    """What is read of the hospital's link."""

    @property
    def status(self) -> Status:
        """What it is doing."""

    @property
    def certificate_until(self) -> datetime | None:
        """Until when the coordinator's certificate is valid, once it was seen."""

    @property
    def traffic(self) -> tuple[int, int]:
        """Bytes that came and went."""


class HospitalMetrics:
    """Collects from the parts of a hospital that serves."""

    def __init__(self, folder: HospitalFolder, link: Linked, attendance: Attendance) -> None:
        self._folder = folder
        self._link = link
        self._attendance = attendance
        self._budget = LatestBudget(folder)

    def collect(self) -> Iterator[Metric]:
        """Return the figures as they are now."""
        yield InfoMetricFamily(PREFIX.rstrip("_"), "The version that serves.", {"version": version("wardround")})
        yield from self._of_link()
        yield from self._answers()
        yield from self._studies()
        head = read_head(self._folder.path)
        yield _one("ledger_entries", "Entries of the ledger.", head.number if head else 0)
        yield from _spent(self._budget.now(head.number if head else 0))
        free = shutil.disk_usage(self._folder.path).free
        yield _one("free_disk_bytes", "Room where the hospital's state folder lies.", free)

    def _of_link(self) -> Iterator[Metric]:
        status, (came, went) = self._link.status, self._link.traffic
        states = _gauge("state", "1 for the state in which the hospital's link is, 0 for every other.", "state")
        for state in State:
            states.add_metric([str(state)], float(state == status.state))
        yield states
        yield _one("state_since_timestamp_seconds", "Since when the link is in its state.", status.since)
        yield _one(
            "fault",
            "1 while something keeps the link or this disk from working; the status says what.",
            float(status.fault is not None),
        )
        paused = bool(paused_since(self._folder.path))
        yield _one("paused", "1 while the hospital's people have paused it.", float(paused))
        if until := self._link.certificate_until:
            words = "When the certificate of the coordinator expires."
            yield _one("coordinator_certificate_expiry_timestamp_seconds", words, until.timestamp())
        received = _counter("received_bytes", "Bodies of the coordinator's answers.")
        received.add_metric([], came)
        sent = _counter("sent_bytes", "Bodies of requests to the coordinator.")
        sent.add_metric([], went)
        yield from (received, sent)

    def _answers(self) -> Iterator[Metric]:
        answers = _counter("answers", "Answers, by the kind of the question and the outcome.", "kind", "outcome")
        for (kind, outcome), count in sorted(self._attendance.answers().items()):
            answers.add_metric([kind, outcome], count)
        seconds = _counter("answer_seconds", "Time that answers took; of kind train: training.", "kind")
        for kind, time_s in sorted(self._attendance.seconds().items()):
            seconds.add_metric([kind], time_s)
        yield from (answers, seconds)

    def _studies(self) -> Iterator[Metric]:
        decisions = [proposal.decision for proposal in Approvals(self._folder.path / "studies").all()]
        studies = _gauge("studies", "Studies that were proposed, by what was decided.", "decision")
        for decision in get_args(Decision):
            studies.add_metric([decision], decisions.count(decision))
        yield studies


class LatestBudget:
    """What was spent, added up beside the work when the ledger has grown, and not more often than once a minute."""

    def __init__(self, folder: HospitalFolder, clock: Callable[[], float] = time.monotonic) -> None:
        self._folder = folder
        self._clock = clock
        self._of = -1
        self._began = -math.inf
        self._latest: BudgetStatement | None = None
        self._adding: threading.Thread | None = None

    def now(self, entries: int) -> BudgetStatement | None:
        """Return the latest sum, and begin another if the ledger has more ``entries`` than it was made of."""
        busy = self._adding is not None and self._adding.is_alive()
        if entries and entries != self._of and not busy and self._clock() - self._began >= BUDGET_EACH_S:
            self._of, self._began = entries, self._clock()
            self._adding = threading.Thread(target=self._add_up, name="budget", daemon=True)
            self._adding.start()
        return self._latest

    def _add_up(self) -> None:
        try:
            policy = hospital_policy(self._folder)
            ledger = existing_ledger(self._folder.path, self._folder.identity())
            self._latest = state_budget(ledger, policy.budget.delta, policy)
        except WardroundError as error:
            log.warning("what was spent cannot be added up for the metrics: %s", error)


def _spent(budget: BudgetStatement | None) -> Iterator[Metric]:
    if budget is None:
        return
    spent = _gauge(
        "epsilon_spent", "Epsilon of the patient who spent most in a study, at the policy's delta.", "study", "digest"
    )
    for study in budget.studies:
        spent.add_metric([study.name, study.study[:12]], _or_endless(study.epsilon_spent))
    caps = _gauge("epsilon_cap", "The policy's most for a patient: in one study, and in all together.", "of")
    caps.add_metric(["study"], _or_endless(budget.study_cap))
    caps.add_metric(["patient"], _or_endless(budget.patient_cap))
    yield from (spent, caps)
    yield _one(
        "epsilon_highest", "Epsilon of the patient who spent most in all studies.", _or_endless(budget.highest_spent)
    )


def _or_endless(epsilon: float | None) -> float:
    return math.inf if epsilon is None else epsilon
