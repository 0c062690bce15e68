"""An older program meets a folder of a newer one: it says so, advises nothing that loses data, and changes nothing."""

from __future__ import annotations

import hashlib
import json
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from wardround_client.commands.hospital_cli import app as hospital_app
from wardround_client.hospital.joining import begin as set_up
from wardround_client.link.mailbox import Mailbox
from wardround_client.service.hospital_service import HospitalService
from wardround_client.spending.ledger import store
from wardround_client.state import approvals
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.errors import StorageError
from wardround_common.messages.rounds import SUMS_FORM
from wardround_common.record_form import FORM, NAME, check_form, state_form
from wardround_server.commands.coordinator_cli import app as coordinator_app
from wardround_server.rounds import checkpoint
from wardround_server.service.enrolment_desk import begin
from wardround_server.service.serving import Service
from wardround_server.state.coordinator_folder import CoordinatorFolder
from wardround_server.state.standings import Standings

NOW = datetime.now(UTC)
PINNED = (2, "df34e7720184e94f")
"""The form, and a digest of what an older program reads strictly. If only the digest has changed, an older program
calls the record damaged: raise FORM, and pin both."""


def newer(folder: Path) -> None:
    (folder / NAME).write_text(json.dumps({"form": FORM + 1, "version": "9.1.0", "since": "then"}))


def files(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "lock"}


def says_what_to_do(said: str) -> bool:
    words = ("newer version of Wardround, 9.1.0", "Install that version again", "delete, restore and close nothing")
    return all(word in " ".join(said.split()) for word in words) and "damaged:" not in said.replace("is damaged:", "")


@pytest.fixture
def hospital(tmp_path: Path) -> HospitalFolder:
    (tmp_path / "images").mkdir()
    folder = HospitalFolder(tmp_path / "H")
    set_up(folder, "mercy", tmp_path / "images", None, NOW)
    return folder


@pytest.fixture
def coordinator(tmp_path: Path) -> CoordinatorFolder:
    folder = CoordinatorFolder(tmp_path / "C")
    begin(folder, ["fl.example.org"], 9093, NOW)
    return folder


def test_a_folder_states_the_newest_form_that_was_written_in_it(tmp_path: Path) -> None:
    check_form(tmp_path)  # of before: it states none
    (tmp_path / "file").touch()
    check_form(tmp_path / "file")  # no folder: whoever uses it says so
    check_form(tmp_path / "nowhere")
    state_form(tmp_path)
    written = (tmp_path / NAME).read_bytes()
    assert json.loads(written)["form"] == FORM
    state_form(tmp_path)
    assert (tmp_path / NAME).read_bytes() == written
    newer(tmp_path)
    with pytest.raises(StorageError, match=r"newer version of Wardround, 9\.1\.0"):
        state_form(tmp_path)
    assert json.loads((tmp_path / NAME).read_bytes())["form"] == FORM + 1  # never lowered


@pytest.mark.parametrize("content", ["", "{}", '{"form": "2", "version": "9"}', "\ud800"])
def test_a_statement_that_cannot_be_read_is_no_leave_to_write(tmp_path: Path, content: str) -> None:
    (tmp_path / NAME).write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(StorageError, match="cannot be read"):
        check_form(tmp_path)


def test_an_older_hospital_service_changes_nothing_in_the_folder(hospital: HospitalFolder) -> None:
    newer(hospital.path)
    before = files(hospital.path)
    with pytest.raises(StorageError) as refused:
        HospitalService(HospitalFolder(hospital.path), lambda *_, **__: None).serve(threading.Event())
    assert says_what_to_do(str(refused.value))
    assert files(hospital.path) == before


def test_an_older_coordinator_service_changes_nothing_in_the_folder(coordinator: CoordinatorFolder) -> None:
    newer(coordinator.path)
    before = files(coordinator.path)
    with pytest.raises(StorageError) as refused:
        Service(CoordinatorFolder(coordinator.path), lambda *_, **__: None)
    assert says_what_to_do(str(refused.value))
    assert files(coordinator.path) == before


@pytest.mark.parametrize("command", ["status", "studies", "approve", "refuse", "budget", "close"])
def test_an_older_hospitals_commands_say_what_to_do(hospital: HospitalFolder, command: str) -> None:
    newer(hospital.path)
    (hospital.path / "studies").mkdir()
    (hospital.path / "studies" / f"{'a' * 64}.json").write_text('{"decision": "approved", "a": "newer record"}')
    before = files(hospital.path)
    named = ["a" * 12] if command in ("refuse", "close") else []
    done = CliRunner().invoke(hospital_app, [command, *named, "--state", str(hospital.path)])
    assert isinstance(done.exception, StorageError), done.output
    assert says_what_to_do(str(done.exception))
    assert files(hospital.path) == before


@pytest.mark.parametrize("command", ["status", "hospitals", "roster", "resume"])
def test_an_older_coordinators_commands_say_what_to_do(coordinator: CoordinatorFolder, command: str) -> None:
    newer(coordinator.path)
    named = ["lung"] if command == "resume" else []
    done = CliRunner().invoke(coordinator_app, [command, str(coordinator.path), *named])
    assert isinstance(done.exception, StorageError), done.output
    assert says_what_to_do(str(done.exception))


def test_what_an_older_program_reads_strictly_is_pinned_with_its_form(tmp_path: Path) -> None:
    Mailbox(tmp_path).put("a", [b"first", hashlib.sha256(b"content").hexdigest().encode(), b"content"])
    strict: list[Any] = [
        Standings.model_json_schema(),
        approvals._Decided.model_json_schema(),
        store._SCHEMA,
        checkpoint.FORMAT,
        SUMS_FORM,
        (tmp_path / "a").read_bytes().hex(),
    ]
    pinned = hashlib.sha256(json.dumps(strict, sort_keys=True).encode()).hexdigest()[:16]
    assert (FORM, pinned) == PINNED
