"""A folder that was restored as another user: its files are not missing and not damaged, and nobody is told so."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wardround_client.commands.hospital_cli import app as hospital
from wardround_client.hospital.joining import begin
from wardround_client.state.approvals import Approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.errors import StorageError
from wardround_common.folder_owner import check_readable
from wardround_server.commands.coordinator_cli import app as coordinator
from wardround_server.service.enrolment_desk import begin as begin_coordinator
from wardround_server.state.coordinator_folder import CoordinatorFolder


class Capabilities:
    """What this thread may do beyond its user (capabilities(7)): here root can be kept to what modes allow."""

    VERSION = 0x20080522
    READ_EVERYTHING = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH

    def __init__(self) -> None:
        self.system = ctypes.CDLL(None, use_errno=True)
        self.head = (ctypes.c_uint32 * 2)(self.VERSION, 0)
        self.sets = (ctypes.c_uint32 * 6)()  # effective, permitted, inheritable; the first 32, then the others
        self.call("capget")

    def call(self, name: str) -> None:
        if getattr(self.system, name)(self.head, self.sets):
            raise OSError(ctypes.get_errno(), name)


@contextmanager
def as_its_modes_say() -> Iterator[None]:
    """Read what a user may whose files these are not, also where the tests run as root."""
    held = Capabilities()
    effective = held.sets[0]
    held.sets[0] = effective & ~held.READ_EVERYTHING
    held.call("capset")
    try:
        yield
    finally:
        held.sets[0] = effective
        held.call("capset")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    (tmp_path / "images").mkdir()
    made = HospitalFolder(tmp_path / "state")
    begin(made, "a", tmp_path / "images", None, datetime.now(UTC))
    (made.path / "studies").mkdir()
    return made.path


def close(*paths: Path) -> None:
    for path in paths:
        path.chmod(0)


def test_a_service_names_a_file_that_it_may_not_read_and_says_that_nothing_is_damaged(state: Path) -> None:
    check_readable(state)
    close(state / "identity.pem")
    with as_its_modes_say():
        with pytest.raises(StorageError, match=r"may not read identity\.pem; nothing is damaged"):
            check_readable(state)
        said = CliRunner().invoke(hospital, ["serve", "--state", str(state)])
        assert isinstance(said.exception, StorageError)
        assert f"chown -R {os.geteuid()} '{state}'" in str(said.exception)
    close(state / "node.pem", state / "studies")
    with as_its_modes_say(), pytest.raises(StorageError, match="and 2 more"):
        check_readable(state)
    (state / "studies").chmod(0o700)


def test_a_coordinators_service_says_the_same(tmp_path: Path) -> None:
    folder = CoordinatorFolder(tmp_path / "C")
    begin_coordinator(folder, ["127.0.0.1"], 9093, datetime.now(UTC))
    close(folder.path / "identity.pem")
    with as_its_modes_say():
        said = CliRunner().invoke(coordinator, ["serve", str(folder.path)])
    assert isinstance(said.exception, StorageError)
    assert "nothing is damaged" in str(said.exception)


def test_a_key_that_this_user_may_not_read_is_not_called_damaged(state: Path) -> None:
    close(state / "identity.pem")
    with as_its_modes_say(), pytest.raises(StorageError) as refused:
        HospitalFolder(state).identity()
    assert "may not read" in str(refused.value)
    assert "backup" not in str(refused.value)


def test_studies_that_cannot_be_listed_are_not_taken_for_none(state: Path) -> None:
    assert Approvals(state / "nowhere").all() == []
    close(state / "studies")
    with as_its_modes_say(), pytest.raises(StorageError, match="the folder of the studies cannot be read"):
        Approvals(state / "studies").all()
    (state / "studies").chmod(0o700)


def test_a_folder_that_is_whole_and_its_sockets_and_links_are_no_fault(state: Path) -> None:
    (state / "to nowhere").symlink_to("nowhere")
    (state / "studies" / "deep").mkdir()
    check_readable(state)
    check_readable(state / "no such folder")
