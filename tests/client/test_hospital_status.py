"""What a hospital writes only for its people does not end its service when it cannot be written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wardround_client.commands.hospital_cli import app
from wardround_client.link.supernode import State, Status
from wardround_client.service.hospital_service import STATUS, HospitalService
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common import storage
from wardround_common.errors import StorageError


def test_a_disk_too_full_for_the_status_does_not_end_the_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    service = HospitalService(HospitalFolder(tmp_path), lambda text, **facts: said.append(text))

    def full(file: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(storage.os, "fsync", full)
    service._report(Status(State.WAITING, 0.0))
    service._report(Status(State.WORKING, 0.0))
    assert len([text for text in said if "the disk is full" in text]) == 1
    monkeypatch.undo()
    service._report(Status(State.SENDING, 0.0))
    assert json.loads((tmp_path / STATUS).read_text())["state"] == "sending"


def test_a_folder_that_is_no_hospitals_is_not_told_to_be_started(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["status", "--state", str(tmp_path)])
    assert isinstance(done.exception, StorageError)
    assert "this hospital has not been set up here" in str(done.exception)
    assert "serve" not in str(done.exception)
