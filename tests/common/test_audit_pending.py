"""An entry and the change of files that it tells of: both or neither, wherever a crash or a full disk falls."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from wardround_common.audit.entries import read_line
from wardround_common.audit.log import AuditLog, lines
from wardround_common.audit.pending import NAME, Change, Written, prepare
from wardround_common.errors import StorageError
from wardround_common.keys.identity import Identity


def log_of(owner: Path) -> AuditLog:
    return AuditLog(owner / "audit", Identity(b"a" * 32), "hospital", "st-mary")


def whats(owner: Path) -> list[str]:
    return [read_line(line).what for line in lines(owner / "audit")]


def refusing(owner: Path) -> Change:
    return Change((Written(owner / "studies" / "a.json", b"refused"),), removed=(owner / "paused",))


@pytest.fixture
def owner(tmp_path: Path) -> Path:
    """Return a folder in which a study is approved, the hospital has paused, and the log has two entries."""
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "a.json").write_bytes(b"approved")
    (tmp_path / "paused").write_bytes(b"since then")
    log_of(tmp_path).note("paused")
    return tmp_path


def state(owner: Path) -> tuple[bytes, bool]:
    return (owner / "studies" / "a.json").read_bytes(), (owner / "paused").exists()


def nothing_is_left_over(owner: Path) -> bool:
    return not (owner / "audit" / NAME).exists() and not list(owner.rglob("*.ready"))


def test_an_entry_and_its_change_are_there_when_it_returns(owner: Path) -> None:
    log_of(owner).note("study withdrawn", {"study": "a" * 12}, refusing(owner))
    assert whats(owner)[-1] == "study withdrawn"
    assert state(owner) == (b"refused", False)
    assert (owner / "studies" / "a.json").stat().st_mode & 0o077 == 0
    assert nothing_is_left_over(owner)


def test_a_crash_before_the_entry_leaves_neither(owner: Path) -> None:
    prepare(owner / "audit", 3, refusing(owner))
    assert state(owner) == (b"approved", True)
    log_of(owner).note("service began")  # whoever notes next
    assert whats(owner)[-1] == "service began"
    assert state(owner) == (b"approved", True)
    assert nothing_is_left_over(owner)


@pytest.mark.parametrize("moved", [False, True])
def test_a_crash_after_the_entry_is_finished_before_the_next_one(owner: Path, moved: bool) -> None:
    AuditLog.note(log_of(owner), "study withdrawn", {"study": "a" * 12})
    prepare(owner / "audit", 3, refusing(owner))
    if moved:
        (owner / "studies" / "a.json.ready").replace(owner / "studies" / "a.json")
    log_of(owner).note("service began")
    assert whats(owner)[-2:] == ["study withdrawn", "service began"]
    assert state(owner) == (b"refused", False)
    assert nothing_is_left_over(owner)


def test_a_line_that_a_power_cut_left_half_there_is_no_entry_and_its_change_is_given_up(owner: Path) -> None:
    prepare(owner / "audit", 3, refusing(owner))
    [path] = (owner / "audit").glob("*.jsonl")
    with path.open("ab") as file:
        file.write(b'{"facts":{"study":"aaaa')
    log_of(owner).note("service began")
    assert whats(owner)[-2:] == ["log mended", "service began"]
    assert state(owner) == (b"approved", True)
    assert nothing_is_left_over(owner)


def test_a_folder_that_moved_in_between_is_finished_where_it_is(
    owner: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    log_of(owner).note("study withdrawn", {"study": "a" * 12})
    prepare(owner / "audit", 3, refusing(owner))
    elsewhere = tmp_path_factory.mktemp("moved") / "here"
    owner.rename(elsewhere)
    log_of(elsewhere).note("service began")
    assert state(elsewhere) == (b"refused", False)


@pytest.mark.parametrize("allowed", range(4))
def test_a_disk_that_fills_at_any_write_leaves_log_and_state_together(
    owner: Path, monkeypatch: pytest.MonkeyPatch, allowed: int
) -> None:
    """The writes are: the file, the record of the change, the entry; the fourth is none, and all is done."""
    left, fsync = [allowed], os.fsync

    def counted(file: int) -> None:
        if os.fstat(file).st_mode & 0o040000 == 0:  # no folder, which needs no room
            if not left[0]:
                raise OSError(errno.ENOSPC, "no space")
            left[0] -= 1
        fsync(file)

    monkeypatch.setattr(os, "fsync", counted)
    if allowed < 3:
        with pytest.raises(StorageError, match="the disk is full"):
            log_of(owner).note("study withdrawn", {"study": "a" * 12}, refusing(owner))
    else:
        log_of(owner).note("study withdrawn", {"study": "a" * 12}, refusing(owner))
    monkeypatch.undo()
    withdrawn = "study withdrawn" in whats(owner)
    assert state(owner) == ((b"refused", False) if withdrawn else (b"approved", True))
    assert withdrawn == (allowed == 3)
    assert nothing_is_left_over(owner)


def test_a_damaged_record_of_a_change_is_said_and_nothing_is_noted(owner: Path) -> None:
    (owner / "audit" / NAME).write_bytes(b"{}")
    with pytest.raises(StorageError, match="a change that was cut off is damaged"):
        log_of(owner).note("service began")
    assert whats(owner)[-1] == "paused"
