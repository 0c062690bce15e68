"""A hospital says what it does in each study since when, and does not call itself well when it is not."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from at_work import at_work
from consortium import secure_study
from examples import study
from link import Place, until
from wardround_client.commands.hospital_cli import app
from wardround_client.service.stages import STAGES, Stages, study_stages
from wardround_client.service.status import certificate_warning
from wardround_client.service.ward import Work
from wardround_client.state.approvals import Approvals
from wardround_client.state.run_outcomes import keep_outcomes, outcomes
from wardround_common.errors import ApprovalError, StorageError
from wardround_common.messages.run_header import RUNS_HEADER, write_runs
from wardround_common.storage import alone_in, somebody_in


def words(folder: Path) -> list[tuple[str, int | None]]:
    return [(one.stage, one.round) for one in study_stages(folder)]


def test_a_study_goes_from_proposed_over_approved_scanning_training_and_sending_to_waiting(tmp_path: Path) -> None:
    of, approvals, stages = secure_study(), Approvals(tmp_path / "studies"), Stages(tmp_path)
    stages.begin()
    approvals.propose(of)
    assert words(tmp_path) == [("proposed", None)]
    approvals.decide(of, "approved")
    assert words(tmp_path) == [("approved", None)]
    seen = []
    for kind, number in (("prepare", None), ("train", 3), ("confirm", 3), ("evaluate", 3)):
        stages.work(Work(of.study.name, kind, number, of.digest()))
        seen += words(tmp_path)
        stages.work(None)
        seen += words(tmp_path)
        stages.sent()
        seen += words(tmp_path)
    assert [stage for stage, _ in seen][:6] == ["scanning", "sending", "waiting", "training", "sending", "waiting"]
    assert seen[3:6] == [("training", 3), ("sending", 3), ("waiting", 3)]
    assert {stage for stage, _ in seen} == {"scanning", "training", "evaluating", "opening a sum", "sending", "waiting"}
    approvals.decide(of, "refused")
    assert [stage for stage, _ in words(tmp_path)] == ["refused"]


def test_a_study_is_done_when_its_last_model_was_judged_and_not_waiting_in_a_round_that_it_has_not(
    tmp_path: Path,
) -> None:
    of, approvals, stages = secure_study(), Approvals(tmp_path / "studies"), Stages(tmp_path)
    approvals.propose(of)
    approvals.decide(of, "approved")
    stages.work(Work(of.study.name, "evaluate", of.test_round, of.digest()))
    assert words(tmp_path) == [("evaluating", None)]
    stages.work(None)
    stages.sent()
    assert words(tmp_path) == [("done", None)]


def test_a_study_says_how_its_run_ended_as_the_coordinator_last_told(tmp_path: Path) -> None:
    of, approvals, stages = secure_study(), Approvals(tmp_path / "studies"), Stages(tmp_path)
    approvals.propose(of)
    approvals.decide(of, "approved")
    stages.work(Work(of.study.name, "train", 1, of.digest()))
    stages.work(None)
    stages.sent()
    other = "0" * 64
    for stage, word in (
        ("training", ("waiting", 1)),
        ("failed", ("its run failed", None)),
        ("training", ("waiting", 1)),
    ):
        keep_outcomes(tmp_path, write_runs({of.digest(): stage, other: "done"}))
        assert words(tmp_path) == [word]
    keep_outcomes(tmp_path, {RUNS_HEADER: f"{of.digest()}=<b>,nonsense,{'f' * 64}=done"})
    assert words(tmp_path) == [("waiting", 1)]
    assert other not in (tmp_path / "runs.json").read_text()  # a study that was not proposed here


def test_a_proposal_whose_run_was_stopped_says_so_and_is_not_the_one_that_its_name_means(tmp_path: Path) -> None:
    before, after = secure_study(min_hospitals=2), secure_study(min_hospitals=3)
    approvals, waits = Approvals(tmp_path / "studies"), ("waiting", "against-policy")
    for of in (before, after):
        approvals.propose(of)
    with pytest.raises(ApprovalError, match="2 proposed studies are meant"):
        approvals.find(before.study.name, waits, outcomes(tmp_path))
    keep_outcomes(tmp_path, write_runs({before.digest(): "stopped", after.digest(): "approval"}))
    assert approvals.find(before.study.name, waits, outcomes(tmp_path)).study == after
    assert approvals.waiting(outcomes(tmp_path)).study == after  # 'approve' without a name
    with pytest.raises(ApprovalError, match=f"2 studies wait for a decision: {before.study.name} "):
        approvals.waiting()
    assert approvals.find(before.digest()[:8], waits, outcomes(tmp_path)).study == before
    unread = CliRunner().invoke(app, ["approve", "--yes", "--state", str(tmp_path)])
    assert (unread.exit_code, "name the study that was read already" in unread.output) == (2, True)
    said = {one.digest: one.stage for one in study_stages(tmp_path)}
    assert said == {before.digest(): "its run was stopped", after.digest(): "proposed"}
    (tmp_path / "hospital.toml").touch()
    listed = CliRunner().invoke(app, ["studies", "--state", str(tmp_path)]).stdout.splitlines()
    assert [line.endswith("(its run was stopped)") for line in sorted(listed, key=lambda line: "(" in line)] == [
        False,
        True,
    ]


def test_two_studies_stand_apart_and_what_a_killed_process_did_is_over(tmp_path: Path) -> None:
    one, two = secure_study(), study(study={"name": "two"})
    approvals, stages = Approvals(tmp_path / "studies"), Stages(tmp_path)
    for of in (one, two):
        approvals.propose(of)
        approvals.decide(of, "approved")
    stages.work(Work(one.study.name, "train", 1, one.digest()))
    assert sorted(words(tmp_path), key=str) == [("approved", None), ("training", 1)]
    again = Stages(tmp_path)
    again.begin()
    assert sorted(words(tmp_path), key=str) == [("approved", None), ("waiting", 1)]
    (tmp_path / STAGES).write_text("{")
    assert words(tmp_path) == [("approved", None), ("approved", None)]


def test_status_names_the_stage_of_each_study_for_people_and_for_programs(tmp_path: Path) -> None:
    of, stages = secure_study(), Stages(tmp_path)
    Approvals(tmp_path / "studies").propose(of)
    Approvals(tmp_path / "studies").decide(of, "approved")
    stages.work(Work(of.study.name, "train", 2, of.digest()))
    soon = datetime.now(UTC) + timedelta(days=20)
    with at_work(tmp_path, "working", certificate_until=soon) as service:
        service._stages = stages
        said = CliRunner().invoke(app, ["status", "--state", str(tmp_path)]).stdout
        read = json.loads(CliRunner().invoke(app, ["status", "--state", str(tmp_path), "--json"]).stdout)
    assert f"test {of.digest()[:12]}: training, round 2 since" in said
    assert "The coordinator's certificate expires on" in said
    assert [(one["stage"], one["round"]) for one in read["studies"]] == [("training", 2)]
    assert read["state"] == "working"


def test_the_coordinators_certificate_is_warned_of_a_month_ahead_and_not_before() -> None:
    now = datetime.now(UTC)
    assert certificate_warning(None) == certificate_warning(now + timedelta(days=32)) == ""
    assert "expires on" in certificate_warning(now + timedelta(days=29))
    assert "expired on" in certificate_warning(now - timedelta(days=1))
    assert "coordinator renew" in certificate_warning(now)


def test_the_link_knows_until_when_the_certificate_is_valid_that_it_was_shown(tmp_path: Path) -> None:
    place = Place(tmp_path)
    with place.coordinator("mercy") as link, place.hospital("mercy") as hospital:
        until(lambda: link.here() and hospital.certificate_until)
        shown = hospital.certificate_until
    assert shown is not None
    assert timedelta(hours=23) < shown - datetime.now(UTC) < timedelta(hours=25)  # the test's is for a day


def test_a_folder_is_known_to_be_worked_in_without_keeping_anybody_out(tmp_path: Path) -> None:
    assert not somebody_in(tmp_path / "never")
    with alone_in(tmp_path):
        assert somebody_in(tmp_path)
        with pytest.raises(StorageError, match="another process"), alone_in(tmp_path):
            pass
    assert not somebody_in(tmp_path)
    with alone_in(tmp_path):
        pass


def test_a_look_at_the_status_imports_neither_torch_nor_flower() -> None:
    script = (
        "import sys, wardround_client.service.stages, wardround_client.service.status\n"
        "import wardround_client.commands.hospital_cli\n"
        "sys.exit(', '.join({'torch', 'flwr', 'monai', 'opacus'} & set(sys.modules)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_study_whose_sum_was_opened_beside_anothers_training_is_not_sending_for_hours(tmp_path: Path) -> None:
    one, two = secure_study(), study(study={"name": "two"})
    approvals, stages = Approvals(tmp_path / "studies"), Stages(tmp_path)
    for of in (one, two):
        approvals.propose(of)
        approvals.decide(of, "approved")
    stages.work(Work(one.study.name, "train", 3, one.digest()))

    def open_beside() -> None:
        stages.work(Work(two.study.name, "open", 2, two.digest()))
        stages.work(None)

    other = threading.Thread(target=open_beside)
    other.start()
    other.join()
    assert sorted(words(tmp_path), key=str) == [("training", 3), ("waiting", 2)]
    stages.work(None)
    assert sorted(words(tmp_path), key=str) == [("sending", 3), ("waiting", 2)]
