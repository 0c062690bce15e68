"""A copy of a coordinator that serves has all that was acknowledged, and nothing of the process."""

from __future__ import annotations

import os
import resource
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from link import Place, question
from wardround_common.errors import StorageError
from wardround_server.commands.coordinator_cli import app
from wardround_server.link.superlink import SuperLink
from wardround_server.service.coordinator_audit import coordinator_log
from wardround_server.state import backup
from wardround_server.state.backup import back_up
from wardround_server.state.coordinator_folder import CoordinatorFolder


def test_a_copy_of_a_serving_coordinator_has_the_question_that_was_just_put(tmp_path: Path) -> None:
    place = Place(tmp_path / "place")
    with place.coordinator("mercy") as link:
        run = link.new_run()
        [asked] = link.grid(run).push_messages([question(next(iter(link.nodes())), np.zeros(10_000, np.float32))])
        contents = [path.name for path in (link.folder / "objects").iterdir()]
        assert back_up(place.folder / "coordinator", tmp_path / "copy") == 1 + len(contents)
        # What a plain copy of the database's file is without its write-ahead log.
        (tmp_path / "plain").mkdir()
        shutil.copy(place.folder / "coordinator" / "superlink.db", tmp_path / "plain")
        (tmp_path / "plain" / "lock").touch()
    copied, plain = SuperLink(tmp_path / "copy"), SuperLink(tmp_path / "plain")
    try:
        assert copied.running(run)
        assert copied.grid(run)._is_out(asked)
        assert contents  # besides the small ones, which are in the database
        assert all(copied.objects.size(name) for name in contents)
        assert copied.grid(run)._out == {}  # and is asked again: its answer went to the coordinator that went on
        assert list(copied.nodes().values()) == ["mercy"]
        assert not plain.running(run)
    finally:
        copied.stop()
        plain.stop()


def test_a_copy_is_private_whole_and_without_the_marks_of_a_process(tmp_path: Path) -> None:
    folder, copy = tmp_path / "desk", tmp_path / "copy"
    assert CliRunner().invoke(app, ["init", str(folder), "--host", "fl.example.org"]).exit_code == 0
    (folder / "lock").touch()
    (folder / "runs" / "lung").mkdir(parents=True)
    (folder / "runs" / "lung" / "study").write_bytes(b"whole")
    (folder / "runs" / "lung" / ".study.1a2b3c4d").write_bytes(b"half")
    said = CliRunner().invoke(app, ["backup", str(folder), str(copy)])
    assert said.exit_code == 0, said.output
    there = {path.relative_to(copy).as_posix() for path in copy.rglob("*") if path.is_file()}
    assert there == {
        "authority.key",
        "authority.pem",
        "coordinator.toml",
        "identity.pem",
        "owner",
        "runs/lung/study",
        "server.pem",
    }
    assert copy.stat().st_mode & 0o077 == 0
    for name in there:
        assert (copy / name).read_bytes() == (folder / name).read_bytes()
        assert (copy / name).stat().st_mode == (folder / name).stat().st_mode


def test_an_audit_log_that_is_being_written_is_whole_in_the_copy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "desk"
    assert CliRunner().invoke(app, ["init", str(folder), "--host", "fl.example.org"]).exit_code == 0
    log, copy = coordinator_log(CoordinatorFolder(folder)), backup._copy
    log.note("service began")

    def copy_slowly(*paths: Path) -> bool:
        log.note("service began")  # between each two files
        return copy(*paths)

    monkeypatch.setattr(backup, "_copy", copy_slowly)
    back_up(folder, tmp_path / "copy")
    head = coordinator_log(CoordinatorFolder(tmp_path / "copy")).look()
    assert head is not None
    assert head.number > 2


@pytest.mark.parametrize("most", [200, 50_000], ids=["a file", "the database"])
def test_a_copy_for_which_there_is_no_room_leaves_nothing_that_looks_like_one(tmp_path: Path, most: int) -> None:
    folder, copy = tmp_path / "desk", tmp_path / "copy"
    assert CliRunner().invoke(app, ["init", str(folder), "--host", "fl.example.org"]).exit_code == 0
    with closing(sqlite3.connect(folder / "superlink.db")) as database:
        database.execute("CREATE TABLE answers AS SELECT randomblob(200000) AS content")
        database.commit()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, limits[1]))  # no file grows beyond this
    try:
        with pytest.raises(StorageError, match="cannot be"):
            back_up(folder, copy)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name for path in tmp_path.iterdir()} == {"desk"}
    assert back_up(folder, copy) > 1  # the same command, after room was made
    (tmp_path / ".copy2.unfinished").mkdir()  # what a kill left
    (tmp_path / ".copy2.unfinished" / "half").touch()
    back_up(folder, tmp_path / "copy2")
    assert not (tmp_path / "copy2" / "half").exists()
    assert {path.name for path in tmp_path.iterdir()} == {"desk", "copy", "copy2"}


def test_a_copy_is_on_the_disk_when_it_has_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, copy = tmp_path / "desk", tmp_path / "copy"
    assert CliRunner().invoke(app, ["init", str(folder), "--host", "fl.example.org"]).exit_code == 0
    flushed: dict[int, bool] = {}
    real = os.fsync

    def fsync(file: int) -> None:
        real(file)
        flushed[os.fstat(file).st_ino] = copy.exists()

    monkeypatch.setattr(os, "fsync", fsync)
    back_up(folder, copy)
    assert {path for path in (copy, *copy.rglob("*")) if flushed.get(path.stat().st_ino) is not False} == set()
    assert flushed[tmp_path.stat().st_ino]


def test_a_copy_goes_over_nothing_and_not_into_itself(tmp_path: Path) -> None:
    folder = tmp_path / "desk"
    assert CliRunner().invoke(app, ["init", str(folder), "--host", "fl.example.org"]).exit_code == 0
    with pytest.raises(StorageError, match="already"):
        back_up(folder, tmp_path)
    with pytest.raises(StorageError, match="would lie inside the folder"):
        back_up(folder, folder / "copy")
    assert not (folder / "copy").exists()


def test_what_is_no_coordinators_folder_is_not_copied(tmp_path: Path) -> None:
    said = CliRunner().invoke(app, ["backup", str(tmp_path), str(tmp_path.parent / "copy")])
    assert isinstance(said.exception, StorageError)
    assert "not a coordinator's folder" in str(said.exception)
