"""Before a run: which hospitals of the study's roster have approved it, and whom the coordinator is waiting for."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Literal

from wardround_common.documents.proposal import Proposed, ProposeRequest
from wardround_common.errors import MessageError, PausedError, RoundError, StorageError
from wardround_common.messages.rounds import Failure, Parts
from wardround_common.storage import write_atomically
from wardround_common.study.file import Study
from wardround_server.rounds.exchange import Exchange

Standing = Literal["away", "busy", "paused", "waiting", "approved", "refused", "against-policy", "failed"]
"""away: not connected · busy: at work on another study · paused: it begins nothing until its people say so · waiting:
its people have not decided · against-policy: its people want to and its policy does not allow it, which they may
change · failed: its answer is malformed."""
ASK_AGAIN_S = 2.0
_STANDING_OF: Mapping[str, Standing] = {"late": "busy", "silent": "away", PausedError.kind: "paused"}


@dataclass(frozen=True)
class ApprovalBook:
    """The signed approvals of a run, in a file: a run that goes on needs not wait for them again."""

    path: Path

    def signatures(self) -> dict[str, bytes]:
        """Return each hospital's signature on its approval.

        Raises:
            StorageError: the file is damaged.
        """
        try:
            kept = json.loads(self.path.read_bytes())
            return {str(name): bytes.fromhex(signature) for name, signature in kept.items()}
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, TypeError, AttributeError):
            raise StorageError(
                "the stored approvals of a run are damaged",
                where=str(self.path),
                do="Delete the file: the hospitals are asked again, and give the same answers.",
            ) from None

    def add(self, name: str, signature: bytes) -> None:
        """Keep one approval.

        Raises:
            StorageError: the disk is full or the folder may not be written.
        """
        kept = {one: given.hex() for one, given in (self.signatures() | {name: signature}).items()}
        write_atomically(self.path, json.dumps(dict(sorted(kept.items())), indent=1).encode())


@dataclass(frozen=True)
class Approved:
    """An exchange with the hospitals that approved the study, and no others."""

    exchange: Exchange
    names: frozenset[str]
    held: Callable[[], Mapping[str, str]] = dict
    """Names the hospitals that begin nothing now, each with the word of an absence that says why."""

    def hospitals(self) -> Sequence[str]:
        """Name those of them that are there now, and begin something if they are asked."""
        held = self.held()
        return [name for name in self.exchange.hospitals() if name in self.names and name not in held]

    def why_away(self, name: str) -> str:
        """Say why a hospital is not there: a word of an absence."""
        return self.held().get(name, "away")

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        """Ask them."""
        return self.exchange.ask(kind, questions)


def wait_for_approvals(
    study: Study,
    exchange: Exchange,
    keys: Mapping[str, bytes],
    tell: Callable[[Mapping[str, Standing]], None],
    stop: Event,
    least: int | None = None,
    book: ApprovalBook | None = None,
) -> Approved:
    """Propose the study to the hospitals of ``keys`` (name: public identity key) until ``least`` of them approved.

    ``least``: left out, all of them. ``tell`` is told each one's state whenever it changed. ``book``: approvals that
    were given before count, whether or not the hospital is there now; it asks its own approval at each question.

    Raises:
        RoundError: too many refused for the study to be done, or ``stop`` was set.
    """
    needed = max(study.aggregation.min_hospitals, len(keys) if least is None else least)
    standing: dict[str, Standing] = dict.fromkeys(sorted(keys), "away")
    for name, signature in (book.signatures() if book else {}).items():
        if name in keys and _standing(study, name, keys[name], _approval(study, signature)) == "approved":
            standing[name] = "approved"
    told: dict[str, Standing] = {}
    question = ProposeRequest(study).parts()

    def can_train(names: Collection[str]) -> bool:
        return sum(map(study.trains, names)) >= study.aggregation.min_hospitals

    while True:
        there = [name for name in exchange.hospitals() if name in keys]
        for name in keys:
            if name not in there and standing[name] != "approved":
                standing[name] = "away"
        asked = [name for name in there if standing[name] != "approved"]
        for name, answer in exchange.ask(ProposeRequest.kind, dict.fromkeys(asked, question)):
            standing[name] = _standing(study, name, keys[name], answer)
            if book and standing[name] == "approved" and not isinstance(answer, Failure):
                book.add(name, Proposed.parse(answer).signature)
        if standing != told:
            told = dict(standing)
            tell(told)
        approved = frozenset(name for name, how in standing.items() if how == "approved")
        if len(approved) >= needed and can_train(approved):
            return Approved(exchange, approved)
        refused = [name for name, how in standing.items() if how == "refused"]
        if len(keys) - len(refused) < needed or not can_train(keys.keys() - set(refused)):
            raise RoundError(
                f"the study needs {needed} hospitals, and these refused it: {', '.join(refused)}",
                do="Talk to them, or propose a study with another roster.",
            )
        if stop.wait(ASK_AGAIN_S):
            raise RoundError("the run was stopped while it waited for approvals", do="Nobody has trained yet.")


def _approval(study: Study, signature: bytes) -> Parts:
    return Proposed(study.digest(), "approved", signature).parts()


def _standing(study: Study, name: str, public: bytes, answer: Parts | Failure) -> Standing:
    if isinstance(answer, Failure):
        return _STANDING_OF.get(answer.reason, "failed")
    try:
        proposed = Proposed.parse(answer)
        if proposed.decision == "approved":
            proposed.check(study, name, public)
    except MessageError:
        return "failed"
    return proposed.decision
