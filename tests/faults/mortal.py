"""A service that can be told where it dies, or what fails it: ``python mortal.py FOLDER WHO wardround's arguments``.

The product has no such switch. This starts the same command in a process in which some functions are wrapped; each
looks, when it is called, whether ``FOLDER/WHO.fault`` says that it is this call that goes wrong, and how.
"""

from __future__ import annotations

import datetime
import errno
import functools
import importlib
import json
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from faults.flushed import Flushed

Does = Literal["die", "fill-disk", "no-gpu", "power-cut", "slow"]
WATCH = "WATCH_WHAT_IS_FLUSHED"  # in the environment: this process may suffer a power cut
SLOW_S = 11.0  # longer than a heartbeat


@dataclass(frozen=True)
class Fault:
    """What goes wrong before or after the ``count``-th call of ``call`` whose arguments have all words of ``about``."""

    call: str
    """``module:name`` or ``module:Class.method``; one of CALLS."""
    when: Literal["before", "after"] = "after"
    about: str = ""
    count: int = 1
    does: Does = "die"

    def write(self, folder: Path, who: str) -> None:
        """Let the running service meet this fault."""
        assert self.call in CALLS, self.call
        path = folder / f"{who}.fault"
        path.with_suffix(".met").unlink(missing_ok=True)
        making = path.with_suffix(".making")
        making.write_text(json.dumps(asdict(self)))
        making.replace(path)


HOSPITAL = (
    "wardround_client.spending.account:Account.charge",
    "wardround_client.state.approvals:Approvals.decide",
    "wardround_client.state.approvals:Approvals.propose",
    "wardround_client.hospital.answering:patient_sums",
    "wardround_client.hospital.answering:sums_of",
    "wardround_client.hospital.answering:train",
    "wardround_client.spending.ledger.store:Ledger.approve",
    "wardround_client.spending.ledger.store:Ledger.confirm",
    "wardround_client.spending.ledger.store:write_atomically",
    "wardround_client.link.mailbox:Mailbox.put",
    "wardround_client.link.mailbox:Mailbox.remove",
    "wardround_client.hospital.secure_desk:Desk.join",
    "wardround_client.hospital.secure_desk:Desk.open",
    "wardround_client.hospital.secure_desk:write_atomically",
    "wardround_client.link.wire:Wire.ask",
    "wardround_client.training.local_work:_drawn",
    "wardround_client.service.ward:own_stream",
    "wardround_client.service.ward:read_data",
)
COORDINATOR = (
    "wardround_server.service.runs:Runs._note",
    "wardround_server.service.runs:open_consortium",
    "wardround_server.service.runs:write_checkpoint",
    "wardround_server.service.runs:write_model",
    "wardround_server.service.runs:write_report",
    "wardround_server.rounds.secure_rounds:Rounds._write_note",
    "wardround_server.rounds.secure_sum:Confirming.close",
    "wardround_server.rounds.secure_sum:Opening.total",
    "wardround_server.service.serving:Service._end",
    "wardround_server.link.link_grid:LinkGrid._reply",
    "wardround_server.link.link_grid:LinkGrid._store",
    "wardround_server.link.link_grid:LinkGrid.push_messages",
    "wardround_server.link.superlink:SuperLink.end_run",
    "wardround_server.link.superlink:SuperLink.new_run",
    "wardround_server.link.fleet:Fleet._confirm",
    "wardround_server.link.fleet:Fleet._pull",
    "wardround_server.link.fleet:Fleet._push",
    "wardround_server.link.fleet:Fleet._push_object",
)
CALLS = frozenset((*HOSPITAL, *COORDINATOR))


flushed = Flushed(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())


def words(value: object) -> str:
    """Put what a function was called with into words that a fault can be about."""
    if isinstance(value, bytes):
        return value[:20_000].decode("latin-1")
    if isinstance(value, list | tuple):
        return " ".join(map(words, value))
    metadata = getattr(value, "metadata", None)
    if metadata is not None and hasattr(metadata, "message_type"):
        return str(metadata.message_type)
    return str(value)


