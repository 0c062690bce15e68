"""The pages for operators, walked by their own lines: a coordinator and three hospitals, with privacy and secure sums,
from nothing to the released model, and what goes wrong on the way: one story, whose tests rest on those before.

Each machine has a home of its own. What is typed is read from the pages, and so is what must be printed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from link import until
from operators_pages import Line, Page
from processes import OVER, WAIT_S, free_port
from wardround_simulation.phantoms import make_hospitals

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
COORDINATOR, HOSPITAL = Page("operations-coordinator.md"), Page("operations-hospital.md")
COPIES, WRONG = Page("upgrade-and-backup.md"), "When something is wrong"
A, B, C = NAMES = ("hospital-a", "hospital-b", "hospital-c")
LOOKS_AGAIN = re.compile("wardround (hospital|coordinator) (status|studies)")
SERVES = Line("wardround hospital serve", ("registered",))
GOES_ON = re.compile("wardround (hospital serve|coordinator (serve|run) )")


@dataclass
class Machine:
    """A machine at which a person types, with a home of its own."""

    who: str
    home: Path
    own: dict[str, str] = field(default_factory=dict)
    """What this person puts in the place of the pages' words in capitals, and of their examples."""
    running: dict[str, subprocess.Popen[str]] = field(default_factory=dict)

    def type(self, lines: Sequence[Line], own: dict[str, str] | None = None) -> str:
        """Type lines of a page; what they say must be printed. Return what the last one printed."""
        said = ""
        for line in lines:
            words = self.own | (own or {})
            command = line.typed(words)
            for example, mine in self.own.items():
                command = command if example.isupper() else command.replace(example, mine)
            said, taken = (
                self._go_on(command, line, words) if GOES_ON.match(command) else self._do(command, line, words)
            )
            self.own |= taken
        return said

    def _do(self, command: str, line: Line, words: dict[str, str]) -> tuple[str, dict[str, str]]:
        end = time.monotonic() + WAIT_S
        while True:
            done = self.run(command, line.answers)
            taken = line.taken(done.stdout, words)
            if taken is not None or not LOOKS_AGAIN.match(command) or time.monotonic() > end:
                break
            time.sleep(0.3)
        assert taken is not None, f"{self.who}$ {command}\n{done.stdout}\nthe page says: {line.prints}"
        assert (done.returncode != 0) is line.fails, f"{self.who}$ {command}\n{done.stdout}"
        return done.stdout, taken

    def _go_on(self, command: str, line: Line, words: dict[str, str]) -> tuple[str, dict[str, str]]:
        log = self.home / f"{command.split()[2]}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(
                ["bash", "-c", f"exec {command}"],
                cwd=self.home,
                env=self.environment(),
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=out,
                text=True,
            )
        assert process.stdin
        process.stdin.write(line.answers)
        process.stdin.close()
        self.running[log.stem] = process
        until(lambda: process.poll() is not None or line.taken(log.read_text(), words) is not None, WAIT_S)
        taken = line.taken(log.read_text(), words)
        assert taken is not None, f"{self.who}$ {command}\n{log.read_text()}\nthe page says: {line.prints}"
        return log.read_text(), taken

    def run(self, command: str, answers: str = "") -> subprocess.CompletedProcess[str]:
        """Type a line of one's own."""
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.home,
            env=self.environment(),
            input=answers,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    def sees(self, command: str, what: str) -> str:
        """Look again until something is printed; return all of it."""
        said, end = "", time.monotonic() + WAIT_S
        while not re.search(what, said):
            assert time.monotonic() < end, f"{self.who}$ {command}\n{said}\nlooked for: {what}"
            time.sleep(0.5)
            said = self.run(command).stdout
        return said

    def environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("XDG_")}
        return kept | {
            "HOME": str(self.home),
            "PATH": f"{self.home.parent / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join([str(TESTS), *filter(None, sys.path)]),
            "PYTHONUNBUFFERED": "1",
            "COLUMNS": "240",
            "WHO": self.who,
        }

    def stop(self, what: str = "serve") -> None:
        """End a service as a service manager does."""
        process = self.running.pop(what)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60.0) == 0, (self.home / f"{what}.log").read_text()

    def stage(self, name: str) -> tuple[str, int]:
        """Say how a run of this coordinator stands."""
        runs = json.loads(self.run("wardround coordinator status DIR --json").stdout)["runs"]
        return next(((run["stage"], run["round"]) for run in runs if run["name"] == name), ("", 0))


