"""From nothing to an invitation with the commands that people type."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from wardround_client.commands.hospital_cli import app as hospital_app
from wardround_client.hospital.joining import accept
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.errors import MessageError, StorageError
from wardround_common.shell.commands import DECLINED
from wardround_common.study.template import study_text
from wardround_server.commands.coordinator_cli import app as coordinator_app
from wardround_server.state.coordinator_folder import CoordinatorFolder


def coordinator(*arguments: str | Path, answer: str | None = None) -> Result:
    return CliRunner().invoke(coordinator_app, list(map(str, arguments)), input=answer)


def hospital(*arguments: str | Path) -> Result:
    return CliRunner().invoke(hospital_app, list(map(str, arguments)))


def well(result: Result) -> str:
    assert result.exit_code == 0, (result.output, result.exception)
    return result.stdout


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("images").mkdir()
    well(coordinator("init", "desk", "--host", "fl.example.org", "--host", "127.0.0.1"))
    well(hospital("init", "St Mary's", "--data", "images", "--state", "state"))
    return tmp_path / "desk"


def test_init_enrol_and_accept_are_all_that_it_takes(desk: Path) -> None:
    shown = coordinator("enrol", desk, "st-mary-s.request", answer="y\n")
    folder = HospitalFolder(Path("state"))
    assert folder.request().fingerprint in well(shown)
    found = accept(folder, Path("st-mary-s.invitation"))
    assert found.invitation.address == "fl.example.org:9093"
    assert found.invitation.fingerprint in shown.stdout
    [one] = CoordinatorFolder(desk).enrolled()
    assert one.name == "St Mary's"


def test_an_export_of_no_run_says_which_runs_there_are(desk: Path) -> None:
    def refused(folder: Path, run: str) -> StorageError:
        done = coordinator("export", folder, run)
        assert isinstance(done.exception, StorageError)
        return done.exception

    assert refused(desk, "lung").do == "There are none yet."
    (desk / "runs" / "brain").mkdir(parents=True)
    (desk / "archive" / "liver").mkdir(parents=True)
    found = refused(desk, "lung")
    assert (found.what, found.do) == ("there is no run 'lung'", "The runs are: brain, liver.")
    assert "the coordinator has no identity" in refused(desk / "elsewhere", "lung").what


@pytest.mark.parametrize(("answer", "code"), [("n\n", DECLINED), ("\n", DECLINED), ("", 1)])
def test_a_fingerprint_that_was_not_compared_enrols_nobody(desk: Path, answer: str, code: int) -> None:
    done = coordinator("enrol", desk, "st-mary-s.request", answer=answer)
    assert done.exit_code == code  # of no answer at all the shell makes 130
    assert ("Not enrolled: nothing was changed." in done.stderr) == (code == DECLINED)
    assert CoordinatorFolder(desk).enrolled() == []
    assert not Path("st-mary-s.invitation").exists()


def test_yes_asks_nothing_and_the_same_hospital_again_is_asked_nothing_either(desk: Path) -> None:
    well(coordinator("enrol", desk, "st-mary-s.request", "--yes", answer=""))
    before = Path("st-mary-s.invitation").read_bytes()
    Path("st-mary-s.invitation").unlink()
    assert "is already enrolled with these keys" in well(coordinator("enrol", desk, "st-mary-s.request", answer=""))
    assert Path("st-mary-s.invitation").read_bytes() == before


def test_what_a_program_reads_is_one_json_value(desk: Path) -> None:
    granted = json.loads(well(coordinator("enrol", desk, "st-mary-s.request", "--yes", "--json")))
    again = json.loads(well(hospital("init", "St Mary's", "--data", "images", "--state", "state", "--json")))
    assert (granted["fingerprint"], again["new"]) == (again["fingerprint"], False)
    renewed = json.loads(well(coordinator("renew", desk, "--json")))
    assert (renewed["fingerprint"], renewed["warning"]) == (granted["coordinator"], None)
    [before] = json.loads(well(coordinator("hospitals", desk, "--json")))
    assert (before["hospital"], before["fingerprint"], before["revoked"]) == ("St Mary's", again["fingerprint"], None)
    assert json.loads(well(coordinator("revoke", desk, "St Mary's", "--yes", "--json")))["hospital"] == "St Mary's"
    [after] = json.loads(well(coordinator("hospitals", desk, "--json")))
    assert after["revoked"] is not None
    made = json.loads(well(coordinator("init", "second", "--host", "::1", "--port", "443", "--json")))
    assert made["address"] == "[::1]:443"


def test_the_list_of_hospitals_shows_who_came_and_who_went(desk: Path) -> None:
    assert "No hospital is enrolled yet" in well(coordinator("hospitals", desk))
    well(coordinator("enrol", desk, "st-mary-s.request", "--yes"))
    shown = well(coordinator("hospitals", desk))
    assert "St Mary's" in shown
    assert HospitalFolder(Path("state")).request().fingerprint in shown


def test_keys_are_replaced_with_two_commands_and_the_run_again_is_harmless(desk: Path) -> None:
    well(coordinator("enrol", desk, "st-mary-s.request", "--yes"))
    accept(HospitalFolder(Path("state")), Path("st-mary-s.invitation"))
    well(hospital("init", "St Mary's", "--data", "images", "--state", "state", "--new-node-key"))
    shown = well(coordinator("enrol", desk, "st-mary-s.request", answer="y\n"))
    assert "which its identity vouches for" in shown
    accept(HospitalFolder(Path("state")), Path("st-mary-s.invitation"))
    request = HospitalFolder(Path("state")).request()
    assert [one.request for one in CoordinatorFolder(desk).enrolled()] == [request]


def test_a_coordinator_that_moved_gives_each_hospital_its_new_invitation(desk: Path) -> None:
    well(coordinator("enrol", desk, "st-mary-s.request", "--yes"))
    accept(HospitalFolder(Path("state")), Path("st-mary-s.invitation"))
    assert "need their new invitation" not in well(coordinator("renew", desk))
    assert "send each its own:\n  St Mary's: " in well(coordinator("renew", desk, "--host", "new.example.org"))
    renewed = json.loads(well(coordinator("renew", desk, "--new-authority", "--json")))
    [new] = renewed["new_invitations"]
    accepted = accept(HospitalFolder(Path("state")), Path(new["file"]))
    assert accepted.invitation.address == "new.example.org:9093"
    assert accepted.new


def test_a_file_of_somebody_elses_is_not_overwritten(desk: Path) -> None:
    Path("mine").write_text("my own notes")
    result = coordinator("enrol", desk, "st-mary-s.request", "--yes", "--out", "mine")
    assert isinstance(result.exception, StorageError)
    well(hospital("init", "St Luke", "--data", "images", "--state", "other"))
    result = hospital("init", "St Mary's", "--data", "images", "--state", "state", "--out", "st-luke.request")
    assert isinstance(result.exception, StorageError)
    assert Path("mine").read_text() == "my own notes"


def test_a_coordinator_needs_an_address(tmp_path: Path) -> None:
    result = coordinator("init", tmp_path / "desk")
    assert result.exit_code == 2
    assert "--host" in result.stderr
    assert isinstance(coordinator("init", tmp_path / "desk", "--host", "a b").exception, MessageError)
    assert not (tmp_path / "desk").exists()


@pytest.mark.parametrize("command", [["hospitals"], ["renew"], ["revoke", "St Mary"], ["enrol", "a.request"]])
def test_what_is_no_coordinators_folder_is_said(tmp_path: Path, desk: Path, command: list[str]) -> None:
    Path("st-mary-s.request").rename("a.request")
    result = coordinator(command[0], tmp_path / "nothing", *command[1:])
    assert isinstance(result.exception, StorageError)
    assert result.exception.what == "this is not a coordinator's folder"
    assert f"wardround coordinator init {tmp_path / 'nothing'} --host NAME" in result.exception.do


@pytest.mark.parametrize("command", [["status"], ["run"], ["stop"], ["resume"]])
def test_a_folder_that_is_no_coordinators_is_not_told_to_be_started(tmp_path: Path, command: list[str]) -> None:
    (tmp_path / "nope").mkdir()
    (tmp_path / "s.toml").write_text(study_text("s", own={"task": {"classes": ["a", "b"]}}))
    rest = {"run": [str(tmp_path / "s.toml")], "stop": ["s"], "resume": ["s"]}.get(command[0], [])
    done = coordinator(*command, tmp_path / "nope", *rest)
    assert isinstance(done.exception, StorageError)
    assert "this is not a coordinator's folder" in str(done.exception)
    assert "serve" not in str(done.exception)


def test_a_coordinator_that_does_not_serve_is_told_how_to_start(desk: Path) -> None:
    done = coordinator("status", desk)
    assert f"wardround coordinator serve {desk}" in str(done.exception)


def test_revoking_asks_and_the_answer_no_changes_nothing(desk: Path) -> None:
    well(coordinator("enrol", desk, "st-mary-s.request", "--yes"))
    refused = coordinator("revoke", desk, "St Mary's", answer="n\n")
    assert refused.exit_code != 0
    assert "This cannot be undone" in refused.output
    assert "nothing was changed" in refused.output
    [before] = json.loads(well(coordinator("hospitals", desk, "--json")))
    assert before["revoked"] is None
    well(coordinator("revoke", desk, "St Mary's", answer="y\n"))
    [after] = json.loads(well(coordinator("hospitals", desk, "--json")))
    assert after["revoked"] is not None