def wrap(call: str, path: Path) -> None:
    """Let one function look for faults."""
    module, _, name = call.partition(":")
    place: Any = importlib.import_module(module)
    *classes, attribute = name.split(".")
    for each in classes:
        place = getattr(place, each)
    real: Callable[..., Any] = getattr(place, attribute)
    seen: dict[str, int] = {}

    def met(when: str, arguments: tuple[object, ...]) -> Fault | None:
        try:
            text = path.read_text()
        except FileNotFoundError:
            return None
        fault = Fault(**json.loads(text))
        if (fault.call, fault.when) != (call, when) or not all(
            word in words(arguments) for word in fault.about.split()
        ):
            return None
        seen[text] = seen.get(text, 0) + 1
        if seen[text] < fault.count:
            return None
        del seen[text]  # the same fault may be asked of this process again
        return fault

    @functools.wraps(real)
    def mortal(*arguments: Any, **named: Any) -> Any:
        if fault := met("before", arguments):
            happen(fault, path)
        result = real(*arguments, **named)
        if fault := met("after", arguments):
            happen(fault, path)
        return result

    setattr(place, attribute, mortal)


def happen(fault: Fault, path: Path) -> None:
    """Let a fault happen, once."""
    path.rename(path.with_suffix(".met"))
    if fault.does == "power-cut":
        path.with_suffix(".cut").write_text(str(flushed.cut()))
    if fault.does == "no-gpu":
        raise RuntimeError("CUDA error: no CUDA-capable device is detected")
    if fault.does == "fill-disk":
        path.with_suffix(".full").touch()
    elif fault.does == "slow":
        time.sleep(SLOW_S)
    else:
        os.kill(os.getpid(), signal.SIGKILL)


def send_each_object_by_itself() -> None:
    """Let an answer take several requests, so that a process can die between two of them however small the model is."""
    from wardround_common.messages import transfers

    transfers.GROUP_BYTES = 0


def fill_the_disk_of(path: Path) -> None:
    """Let this process find the disk full as long as ``path`` is there: no file grows, whoever writes it."""
    real_fsync = os.fsync

    def fsync(file: int) -> None:
        if path.exists():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real_fsync(file)

    class Cursor(sqlite3.Cursor):
        def execute(self, *arguments: Any) -> Any:
            # SQLite's own limit: what would grow the file finds "database or disk is full".
            super().execute(f"PRAGMA max_page_count = {1 if path.exists() else 1073741823}")
            return super().execute(*arguments)

    class Connection(sqlite3.Connection):
        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

        def execute(self, *arguments: Any) -> Any:
            return self.cursor().execute(*arguments)

    os.fsync = fsync
    real_connect = sqlite3.connect
    sqlite3.connect = functools.partial(real_connect, factory=Connection)  # type: ignore[assignment]


def shift_the_clock_by(path: Path) -> None:
    """Let this hospital's link read a clock that is off by as many seconds as ``path`` says."""
    from wardround_client.link import supernode, wire

    def off() -> float:
        return float(path.read_text()) if path.exists() else 0.0

    class Clock(datetime.datetime):
        @classmethod
        def now(cls, tz: datetime.tzinfo | None = None) -> Any:
            return super().now(tz) + datetime.timedelta(seconds=off())

    class Time:
        monotonic = staticmethod(time.monotonic)

        @staticmethod
        def time() -> float:
            return time.time() + off()

    wire.datetime = Clock  # type: ignore[misc]
    supernode.time = wire.time = Time  # type: ignore[assignment]


def main() -> None:
    folder, who, *arguments = sys.argv[1:]
    os.environ["FLWR_TELEMETRY_ENABLED"] = "0"
    os.environ["FLWR_DISABLE_UPDATE_CHECK"] = "1"
    coordinator = arguments[0] == "coordinator"
    if WATCH in os.environ:
        flushed.watch()
    fill_the_disk_of(Path(folder) / f"{who}.full")
    for call in COORDINATOR if coordinator else HOSPITAL:
        wrap(call, Path(folder) / f"{who}.fault")
    if not coordinator:
        send_each_object_by_itself()
        shift_the_clock_by(Path(folder) / f"{who}.clock")
    from wardround_common.shell.cli import main as wardround

    sys.argv = ["wardround", *arguments]
    wardround()


if __name__ == "__main__":
    main()
