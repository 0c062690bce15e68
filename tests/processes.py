"""A coordinator and hospitals as services in one folder, driven as people drive them: by the command line."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import tomli_w

from asking import status_of
from examples import DP, STUDY
from link import until
from wardround_client.link.mailbox import Mailbox
from wardround_client.service.asking import asking
from wardround_client.service.status import stopped_status
from wardround_client.service.ward import plan
from wardround_client.spending.ledger.store import existing_ledger
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.control.place import is_served
from wardround_common.study.file import Study, read_study
from wardround_server.rounds.checkpoint import read_checkpoint
from wardround_server.rounds.course import State
from wardround_server.service.commanding import commanding
from wardround_simulation.phantoms import CLASSES, SCANNERS, make_hospitals

COMMAND = (sys.executable, "-c", "from wardround_common.shell.cli import main; main()")
NAMES = ("hospital-a", "hospital-b", "hospital-c")
OVER = ("done", "incomplete", "failed", "stopped")
WAIT_S = 180.0


class Site:
    """A coordinator and three hospitals in one folder.

    ``service``: the command line that the services are started with, in the place of ``wardround``; it is given the
    name of the service first.
    """

    def __init__(self, folder: Path, service: Sequence[str] = ()) -> None:
        self.folder = folder
        self.service = tuple(service)
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.extra: dict[str, str] = {}  # of the environment of what is started next
        make_hospitals(folder / "data", seed=1, hospitals=3, patients=40)
        self.port = free_port()
        self.run("coordinator", "init", "C", "--host", "127.0.0.1", "--port", str(self.port))
        for name in NAMES:
            self.run("hospital", "init", name, "--data", f"data/{name}", "--state", name)
            self.run("coordinator", "enrol", "C", f"{name}.request", "--yes")

    def run(self, *arguments: str, code: int = 0) -> str:
        done = self.call(*arguments)
        assert done.returncode == code, done.stdout + done.stderr + self.logs()
        return done.stdout + done.stderr

    def call(self, *arguments: str, through: Sequence[str] = COMMAND) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*through, *arguments],
            cwd=self.folder,
            env=self.environment(),
            capture_output=True,
            encoding="utf-8",
            timeout=WAIT_S,
            check=False,
        )

    def environment(self) -> dict[str, str]:
        return os.environ | {
            "XDG_CACHE_HOME": str(self.folder / "cache"),
            "COLUMNS": "200",
            "PYTHONPATH": os.pathsep.join(sys.path),
            **self.extra,
        }

    def start_all(self) -> None:
        for who in ("C", *NAMES):
            self.start(who)

    def start(self, who: str, wait: bool = True) -> None:
        arguments = ["coordinator", "serve", "C", "--bind", "127.0.0.1"]
        if who != "C":
            accepted = (self.folder / who / "coordinator.invitation").exists()
            invitation = [] if accepted else [f"{who}.invitation", "--yes"]
            arguments = ["hospital", "serve", *invitation, "--state", who]
        through = (*self.service, who) if self.service else COMMAND
        with (self.folder / f"{who}.log").open("ab") as log:
            self.running[who] = subprocess.Popen(
                [*through, *arguments], cwd=self.folder, env=self.environment(), stdout=log, stderr=log
            )
        if who == "C" and wait:
            until(self.answers, WAIT_S)

    def answers(self) -> bool:
        """Whether the coordinator answers its own people."""
        assert self.running["C"].poll() is None, self.logs()
        try:
            status_of(self.folder / "C")
        except Exception:  # noqa: BLE001  # it is not there yet, whatever it says
            return False
        return True

    def kill(self, who: str) -> None:
        process = self.running.pop(who)
        process.kill()
        process.wait()

    def terminate(self, who: str, within_s: float = 60.0) -> int:
        """End a service as a service manager does, and give its exit status."""
        process = self.running.pop(who)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(within_s)
        finally:
            process.kill()

    def end(self) -> None:
        for process in self.running.values():
            process.kill()
            process.wait()

    def study(self, name: str, **sections: dict[str, Any]) -> Study:
        """Write a study that lists all enrolled hospitals; ``privacy`` is replaced whole."""
        tables: dict[str, Any] = {key: dict(table) for key, table in STUDY.items()}
        tables["study"]["name"] = name
        tables["task"]["classes"] = list(CLASSES)
        tables["data"] |= {"modalities": sorted({scanner.modality for scanner in SCANNERS}), "image_size": 24}
        tables["model"] |= {"network": "tiny-cnn"}
        tables["privacy"] = DP | {"delta": 1e-5}
        tables["aggregation"] = {"secure": True, "min_hospitals": 3}
        for section, changes in sections.items():
            changed = changes if section == "privacy" else tables[section] | changes
            tables[section] = {key: value for key, value in changed.items() if value is not None}
        roster = self.folder / "roster.toml"
        if not roster.exists():
            roster.write_text(self.run("coordinator", "roster", "C"), encoding="utf-8")
        path = self.folder / f"{name}.toml"
        path.write_text(tomli_w.dumps(tables) + roster.read_text(encoding="utf-8"), encoding="utf-8")
        return read_study(path)

    def approve(self, name: str) -> None:
        """Let each hospital's people approve a study as soon as it is proposed, by the command line."""
        for hospital in NAMES:
            proposed = ["hospital", "studies", "--state", hospital, "--json"]
            until(lambda proposed=proposed: name in self.run(*proposed), WAIT_S)  # type: ignore[misc]
            assert "Approved." in self.run("hospital", "approve", name, "--state", hospital, "--yes")

    def approve_here(self, study: Study) -> None:
        """Do what ``approve`` does for all hospitals, in this process and before the study is proposed: it is fast."""
        with self.cache():
            for name in NAMES:
                folder = HospitalFolder(self.folder / name)
                approvals = Approvals(folder.path / "studies")
                approvals.propose(study)
                plan(folder, study).approve()
                approvals.decide(study, "approved")

    @contextmanager
    def cache(self) -> Iterator[None]:
        """Let this process find what the services prepared of the images."""
        before = os.environ.get("XDG_CACHE_HOME")
        os.environ["XDG_CACHE_HOME"] = str(self.folder / "cache")
        try:
            yield
        finally:
            if before is None:
                del os.environ["XDG_CACHE_HOME"]
            else:
                os.environ["XDG_CACHE_HOME"] = before

    def begin(self, study: Study) -> None:
        """Return the running coordinator the command to run a study."""
        path = self.folder / f"{study.study.name}.toml"
        with commanding(self.folder / "C") as coordinator:
            coordinator.run(path.read_text(encoding="utf-8"), str(path))

    def status(self, name: str) -> dict[str, Any]:
        runs = status_of(self.folder / "C")["runs"]
        return next((run for run in runs if run["name"] == name), {"stage": "", "round": 0, "said": ""})

    def connected(self) -> set[str]:
        """Name the hospitals that the coordinator hears."""
        hospitals = status_of(self.folder / "C")["hospitals"]
        return {one["name"] for one in hospitals if one["connected"]}

    def until(self, happens: Callable[[], object], within_s: float = WAIT_S) -> None:
        """Wait until something happens, as long as every service lives."""

        def happened() -> object:
            for who, process in self.running.items():
                assert process.poll() is None, f"{who} ended\n{self.logs()}"
            return happens()

        try:
            until(happened, within_s)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from None

    def until_over(self, name: str, within_s: float = WAIT_S) -> dict[str, Any]:
        end: dict[str, Any] = {}

        def over() -> bool:
            time.sleep(0.1)  # a coordinator that is asked all the time has time for nothing else
            for who, process in self.running.items():
                assert process.poll() is None, f"{who} ended\n{self.logs()}"
            end.update(self.status(name))
            return end["stage"] in OVER

        try:
            until(over, within_s)
        except AssertionError:
            raise AssertionError(f"{name} did not end: {end}\n{self.logs()}") from None
        return end

    def hospital_says(self, name: str) -> dict[str, str]:
        """Return what a hospital's status says."""
        found: dict[str, str] = json.loads(self.run("hospital", "status", "--state", name, "--json"))
        return found

    def hospital_noted(self, name: str) -> dict[str, Any]:
        """Return the same, asked from this process."""
        folder = HospitalFolder(self.folder / name)
        if not is_served(folder.path):
            return stopped_status(folder).facts()
        with asking(folder.path) as hospital:
            return hospital.status().facts()

    def state(self, study: Study) -> State:
        """Read the checkpoint of a run."""
        return read_checkpoint(self.folder / "C" / "runs" / study.study.name / "checkpoint", study)

    def charged(self, study: Study) -> dict[str, list[int]]:
        """Say by hospital which rounds its ledger charged for a study."""
        found = {}
        for name in NAMES:
            folder = HospitalFolder(self.folder / name)
            books = existing_ledger(folder.path, folder.identity()).books
            found[name] = sorted(books.rounds_of(study.digest()))
        return found

    def each_charged(self, study: Study, rounds: int) -> bool:
        """Whether each hospital charged each of this number of rounds, and no other."""
        return all(charged == list(range(1, rounds + 1)) for charged in self.charged(study).values())

    def mail(self, name: str) -> list[str]:
        """Name what lies in a hospital's inbox and outbox."""
        return [each for box in ("inbox", "outbox") for each in Mailbox(self.folder / name / "link" / box).names()]

    def logs(self) -> str:
        return "".join(f"\n--- {path.name}\n{path.read_text()[-2500:]}" for path in sorted(self.folder.glob("*.log")))


@contextmanager
def services(
    folder: Path, service: Sequence[str] = (), prepare: Callable[[Site], None] = lambda site: None
) -> Iterator[Site]:
    """Enrol three hospitals, do what is to be done before they serve, start everything, and end it."""
    site = Site(folder, service)
    prepare(site)
    try:
        site.start_all()
        yield site
    finally:
        site.end()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port
