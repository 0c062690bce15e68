"""The account: what patients spent, and the log of what happened, outlive lost files and full disks."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path
from unittest.mock import patch

from cases.case import Case, one_line, wardround
from lived import Lived, named
from wardround_client.spending.ledger.store import HEAD_NAME, LEDGER_NAME
from wardround_client.state.approvals import Approvals
from wardround_common.audit.entries import read_line
from wardround_common.audit.log import lines, segments

STUDY = named("first")
READING = ("audit show", "audit verify", "audit head", "studies", "budget", "ledger verify", "ledger head")


def lived(here: Path) -> Lived:
    """Live through three rounds, of which a copy was made after the first and after the last."""
    hospital = Lived(here / "hospital")
    hospital.approve(STUDY)
    hospital.train(STUDY, 1)
    hospital.copy("older")
    hospital.train(STUDY, 2, 3)
    hospital.copy("whole")
    return hospital


def lose(hospital: Lived, *names: str) -> Lived:
    for name in names:
        (hospital.state / name).unlink()
    return hospital


def run(hospital: Lived, command: str, *words: object) -> str:
    """Run a command of the hospital, and return its error, or its words where it has none."""
    done = wardround("hospital", *command.split(), *words, "--state", hospital.state)
    return done.error or one_line(done.out)


def a_lost_ledger(here: Path) -> str:
    return run(lose(lived(here), LEDGER_NAME, HEAD_NAME), "budget")


def an_older_ledger(here: Path) -> str:
    hospital = lived(here)
    for name in (LEDGER_NAME, HEAD_NAME):
        shutil.copy2(hospital.place / "older" / name, hospital.state / name)
    return run(hospital, "budget")


def afterwards(hospital: Lived, before: float) -> str:
    after = hospital.spent()
    told = "as before" if abs(after - before) < 1e-4 * before else f"before it was {before:.4f}"
    return f"epsilon {after:.2f}, {told}"


def a_copy_restored(here: Path) -> str:
    hospital = lived(here)
    before = hospital.spent()
    lose(hospital, LEDGER_NAME, HEAD_NAME)
    run(hospital, "ledger restore", hospital.place / "whole")
    return afterwards(hospital, before)


def rebuilt(here: Path) -> str:
    hospital = lived(here)
    before = hospital.spent()
    lose(hospital, LEDGER_NAME, HEAD_NAME)
    run(hospital, "ledger rebuild", "--yes")
    return afterwards(hospital, before)


def emptied(here: Path) -> Lived:
    hospital = lived(here)
    for path in segments(hospital.folder.audit):
        path.unlink()
    return hospital


def an_emptied_log(here: Path) -> str:
    return run(emptied(here), "audit verify")


def a_decision_without_a_log(here: Path) -> str:
    hospital = emptied(here)
    return f"{run(hospital, 'refuse', 'first')}; the study is {decision(hospital)}"


def decision(hospital: Lived) -> str:
    return Approvals(hospital.state / "studies").get(STUDY.digest()).decision


def a_full_disk(here: Path) -> str:
    hospital, flush = lived(here), os.fsync

    def full(file: int) -> None:
        if not stat.S_ISDIR(os.fstat(file).st_mode):  # a folder needs no room
            raise OSError(errno.ENOSPC, "no space")
        flush(file)

    with patch.object(os, "fsync", full):
        said = run(hospital, "refuse", "first")
    withdrawn = read_line(list(lines(hospital.folder.audit))[-1]).what == "study withdrawn"
    log = "the log agrees" if withdrawn == (decision(hospital) == "refused") else "the log contradicts it"
    return f"{said.rpartition(': ')[2]}; the study is {decision(hospital)}, {log}"


def reading(here: Path) -> str:
    hospital = lived(here)

    def tree() -> dict[str, tuple[int, bytes]]:
        found = (hospital.state, *hospital.state.rglob("*"))
        return {str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else b"") for path in found}

    before, failed, wrote = tree(), list[str](), list[str]()
    for command in READING:
        said = run(hospital, command)
        failed += [command] if said.startswith("exit code") else []
        wrote += [command] if tree() != before else []
    return f"{len(READING)} commands, {said_of(failed)} failed, {said_of(wrote)} wrote something"


def said_of(commands: list[str]) -> str:
    return ", ".join(commands) or "0"


CASES = (
    Case(
        "a hospital of three rounds, its ledger and the head removed",
        "the ledger is missing, although there was one",
        a_lost_ledger,
    ),
    Case("the ledger of two rounds before put in place", "older than the audit log", an_older_ledger),
    Case("the lost ledger restored from a copy", "epsilon 4.18, as before", a_copy_restored),
    Case("the lost ledger rebuilt from the audit log", "epsilon 4.18, as before", rebuilt),
    Case("an audit log that was emptied, and is verified", "entries 1 to 9 were cut off", an_emptied_log),
    Case(
        "a study refused, while the audit log is emptied",
        "has no entry any more; the study is approved",
        a_decision_without_a_log,
    ),
    Case(
        "a study refused on a full disk",
        "the disk is full; the study is approved, the log agrees",
        a_full_disk,
    ),
    Case("seven commands that read", "7 commands, 0 failed, 0 wrote something", reading),
)