@dataclass
class Walk:
    """The machines of the story."""

    folder: Path
    coordinator: Machine
    hospitals: dict[str, Machine]

    def send(self, name: str, sender: Machine, to: Machine) -> None:
        """Carry a file from one machine to another."""
        shutil.copyfile(sender.home / name, to.home / name)

    def enrol(self, name: str) -> None:
        """Send a request, let the coordinator enrol its hospital, send the invitation back."""
        hospital = self.hospitals[name]
        self.send(f"{name}.request", hospital, self.coordinator)
        self.coordinator.type(COORDINATOR.block("For each hospital"), {"NAME": name})
        self.send(f"{name}.invitation", self.coordinator, hospital)

    def until_over(self, name: str) -> str:
        """Wait for the end of a run and return its stage."""
        until(lambda: time.sleep(0.5) or self.coordinator.stage(name)[0] in OVER, WAIT_S)  # type: ignore[func-returns-value]
        return self.coordinator.stage(name)[0]


@pytest.fixture(scope="module")
def walk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walk]:
    folder = tmp_path_factory.mktemp("w")
    make_hospitals(folder / "images", seed=0, hospitals=3, patients=40)
    (folder / "bin").mkdir()
    wardround = folder / "bin" / "wardround"
    main = "from wardround_common.shell.cli import main; main()"
    wardround.write_text(
        f'#!/bin/sh\n[ "$2" = serve ] && exec "{sys.executable}" "{TESTS / "operated.py"}" "{folder}" "$WHO" "$@"\n'
        f'exec "{sys.executable}" -c "{main}" "$@"\n'
    )
    wardround.chmod(0o755)
    examples = {
        "--host fl.example.org": f"--host localhost --port {free_port()}",
        "--modalities CR,DX": "--modalities MG",  # the mistake: one hospital has others
    }
    machines = {}
    for who in ("coordinator", *NAMES):
        (folder / who).mkdir()
        machines[who] = Machine(who, folder / who, {"STUDY": "lung"})
    coordinator = machines.pop("coordinator")
    coordinator.own |= {"DIR": "DIR", "OUT": "OUT"} | examples
    for name, machine in machines.items():
        machine.own |= {"NAME": name, "FOLDER": "images", "STATE": ".local/share/wardround/hospital", "COPY": "COPY"}
        shutil.move(folder / "images" / name, machine.home / "images")
    made = Walk(folder, coordinator, machines)
    yield made
    for machine in (coordinator, *machines.values()):
        for process in machine.running.values():
            process.kill()
            process.wait()


def edit(path: Path, *changes: tuple[str, str]) -> None:
    """Change a file as a person does in an editor."""
    text = path.read_text()
    for before, after in changes:
        assert before in text, before
        text = text.replace(before, after)
    path.write_text(text)


