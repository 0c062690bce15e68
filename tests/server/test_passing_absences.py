"""A hospital that cannot begin for a while is asked again if the round needs it: paused, images away, question lost."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from test_slow_hospitals import DIGEST, NO_TIME, Desk, Room, answers_here, ask, room

import wardround_client.link.supernode as supernode
from link import until
from wardround_client.hospital.app import client_app
from wardround_client.link.supernode import State
from wardround_client.service.heart import heart_of
from wardround_common.errors import ImagesAwayError, PausedError, WardroundError
from wardround_common.keys.identity import Identity
from wardround_common.messages.rounds import Failure, Parts
from wardround_common.study.roster import Listed
from wardround_server.link import link_exchange
from wardround_server.link.link_exchange import LinkExchange


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(link_exchange, "ASK_AGAIN_S", 0.05)


@dataclass
class Reluctant(Desk):
    """A hospital that refuses to begin as long as a test says so, and counts its refusals."""

    error: WardroundError | None = None
    refused: int = 0

    def __post_init__(self) -> None:
        self.before = self._refuse

    def _refuse(self, number: int) -> None:
        if self.error:
            self.refused += 1
            raise self.error


@dataclass
class Asking:
    """A round that is asked in a thread, of mercy, north and south; two of them are needed."""

    here: Room
    held: dict[str, str] = field(default_factory=dict)
    heard: dict[str, object] = field(default_factory=dict)
    looks: int = 0
    """How often it was looked who is ready again: when nothing that came is left to be read."""

    def __post_init__(self) -> None:
        self.exchange: LinkExchange = self.here.exchange(60.0)
        self.exchange._held = self._look
        self._thread = threading.Thread(target=lambda: ask(self.exchange, 1, heard=self.heard), daemon=True)

    def __enter__(self) -> Asking:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(30)

    def _look(self) -> dict[str, str]:
        self.looks += 1
        return self.held.copy()

    def all_read(self) -> None:
        """Wait until all three answers are here and were read."""
        until(lambda: answers_here(self.here.link) == 3)
        before = self.looks
        until(lambda: self.looks > before + 1)

    @property
    def over(self) -> bool:
        return not self._thread.is_alive()


@contextmanager
def two_refuse(tmp_path: Path, error: WardroundError) -> Iterator[tuple[Room, Reluctant, Reluctant]]:
    north, south = Reluctant("north", error=error), Reluctant("south", error=error)
    with room(tmp_path, Desk("mercy"), north, south) as here:
        yield here, north, south


@pytest.mark.parametrize("error", [PausedError("it has paused"), ImagesAwayError("no disk")], ids=lambda e: e.kind)
def test_a_hospital_that_the_round_needs_is_waited_for_and_asked_again(tmp_path: Path, error: WardroundError) -> None:
    with two_refuse(tmp_path, error) as (here, north, south):
        held = {"north": error.kind, "south": error.kind}
        with Asking(here, held=held) as asking:
            until(lambda: asking.heard == {"mercy": 1} and north.refused == south.refused == 1)
            time.sleep(0.3)
            assert not asking.over
            assert north.refused == 1  # as long as it says that it has paused it is not asked
            north.error = None
            del held["north"]
            until(lambda: asking.over)
        assert asking.heard == {"mercy": 1, "north": 1, "south": error.kind}
        assert north.answered == [1]


def test_a_round_that_has_enough_without_it_waits_for_nobody_who_has_paused(tmp_path: Path) -> None:
    south = Reluctant("south", error=PausedError("it has paused"))
    with room(tmp_path, Desk("mercy"), Desk("north"), south) as here, Asking(here, held={"south": "paused"}) as asking:
        until(lambda: asking.over)
    assert asking.heard == {"mercy": 1, "north": 1, "south": "paused"}


@pytest.mark.parametrize("ends", ["deadline", "stop"])
def test_nobody_who_has_paused_is_waited_for_beyond_the_deadline_or_when_the_run_is_stopped(
    tmp_path: Path, ends: str
) -> None:
    with two_refuse(tmp_path, PausedError("it has paused")) as (here, _, _):
        with Asking(here, held={"north": "paused", "south": "paused"}) as asking:
            asking.all_read()
            if ends == "stop":
                asking.exchange._stop.set()
            else:
                asking.exchange._limits = NO_TIME
            until(lambda: asking.over)
        assert asking.heard == {"mercy": 1, "north": "paused", "south": "paused"}


def test_a_round_that_cannot_be_saved_is_not_held_up(tmp_path: Path) -> None:
    south = Reluctant("south", error=PausedError("it has paused"))
    others = [Reluctant(name, error=WardroundError("broken")) for name in ("mercy", "north")]
    with room(tmp_path, *others, south) as here, Asking(here, held={"south": "paused"}) as asking:
        until(lambda: asking.over)
    assert asking.heard == {"mercy": "error", "north": "error", "south": "paused"}


def test_rounds_are_not_held_up_by_one_who_comes_later_without_its_images(tmp_path: Path) -> None:
    south = Reluctant("south", error=ImagesAwayError("no disk"))
    roster = tuple(Listed.of(name, Identity(name.encode().ljust(32)).public) for name in ("mercy", "north", "south"))
    with room(tmp_path, Desk("mercy"), Desk("north"), south) as here:
        exchange = here.exchange(60.0)
        exchange._study = exchange._study.model_copy(update={"roster": roster})
        question = Parts({"study": DIGEST, "round": 1})
        [(name, answer)] = exchange.ask("prepare", {"south": question})
        assert (name, answer) == ("south", Failure("images-away"))


@pytest.mark.parametrize("box", ["inbox", "outbox"])
def test_a_hospital_that_lost_its_question_or_its_answer_is_asked_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, box: str
) -> None:
    """Such as one whose state folder was restored from a copy, or whose message a disk damaged."""
    monkeypatch.setattr(supernode, "HEARTBEAT_S", 0.05)
    let_go = threading.Event()
    first, second = Desk("south", lambda number: let_go.wait(20)), Desk("south")
    with room(tmp_path, Desk("mercy")) as here, here.place.hospital("north", client_app(lambda context: Desk("north"))):
        until(lambda: len(here.link.here()) == 2)
        here.link.revoke("north")  # so that two of two are needed
        south = here.place.folder / "south"
        with here.place.hospital("south", client_app(lambda context: first)) as node:
            until(lambda: len(here.link.here()) == 2)
            asking = Asking(here)
            asking.__enter__()
            until(lambda: node.status.state == State.WORKING and "mercy" in asking.heard)
            if box == "outbox":  # it is answered, and not one byte of the answer has left
                monkeypatch.setattr(node, "_send", lambda name: None)
            node._stop.set()
            let_go.set()
        shutil.rmtree(south / "inbox")
        shutil.rmtree(south / "outbox", ignore_errors=True)
        with here.place.hospital("south", client_app(lambda context: second)):
            until(lambda: asking.over)
        assert asking.heard == {"mercy": 1, "north": "revoked", "south": 1}
        assert second.answered == [1]


def test_a_question_that_is_worked_on_is_not_taken_for_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supernode, "HEARTBEAT_S", 0.02)
    let_go = threading.Event()
    south = Desk("south", lambda number: let_go.wait(20))
    with room(tmp_path, Desk("mercy"), Desk("north"), south) as here, Asking(here) as asking:
        until(lambda: len(asking.heard) == 2)
        heard = here.link.last_seen()["south"]
        until(lambda: here.link.last_seen()["south"] > heard + 0.5)
        assert not here.link.forgotten
        let_go.set()
    assert asking.heard == {"mercy": 1, "north": 1, "south": 1}
    assert south.answered == [1]


def test_a_sign_of_life_says_that_the_images_are_away(tmp_path: Path) -> None:
    from wardround_client.state.hospital_folder import HospitalFolder
    from wardround_common.audit.log import AuditLog
    from wardround_common.audit.witness import STANDING_HEADER, Witness

    log = AuditLog(tmp_path / "audit", Identity(b"m" * 32), "hospital", "mercy")
    for away in (True, False):
        heart = heart_of(HospitalFolder(tmp_path), Witness(log), b"c" * 32, lambda away=away: away)  # type: ignore[misc]
        assert heart.says().get(STANDING_HEADER) == ("images-away" if away else None)
