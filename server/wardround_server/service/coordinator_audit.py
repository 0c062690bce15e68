"""The coordinator's audit log: where it is, what is noted in it, and by whose keys it and hospitals' are checked."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wardround_common.audit.commands import Owner, first_of
from wardround_common.audit.entries import Fact
from wardround_common.audit.log import NAME, AuditLog
from wardround_common.audit.passage import COORDINATOR, Passage
from wardround_common.audit.recorder import SHORT, Recorder
from wardround_common.audit.witness import IMAGES_AWAY, PAUSED
from wardround_common.documents.proposal import Proposed, ProposeRequest
from wardround_common.errors import CHECK_FILE, MessageError, StorageError
from wardround_common.keys.identity import fingerprint
from wardround_common.messages.rounds import Failure, Parts
from wardround_common.study.roster import keys_of
from wardround_server.rounds.exchange import Exchange
from wardround_server.state.coordinator_folder import CoordinatorFolder

if TYPE_CHECKING:  # it draws reports
    from wardround_server.state.standings import Standings

HELD = (PAUSED, IMAGES_AWAY)
"""What keeps a hospital that is connected from beginning anything; it passes."""
Note = Callable[[str, Mapping[str, Fact]], None]
"""Adds an entry; what it tells of must wait until this returns."""


def coordinator_log(folder: CoordinatorFolder) -> AuditLog:
    """Return the coordinator's log.

    Raises:
        StorageError: this is not a coordinator's folder.
    """
    return AuditLog(folder.path / NAME, folder.identity(), "coordinator", folder.settings.address)


def about(standing: Standings) -> dict[str, Fact]:
    """Say which run an entry is about."""
    return {"run": standing.name, "study": standing.digest[:SHORT]}


class Passages:
    """Notes each message, and remembers which hospitals said last that they begin nothing, and why."""

    def __init__(self, log: AuditLog) -> None:
        self._record = Recorder(log)
        self.held: dict[str, str] = {}
        """Why a hospital begins nothing now: a word of :data:`HELD`."""

    def __call__(self, passage: Passage) -> None:
        """Note a message; it is on the disk when this returns."""
        self._record(passage)
        if passage.way != "in":
            return
        # Who misses its images answers proposals anyway.
        if passage.kind != ProposeRequest.kind or PAUSED in (passage.failure, self.held.get(passage.peer)):
            self.hold(passage.peer, passage.failure)

    def hold(self, hospital: str, why: str) -> None:
        """Remember why a hospital begins nothing now; a word not in :data:`HELD` says that it does."""
        if why in HELD:
            self.held[hospital] = why
        else:
            self.held.pop(hospital, None)


class NotedExchange:
    """An exchange that notes which hospitals approved the study that it proposes, and which refused it."""

    def __init__(self, exchange: Exchange, note: Note) -> None:
        self._exchange = exchange
        self._note = note
        self._decided: dict[str, str] = {}

    def hospitals(self) -> Sequence[str]:
        """Name the hospitals that can be asked now."""
        return self._exchange.hospitals()

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        """Ask each hospital its question."""
        for name, answer in self._exchange.ask(kind, questions):
            if kind == ProposeRequest.kind and not isinstance(answer, Failure):
                with suppress(MessageError):  # whoever asks finds the same, and says so
                    self._hear(name, ProposeRequest.parse(questions[name]), Proposed.parse(answer))
            yield name, answer

    def _hear(self, name: str, asked: ProposeRequest, answer: Proposed) -> None:
        if answer.decision == "waiting" or self._decided.get(name) == answer.decision:
            return
        facts: dict[str, Fact] = {"hospital": name, "study": asked.study.digest()[:SHORT]}
        facts["name"] = asked.study.study.name
        if answer.decision == "approved":
            answer.check(asked.study, name, keys_of(asked.study.roster).keys[name])
            facts["approval"] = answer.signature_digest
        self._note(f"study {answer.decision.replace('-', ' ')}", facts)
        self._decided[name] = answer.decision


def note_export(folder: CoordinatorFolder, run: str, model: Path) -> None:
    """Note that a run's model is about to leave the coordinator's folder, by the SHA-256 of its file.

    Raises:
        StorageError: it cannot be written, or the model cannot be read.
    """
    try:
        with model.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise StorageError(f"the model cannot be read ({error.strerror})", where=str(model), do=CHECK_FILE) from None
    coordinator_log(folder).note("model exported", {"run": run, "model": digest})


def ourselves(folder: CoordinatorFolder) -> Owner:
    """Say whose the log in a coordinator's folder is; it calls each hospital by its name."""
    return Owner("the coordinator", folder.identity().public, "")


def hospital_of(folder: CoordinatorFolder, file: Path) -> Owner:
    """Say which hospital's log a file claims to be, and by which key it is checked: that with which it was enrolled.

    Raises:
        StorageError: no hospital of that name and key is or was enrolled.
    """
    first = first_of(file)
    name, key = first.text("name"), first.text("key")
    known = [(one.name, one.request.identity) for one in folder.survey().enrolled]
    known += [(gone.hospital, gone.identity) for gone in folder.revocations()]
    if (name, key) not in known:
        mark = f" with the fingerprint {fingerprint(bytes.fromhex(key))}" if _is_key(key) else ""
        raise StorageError(
            f"this is the log of {name!r}{mark}, and no such hospital was ever enrolled here",
            where=str(file),
            do=f"'wardround coordinator hospitals {shlex.quote(str(folder.path))}' lists those that were, with their "
            "fingerprints.",
        )
    return Owner(name, bytes.fromhex(key), COORDINATOR)


def _is_key(text: str) -> bool:
    with suppress(ValueError):
        return len(bytes.fromhex(text)) == 32
    return False
