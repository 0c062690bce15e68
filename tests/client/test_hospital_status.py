"""What a hospital writes only for its people does not end its service when it cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from at_work import set_up
from wardround_client.commands.hospital_cli import app
from wardround_client.link.supernode import State, Status
from wardround_client.service.hospital_service import HospitalService
from wardround_common import storage
from wardround_common.errors import StorageError


def test_a_disk_too_full_for_the_status_does_not_end_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = HospitalService(set_up(tmp_path), lambda text, **facts: None)

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    for state in (State.WAITING, State.WORKING, State.SENDING):
        service._report(Status(state, 0.0))
        assert service.status().state == str(state)


def test_a_folder_that_is_no_hospitals_is_not_told_to_be_started(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["status", "--state", str(tmp_path)])
    assert isinstance(done.exception, StorageError)
    assert "this hospital has not been set up here" in str(done.exception)
    assert "serve" not in str(done.exception)
