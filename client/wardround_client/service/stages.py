"""What this hospital is doing in each study, and since when: approved, scanning, training, sending, waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from wardround_client.state.approvals import Approvals
from wardround_client.state.run_outcomes import outcomes
from wardround_common.errors import StorageError
from wardround_common.storage import write_atomically

if TYPE_CHECKING:  # of torch, which a look at the status does not need
    from wardround_client.service.ward import Work

STAGES = "stages.json"
OPENING = "opening a sum"
WORDS = {
    "prepare": "scanning",
    "train": "training",
    "evaluate": "evaluating",
    "vote": "voting",
    "confirm": OPENING,
    "open": OPENING,
}
SENDING, WAITING = "sending", "waiting"
DECIDED = {
    "waiting": "proposed",
    "approved": "approved",
    "refused": "refused",
    "against-policy": "not allowed by the policy",
}


class Stage(BaseModel):
    """Where a study stands here: the word, since when, and in which round if in any."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    stage: str
    since: datetime
    round: int | None = None


_STAGES = TypeAdapter(dict[str, Stage])


@dataclass(eq=False)
class Stages:
    """The stages of a service that runs, by the studies' digests; kept in its folder, since they outlast it."""

    folder: Path
    _now: dict[str, Stage] = field(default_factory=dict)
    _at: dict[int, str] = field(default_factory=dict)  # what each thread works on
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        """Take up what was noted by the process before: it works on nothing any more."""
        with self._lock:
            self._now = read_stages(self.folder)
            for digest, stage in self._now.items():
                if stage.stage != WAITING:
                    self._now[digest] = _stage(WAITING, stage.round)
            self._write()

    def work(self, work: Work | None) -> None:
        """Note what is worked on; None: it is done, and the answer is to be sent."""
        with self._lock:
            if work:
                self._at[threading.get_ident()] = work.digest
                self._now[work.digest] = _stage(WORDS.get(work.kind, work.kind), work.round)
            elif done := self._at.pop(threading.get_ident(), ""):
                # Shares are sent in no time, perhaps beside another study's training, which the link then tells of.
                stage = self._now[done]
                self._now[done] = _stage(WAITING if stage.stage == OPENING else SENDING, stage.round)
            self._write()

    def sent(self) -> None:
        """Note that nothing is left to be sent."""
        with self._lock:
            done = {digest: stage for digest, stage in self._now.items() if stage.stage == SENDING}
            if done:
                self._now |= {digest: _stage(WAITING, stage.round) for digest, stage in done.items()}
                self._write()

    def now(self) -> dict[str, Stage]:
        """Return what is so now, by the studies' digests."""
        with self._lock:
            return dict(self._now)

    def _write(self) -> None:
        with suppress(StorageError):  # it is only for people: a full disk fails no answer for this
            write_atomically(self.folder / STAGES, _STAGES.dump_json(self._now), private=True)


def read_stages(folder: Path) -> dict[str, Stage]:
    """Read what was noted last, by the studies' digests; nothing if that cannot be read: it is only for people."""
    try:
        return _STAGES.validate_json((folder / STAGES).read_bytes())
    except (OSError, ValidationError):
        return {}


@dataclass(frozen=True)
class StudyStage:
    """A study that was proposed here, and its state."""

    name: str
    digest: str
    stage: str
    since: datetime
    round: int | None = None

    def __str__(self) -> str:
        rounds = f", round {self.round}" if self.round else ""
        return f"{self.name} {self.digest[:12]}: {self.stage}{rounds} since {self.since:%Y-%m-%d %H:%M:%S} UTC"

    def facts(self) -> dict[str, str | int | None]:
        """Return it for a program."""
        return {
            "study": self.name,
            "digest": self.digest,
            "stage": self.stage,
            "since": self.since.isoformat(timespec="seconds"),
            "round": self.round,
        }


def study_stages(folder: Path, noted: Mapping[str, Stage] | None = None) -> Iterator[StudyStage]:
    """Say where each study stands that can be read: what was decided, what is worked on or how its run ended.

    That a run ended is said of a study on which nothing was worked here too, unless it was refused. ``noted``: what a
    service that runs knows; by default what was noted last.
    """
    noted, ended = read_stages(folder) if noted is None else noted, outcomes(folder)
    for proposal in Approvals(folder / "studies").all():
        about, digest = proposal.study.study, proposal.study.digest()
        at = noted.get(digest)
        if proposal.decision == "approved" and at and at.since >= proposal.since:
            over = ended.get(digest) if at.stage == WAITING else None
            # What is asked after the last round has numbers of its own, which are no rounds of training.
            number, study = at.round or 0, proposal.study
            if study.test_round <= number and at.stage == WAITING:
                over = over or "done"
            after = number > study.training.rounds and at.stage != WORDS["train"]
            yield StudyStage(about.name, digest, over or at.stage, at.since, None if over or after else at.round)
        else:
            over = None if proposal.decision == "refused" else ended.get(digest)
            yield StudyStage(about.name, digest, over or DECIDED[proposal.decision], proposal.since)


def _stage(word: str, number: int | None) -> Stage:
    return Stage(stage=word, since=datetime.fromtimestamp(int(time.time()), UTC), round=number)
