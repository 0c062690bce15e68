"""One damaged proposal at a hospital is named, and mended when it comes again; the others are not in its way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from at_work import set_up
from consortium import secure_study
from wardround_client.commands.hospital_cli import app
from wardround_client.service.stages import study_stages
from wardround_client.state.approvals import Approvals
from wardround_common.errors import ApprovalError, StorageError

ONE, TWO = secure_study(min_hospitals=2), secure_study(min_hospitals=3)


@pytest.fixture
def approvals(tmp_path: Path) -> Approvals:
    made = Approvals(tmp_path / "studies")
    for study in (ONE, TWO):
        made.propose(study)
        made.decide(study, "approved")
    return made


def damage(approvals: Approvals, which: str) -> Path:
    path = approvals.folder / f"{ONE.digest()}.{which}"
    path.write_bytes(b"{")
    return path


@pytest.mark.parametrize("which", ["json", "study"])
def test_the_other_proposals_are_listed_found_and_answered(approvals: Approvals, which: str) -> None:
    damage(approvals, which)
    assert [proposal.study for proposal in approvals.all()] == [TWO]
    assert list(approvals.damaged()) == [ONE.digest()]
    assert approvals.find(TWO.study.name).study == TWO  # of the same name as the damaged one
    assert approvals.approved(TWO.digest()) == TWO
    assert approvals.propose(secure_study(largest_weight=7)).decision == "waiting"
    for refused in (lambda: approvals.approved(ONE.digest()), lambda: approvals.find(ONE.digest()[:8])):
        with pytest.raises(StorageError, match=f"proposed study {ONE.digest()[:12]} is damaged"):
            refused()


def test_status_and_studies_tell_of_the_others_and_name_the_damage(approvals: Approvals) -> None:
    damage(approvals, "json")
    state = approvals.folder.parent
    assert [stage.digest for stage in study_stages(state)] == [TWO.digest()]
    set_up(state)
    for command in ("status", "studies"):
        said = CliRunner().invoke(app, [command, "--state", str(state)])
        assert said.exit_code == 0, said.output
        assert TWO.digest()[:12] in said.output
        assert f"proposed study {ONE.digest()[:12]} is damaged" in said.output.replace("\n", " ")
    said = CliRunner().invoke(app, ["status", "--state", str(state), "--json"])
    assert len(json.loads(said.stdout)["damaged"]) == 1


def test_a_decision_that_is_lost_is_taken_anew(approvals: Approvals) -> None:
    record = damage(approvals, "json")
    assert approvals.propose(ONE).decision == "waiting"
    assert approvals.damaged() == {}
    assert record.with_suffix(".json.damaged").read_bytes() == b"{"
    with pytest.raises(ApprovalError):
        approvals.approved(ONE.digest())


@pytest.mark.parametrize("how", ["damaged", "of another study", "removed"])
def test_a_text_that_is_lost_comes_with_the_proposal_and_the_decision_stays(approvals: Approvals, how: str) -> None:
    path = damage(approvals, "study")
    if how == "removed":
        path.unlink()
    elif how == "of another study":
        path.write_bytes(TWO.canonical())
    assert list(approvals.damaged()) == [ONE.digest()]
    assert approvals.propose(ONE).decision == "approved"
    assert approvals.approved(ONE.digest()) == ONE


def test_a_record_without_a_time_zone_is_damage_and_not_a_crash(approvals: Approvals) -> None:
    record = approvals.folder / f"{ONE.digest()}.json"
    record.write_text('{"decision": "approved", "since": "2026-11-27T12:00:00"}')
    assert [proposal.study for proposal in approvals.all()] == [TWO]


def test_a_proposal_that_cannot_be_read_now_is_not_set_aside(
    approvals: Approvals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(path: Path) -> bytes:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refused)
        with pytest.raises(StorageError, match="cannot be read"):
            approvals.propose(ONE)
        assert len(approvals.damaged()) == 2
    assert approvals.propose(ONE).decision == "approved"