def cut_short(path: Path) -> bytes:
    """Damage a file; return what was in it."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    return content


def test_three_hospitals_are_set_up_and_enrolled_and_what_is_damaged_or_mistaken_is_said(walk: Walk) -> None:
    coordinator, a = walk.coordinator, walk.hospitals[A]
    coordinator.type(COORDINATOR.block("Once"))
    # `init` in a coordinator's folder, on its machine.
    (coordinator.home / "images").mkdir()
    before = sorted((coordinator.home / "DIR").rglob("*"))
    mistaken = coordinator.run("wardround hospital init hospital-a --data images --state DIR")
    assert "another `--state`" in HOSPITAL.says("this is the folder of a coordinator", mistaken.stdout)
    assert [path for path in sorted((coordinator.home / "DIR").rglob("*")) if path.suffix != ".log"] == before
    # An image that lies on a disk that is not there yet.
    later = next((a.home / "images").rglob("*.dcm"))
    elsewhere = a.home / "another disk"
    shutil.move(later, elsewhere)
    later.symlink_to(elsewhere)
    elsewhere.rename(a.home / "not mounted")
    first = a.run("wardround scan images").stdout
    (a.home / "not mounted").rename(elsewhere)
    for machine in walk.hospitals.values():
        said = machine.type(HOSPITAL.block("Once"))
        assert "There is no labels.csv" not in said
    assert "39 images" in first
    assert "40 images" in a.run("wardround scan images").stdout
    # A request that was cut off by the mail, and one whose name looks like another.
    walk.send(f"{A}.request", a, coordinator)
    whole = cut_short(coordinator.home / f"{A}.request")
    damaged = coordinator.run(f"wardround coordinator enrol DIR {A}.request", "y\n")
    assert damaged.returncode == 6, damaged.stdout
    assert "→" in damaged.stdout
    (coordinator.home / f"{A}.request").write_bytes(whole)
    for name in NAMES:
        walk.enrol(name)
    alike = "hospitаl-a"  # with a Cyrillic letter
    b = walk.hospitals[B]
    made = b.run(f"wardround hospital init {alike} --data images --state other --out alike.request")
    if made.returncode == 0:
        walk.send("alike.request", b, coordinator)
        made = coordinator.run("wardround coordinator enrol DIR alike.request", "y\n")
    assert made.returncode != 0, made.stdout
    assert "→" in made.stdout
    whole = cut_short(a.home / f"{A}.invitation")
    damaged = a.run(f"wardround hospital serve {A}.invitation", "y\n")
    assert damaged.returncode == 6, damaged.stdout
    assert "→" in damaged.stdout
    (a.home / f"{A}.invitation").write_bytes(whole)
    for machine in walk.hospitals.values():
        machine.type(HOSPITAL.block("Once", 1))


def test_a_study_with_a_mistake_is_stopped_put_right_and_approved_though_the_first_reserved_the_budget(
    walk: Walk,
) -> None:
    coordinator, file = walk.coordinator, walk.coordinator.home / "lung.toml"
    lines = COORDINATOR.block("For each study")
    coordinator.type(lines[:1])
    edit(file, ("rounds = 30", "rounds = 4"), ("image_size = 64", "image_size = 24"))
    coordinator.type(lines[1:])
    walk.hospitals[A].type(HOSPITAL.block("For each study"))
    walk.hospitals[C].sees("wardround hospital studies", "waiting .* lung")
    refused = walk.hospitals[C].run("wardround hospital approve", "y\n")
    assert refused.returncode == 4
    assert "tell the coordinator" in refused.stdout
    edit(file, ('["MG"]', '["MG", "CR"]'))
    lines = COORDINATOR.block("For each study", 2)
    coordinator.type(lines[:1])
    assert coordinator.running.pop("run").wait(60.0) != 0  # it watched the first run
    coordinator.type(lines[1:])
    walk.hospitals[A].type(HOSPITAL.block("For each study", 1))
    walk.hospitals[B].type(HOSPITAL.block("For each study"))


def test_a_run_waits_for_a_hospital_that_paused_one_without_its_images_and_one_whose_disk_is_full(walk: Walk) -> None:
    coordinator, (a, b, c) = walk.coordinator, walk.hospitals.values()
    a.stop()
    (a.home / "images").rename(a.home / "not mounted")
    (a.home / "images").mkdir()
    a.type([SERVES])
    away = a.run("wardround hospital health")
    assert away.returncode == 4, away.stdout
    assert "mount the disk" in HOSPITAL.says("the folder of the images is empty", away.stdout)
    c.type(HOSPITAL.block("For each study"))
    coordinator.sees("wardround coordinator status DIR", "images away")
    assert coordinator.stage("lung")[0] == "preparing"
    full = walk.folder / f"{C}.full"
    full.touch()
    (a.home / "images").rmdir()
    (a.home / "not mounted").rename(a.home / "images")
    assert "make room" in HOSPITAL.says("the disk is full", c.sees("wardround hospital status", "the disk is full"))
    full.unlink()
    coordinator.sees("wardround coordinator status DIR", "round [234] of 4")
    pausing = HOSPITAL.block("For each study", 3)
    b.type(pausing[:2])
    coordinator.type(COORDINATOR.block("What survives"), {"NAME": B})
    b.type(pausing[2:])
    assert walk.until_over("lung") == "done", coordinator.run("wardround coordinator status DIR").stdout
    watching = coordinator.running.pop("run")
    assert watching.wait(60.0) == 0
    assert "done" in (coordinator.home / "run.log").read_text()


def test_the_model_is_released_with_what_it_cost_and_both_ends_tell_the_same(walk: Walk) -> None:
    coordinator = walk.coordinator
    for name, machine in walk.hospitals.items():
        machine.type(HOSPITAL.block("For each study", 2))
        (statement,) = machine.home.glob("*.statement")
        walk.send(statement.name, machine, coordinator)
        lines = COORDINATOR.block("For each study", 1)
        given = [
            Line(line.command.replace("…", statement.stem.removeprefix(f"{name}-")), line.prints) for line in lines
        ]
        coordinator.type(given, {"NAME": name})
    released = {path.name for path in (coordinator.home / "lung").iterdir()}
    assert {"model.safetensors", "report.html", "results.json", "study.toml", "statements"} <= released
    assert len(list((coordinator.home / "lung" / "statements").iterdir())) == 3
    coordinator.run("wardround coordinator audit export DIR C.audit")
    walk.send("C.audit", coordinator, walk.hospitals[A])
    same = walk.hospitals[A].run("wardround hospital audit verify --against C.audit")
    assert "none that must be is missing" in same.stdout


def test_copies_are_made_and_brought_back(walk: Walk) -> None:
    coordinator, a = walk.coordinator, walk.hospitals[A]
    a.stop()
    a.type(COPIES.block("A hospital"))
    for name in ("ledger.sqlite", "ledger.head"):
        (a.home / a.own["STATE"] / name).unlink()
    lost = a.run("wardround hospital ledger verify")
    assert "wardround hospital ledger restore COPY" in lost.stdout, lost.stdout
    a.type(COPIES.block("A hospital", 1))
    coordinator.type(COPIES.block("A coordinator"))
    coordinator.stop()
    coordinator.type(COPIES.block("A coordinator", 1))
    assert coordinator.stage("lung") == ("done", 4)


def test_damaged_files_of_a_run_an_invitation_and_a_proposal_are_named_and_the_rest_goes_on(walk: Walk) -> None:
    coordinator, b = walk.coordinator, walk.hospitals[B]
    edit_second(coordinator)
    coordinator.run("wardround coordinator run DIR second.toml --detach")
    b.sees("wardround hospital studies", "second")
    coordinator.run("wardround coordinator stop DIR second")
    assert walk.until_over("second") == "stopped"
    for machine in walk.hospitals.values():
        machine.sees("wardround hospital studies", r"second  \(its run was stopped\)")
    coordinator.stop()
    cut_short(coordinator.home / "DIR" / "runs" / "second" / "run.json")
    (invitation,) = (coordinator.home / "DIR" / "invitations").glob(f"{B}*.invitation")
    whole = cut_short(invitation)
    coordinator.type(COORDINATOR.block("Once")[1:])
    lines = COORDINATOR.block("What survives", 1)
    said = coordinator.type(lines[:1], {"STUDY": "second"})
    assert invitation.name in said
    assert "lung" in said
    coordinator.stop()
    invitation.write_bytes(whole)  # from the backup
    coordinator.type(lines[1:], {"STUDY": "second"})
    records = {path: path.stat().st_mtime_ns for path in (b.home / b.own["STATE"] / "studies").glob("*.json")}
    newest = max(records, key=lambda path: records[path])
    newest.write_bytes(b"{")
    shown = b.run("wardround hospital status").stdout
    assert "until it is proposed again" in HOSPITAL.says("the record of the proposed study", shown)


def edit_second(coordinator: Machine) -> None:
    """Write a second study after the first, with what is left of the budget."""
    text = (coordinator.home / "lung.toml").read_text().partition("\n[[roster]]")[0]
    text = text.replace('name = "lung"', 'name = "second"').replace("rounds = 4", "rounds = 2")
    (coordinator.home / "second.toml").write_text(text.replace("epsilon = 8.0", "epsilon = 1.0") + "\n")
    coordinator.run("wardround coordinator roster DIR >> second.toml")


def test_a_hospital_that_was_revoked_and_enrolled_anew_takes_part_in_the_next_study(walk: Walk) -> None:
    coordinator, c = walk.coordinator, walk.hospitals[C]
    coordinator.type(COORDINATOR.block("For each hospital", 1), {"NAME": C})
    lines, anew = HOSPITAL.block("When its keys were revoked"), HOSPITAL.block("When its keys were revoked", 1)
    c.type(lines)
    early = c.run(anew[0].typed(c.own))
    assert "another process is using this folder" in early.stdout
    c.stop()
    c.type(anew)
    walk.enrol(C)
    c.type(HOSPITAL.block("Once", 1))
    edit_second(coordinator)
    coordinator.run("wardround coordinator run DIR second.toml --detach")
    for machine in walk.hospitals.values():
        machine.type(HOSPITAL.block("For each study"), {"STUDY": "second"})
    assert walk.until_over("second") == "done", coordinator.run("wardround coordinator status DIR").stdout


def test_two_copies_of_a_folder_that_serve_are_said_at_both_ends_until_one_is_stopped(walk: Walk) -> None:
    b, coordinator = walk.hospitals[B], walk.coordinator
    b.stop()
    state = b.home / b.own["STATE"]
    shutil.copytree(state, b.home / "second copy")
    both = Machine(B, b.home)
    both.type([Line("wardround hospital serve --state 'second copy'", ("registered",))])
    b.type([SERVES])
    b.type(HOSPITAL.block(WRONG))
    said = coordinator.run("wardround coordinator status DIR").stdout
    assert f"the audit log of {B} is not the one that it was" in said
    both.stop()
    assert b.run("wardround hospital health").returncode == 0


def test_every_line_of_the_pages_was_typed() -> None:
    assert {page.name: page.left() for page in (COORDINATOR, HOSPITAL, COPIES)} == {
        page.name: set() for page in (COORDINATOR, HOSPITAL, COPIES)
    }
