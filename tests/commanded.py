"""A coordinator's socket without a coordinator behind it: it notes what it is asked, and answers what it is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from wardround_common.control.health import Health
from wardround_common.control.service import ControlServer
from wardround_common.errors import WardroundError
from wardround_server.service.control import open_control
from wardround_server.state.standings import CoordinatorStatus, HospitalDoing, HospitalSeen, RunSeen, Standings

THEN = datetime(2026, 11, 28, 12, 0, 0, 123456, UTC)


def a_standing(name: str = "lung", **facts: Any) -> Standings:
    return Standings(name=name, digest="d" * 64, stage="training", since=THEN, rounds=10, began=THEN, **facts)


def a_status(said: str = "") -> CoordinatorStatus:
    """Return a status in which every field has a value of its own."""
    hospitals = (
        HospitalSeen(
            name="st-mary", state="registered", connected=True, last_heard=THEN, paused=True, images_away=False
        ),
        HospitalSeen(
            name="mercy",
            state="never registered",
            connected=False,
            last_heard=None,
            paused=False,
            images_away=True,
            warnings=("one", "two"),
        ),
    )
    doing = {
        "st-mary": HospitalDoing(state="training", since=THEN, round=3),
        "mercy": HospitalDoing(state="never registered", since=None),
    }
    standing = a_standing(
        round=2,
        hospitals={"st-mary": "asked", "mercy": "away", "a": "answered"},
        least=2,
        give_up=True,
        finish=True,
        said=said,
    )
    runs = (RunSeen(**dict(standing), doing=doing), RunSeen(**dict(a_standing("other")), doing={}))
    return CoordinatorStatus(time=1_795_000_000.25, hospitals=hospitals, runs=runs, damaged=("a file",))


class Commanded:
    """What is commanded: ``asked`` has it all."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []
        self.says: Callable[[], CoordinatorStatus] = a_status
        self.fails: Exception | None = None

    def run(self, study: str, where: str, least: int | None) -> Standings:
        return self._note("run", study, where, least)

    def resume(self, run: str, *, give_up: bool, finish: bool) -> Standings:
        return self._note("resume", run, give_up, finish)

    def stop(self, run: str) -> Standings:
        return self._note("stop", run)

    def archive(self, run: str) -> Path:
        self._note("archive", run)
        return Path("/C/archive") / run

    def remove(self, run: str) -> Standings:
        return self._note("remove", run)

    def status(self) -> CoordinatorStatus:
        self._note("status")
        return self.says()

    def _note(self, *what: Any) -> Standings:
        if self.fails:
            raise self.fails
        self.asked.append(what)
        return a_standing()


class Here:
    """The socket in a folder, and what is behind it."""

    def __init__(self, folder: Path, look: Callable[[], Mapping[str, WardroundError | None]] = dict) -> None:
        self.folder = folder
        self.commanded = Commanded()
        self.health = Health(look)
        self.server: ControlServer = open_control(folder, self.commanded, self.health)


@contextmanager
def commanded(folder: Path, look: Callable[[], Mapping[str, WardroundError | None]] = dict) -> Iterator[Here]:
    here = Here(folder, look)
    try:
        yield here
    finally:
        here.server.close()
