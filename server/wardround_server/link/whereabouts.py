"""What the link knows about each hospital: when it was last heard, and what it is doing in each study.

Told by the messages themselves: a question that is *asked* lies here until the hospital fetches it; one that was
delivered is worked on; an answer of which a part is here is being sent. Nothing is taken from what a hospital says of
itself, so that one that is not there cannot look busy.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from wardround_common.audit.passage import Passage
from wardround_common.documents.proposal import ProposeRequest
from wardround_common.errors import StorageError
from wardround_common.messages.rounds import EvaluateRequest, PrepareRequest, TrainRequest
from wardround_common.messages.vote import VoteRequest
from wardround_common.secagg.messages import ConfirmRequest, OpenRequest
from wardround_common.storage import write_atomically
from wardround_server.state.standings import HospitalDoing

AT_WORK = {
    PrepareRequest.kind: "scanning",
    TrainRequest.kind: "training",
    EvaluateRequest.kind: "evaluating",
    VoteRequest.kind: "voting",
    ConfirmRequest.kind: "opening a sum",
    OpenRequest.kind: "opening a sum",
}
KEEP_S = 30.0


@dataclass(frozen=True)
class Doing:
    """What a hospital does in a study: asked, scanning, training, evaluating, voting, opening a sum, sending."""

    word: str
    since: float
    """Seconds since 1970."""
    round: int | None = None
    kind: str = ""
    """Of the question that is worked on."""

    def shown(self) -> HospitalDoing:
        """Return it as the status shows it."""
        return HospitalDoing(state=self.word, since=datetime.fromtimestamp(int(self.since), UTC), round=self.round)


@dataclass(eq=False)
class Whereabouts:
    """What each hospital was seen to do since this process started; ``wall`` tells the time."""

    wall: Callable[[], float] = time.time
    _doing: dict[tuple[str, str], Doing] = field(default_factory=dict)
    _answered: set[tuple[str, str, str, int | None]] = field(default_factory=set)
    """Hospital, study, kind and round of the last questions of each kind that were answered."""
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, passage: Passage) -> None:
        """Take note of a message."""
        if passage.kind == ProposeRequest.kind:
            return
        word = {"out": "asked", "delivered": AT_WORK.get(passage.kind), "in": "waiting"}.get(passage.way)
        if word is None:
            return
        question = passage.peer, passage.study, passage.kind, passage.round
        with self._lock:
            if passage.way == "in":  # an answer that is a failure names no study
                if passage.study:
                    self._answered = {one for one in self._answered if one[:3] != question[:3]} | {question}
                for key, doing in self._doing.items():
                    begun = doing.word != "asked" or (*key, doing.kind, doing.round) == question
                    if key[0] == passage.peer and passage.study in ("", key[1]) and begun and doing.word != "waiting":
                        self._doing[key] = Doing(word, self.wall(), doing.round)
            elif passage.way == "out" or question not in self._answered:  # a receipt may come after the answer
                self._answered.discard(question)
                self._doing[passage.peer, passage.study] = Doing(word, self.wall(), passage.round, passage.kind)

    def of(self, hospital: str, study: str, sending_since: float | None = None) -> Doing | None:
        """Say what a hospital does in the study of this digest; None if nothing was seen of it.

        ``sending_since``: since when a part of an answer of this hospital is here, if so.
        """
        with self._lock:
            doing = self._doing.get((hospital, study))
        if doing and doing.word in AT_WORK.values() and sending_since is not None and sending_since >= doing.since:
            return Doing("sending", sending_since, doing.round)
        return doing


@dataclass(eq=False)
class LastHeard:
    """When each hospital was last heard, also by processes before this one."""

    path: Path
    _kept: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Read what was kept; if that cannot be read nobody is known to have been heard."""
        try:
            self._kept = {str(name): float(at) for name, at in json.loads(self.path.read_bytes()).items()}
        except (OSError, ValueError, TypeError, AttributeError):
            self._kept = {}

    def keep(self, seen: Mapping[str, float], *, now: bool = False) -> None:
        """Keep the newest moments, at most every half a minute unless it must be now.

        A disk that is full ends no service for this: it is only for people, and is tried again.
        """
        newer = {name: at for name, at in seen.items() if at - self._kept.get(name, 0.0) > (0 if now else KEEP_S)}
        if newer:
            with suppress(StorageError):
                write_atomically(self.path, json.dumps(self._kept | newer).encode())
                self._kept |= newer

    def of(self, name: str, seen: Mapping[str, float]) -> str | None:
        """Say when a hospital was last heard, as ISO 8601; None if it never was."""
        at = seen.get(name, self._kept.get(name))
        return None if at is None else _moment(at)


def link_state(*, connected: bool, held: str, last_heard: str | None) -> str:
    """Say in words how a hospital's link stands, or what keeps the hospital from work (``held``).

    One that never was heard is not merely away.
    """
    if connected:
        return held.replace("-", " ") or "registered"
    return "not heard" if last_heard else "never registered"


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
