"""How long to wait for hospitals: a deadline for those at work, patience with those that are silent.

The decisions are functions of elapsed time and nothing else; :class:`Clock` keeps on disk when a round was asked, so
that a coordinator that starts again does not start counting again.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from wardround_common.documents.proposal import ProposeRequest
from wardround_common.errors import RoundError
from wardround_common.messages.rounds import EvaluateRequest, PrepareRequest, TrainRequest
from wardround_common.messages.vote import VoteRequest
from wardround_common.privacy.noisy_sum import least_survivors
from wardround_common.secagg.messages import ConfirmRequest, OpenRequest
from wardround_common.storage import write_atomically
from wardround_common.study.file import Study
from wardround_common.study.sums import threshold_for

PROPOSAL_S = 20.0
"""A hospital that does not answer a proposal within this time is at work on another study; it is asked again."""
SILENT_S = 30.0
"""A hospital that was not heard for so long is not there; it says every ten seconds that it is."""
RECONNECT_S = 60.0
"""What is left of a deadline at least when the coordinator starts again: hospitals try again within half a minute."""
QUICK = (ConfirmRequest.kind, OpenRequest.kind)
TIMED = (TrainRequest.kind, EvaluateRequest.kind, VoteRequest.kind, *QUICK)

Reason = Literal["late", "silent"]
"""Why an answer is waited for no more. late: the hospital is there · silent: it is not heard."""


@dataclass(frozen=True)
class Limits:
    """How long a study's questions are waited for.

    A question that takes work (train, evaluate, vote, prepare) has until the deadline. A hospital that is not heard is
    given up after ``patience_s``; but as long as fewer have answered than the round needs, and the silent ones could
    still make it enough, they too are waited for until the deadline: the round would be lost without them.

    The two questions that open a secure sum take no training. Once enough have answered, the others have
    ``patience_s``; until then, everybody has until the deadline.
    """

    deadline_s: float
    patience_s: float

    @classmethod
    def of(cls, study: Study) -> Limits:
        """Return what the study says."""
        deadline_s = 60 * study.aggregation.deadline_minutes
        return cls(deadline_s, min(60 * study.aggregation.patience_minutes, deadline_s))

    def over(
        self, kind: str, elapsed_s: float, silence_s: float, answered: int, waiting: int, needed: int
    ) -> Reason | None:
        """Say whether one hospital's answer is waited for no more, and why.

        Args:
            kind: the question's.
            elapsed_s: since the question was asked.
            silence_s: since the hospital was heard.
            answered: how many gave an answer that is no failure.
            waiting: how many are still waited for, this one among them.
            needed: how many answers the round needs.
        """
        if kind == ProposeRequest.kind:
            return None if elapsed_s <= PROPOSAL_S else "silent" if silence_s > SILENT_S else "late"
        why: Reason = "silent" if silence_s > min(SILENT_S, self.patience_s) else "late"
        if elapsed_s > self.deadline_s:
            return why
        short = answered < needed <= answered + waiting
        if short:
            return None
        if kind in QUICK and elapsed_s > self.patience_s:
            return why
        return "silent" if silence_s > self.patience_s else None


def needed_of(study: Study, kind: str, hospitals: int, cohort: int) -> int:
    """Return how many of the hospitals must answer a question for the round to continue.

    ``cohort``: how many a secure sum was begun with.
    """
    if kind in (PrepareRequest.kind, VoteRequest.kind):
        return min(hospitals, study.aggregation.min_hospitals)
    least = study.aggregation.min_hospitals
    if study.aggregation.secure:
        with suppress(RoundError):
            threshold = threshold_for(study, cohort)
            least = threshold if kind != TrainRequest.kind else least_survivors(study, cohort, threshold)
    return min(hospitals, max(least, study.aggregation.min_hospitals))


def can_begin(study: Study, hospitals: int) -> bool:
    """Say whether a round with this number of hospitals could be completed."""
    if hospitals < study.aggregation.min_hospitals:
        return False
    if study.aggregation.secure:
        try:
            threshold_for(study, hospitals)
        except RoundError:
            return False
    return True


@dataclass(frozen=True)
class Clock:
    """When the questions of a run were asked, in a file that outlives the process.

    Within a process time is monotonic. Between two processes only the clock on the wall tells it: one that was set back
    counts as no time, one that was set forward leaves :data:`RECONNECT_S` of every deadline.
    """

    path: Path
    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic

    def asked(self, question: str, number: int, deadline_s: float) -> float:
        """Note that a question of a round is asked, unless it was noted before; give the monotonic time of it.

        Raises:
            StorageError: the disk is full or the folder may not be written.
        """
        noted, now = self._read(), self.wall()
        before = noted.get(question)
        if before is None or before[0] != number:
            write_atomically(self.path, json.dumps(noted | {question: [number, now]}).encode())
            return self.monotonic()
        elapsed_s = max(0.0, now - before[1])
        return self.monotonic() - min(elapsed_s, max(0.0, deadline_s - RECONNECT_S))

    def forget(self) -> None:
        """Forget all: the next question starts over."""
        self.path.unlink(missing_ok=True)

    def _read(self) -> dict[str, tuple[int, float]]:
        try:
            noted = json.loads(self.path.read_bytes())
            return {str(name): (int(number), float(at)) for name, (number, at) in noted.items()}
        except (OSError, ValueError, TypeError, AttributeError):
            return {}  # it only says how long ago something was; without it the count begins again
