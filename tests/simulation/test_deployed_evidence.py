"""The evidence of a model that hospitals made: approvals and statements signed with the keys of the study's roster."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

import wardround
from consortium import identity
from examples import DP
from wardround_common.documents.epsilon_statement import COMPOSED, EpsilonStatement, Spent
from wardround_common.documents.exported_run import APPROVALS, write_approvals
from wardround_common.errors import DataError, MessageError, StorageError
from wardround_common.results import ALL
from wardround_common.study.file import Study
from wardround_server.rounds import approval
from wardround_server.service.export import export_run
from wardround_server.service.runs import Runs
from wardround_simulation.evidence.cli import app
from wardround_simulation.evidence.finished_run import read_run
from wardround_simulation.evidence.make import Wanted, make_evidence
from wardround_simulation.evidence.record import Evidence
from wardround_simulation.evidence.verify import verify
from wardround_simulation.workers import InThisProcess
from wards import Wards, rostered


def private() -> Study:
    tables = rostered(rounds=1).tables(nulls=False)
    return Study.model_validate(tables | {"privacy": DP})


def made(run: Path) -> Evidence:
    wanted = Wanted(None, shadows=4, canaries=100, iterations=2)
    return make_evidence(read_run(run), wanted, InThisProcess(), lambda attack, done, of: None)


def statement(folder: Path, of: Study, hospital: str, epsilon: float = 3.25) -> Path:
    spent = Spent(of.digest(), 1e-3, 1, 1, epsilon, COMPOSED, f"7:{'a' * 64}:{'b' * 128}")
    file = folder / f"{hospital}.statement"
    file.write_bytes(EpsilonStatement.make(hospital, spent, identity(hospital), datetime.now(UTC)).content())
    return file


@pytest.fixture(scope="module")
def pack(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what a coordinator exported of a finished run with two of three statements, with its pack."""
    folder = tmp_path_factory.mktemp("deployed")
    wards, of = Wards(folder / "wards"), private()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(approval, "ASK_AGAIN_S", 0.01)
        runs = Runs(folder / "runs", lambda run: wards)
        runs.begin(of)
        runs.wait()
    assert runs.standings()[0].stage == "done", runs.standings()[0].said
    export_run(folder / "runs" / "test", folder / "out", [statement(folder, of, name) for name in "ab"])
    made(folder / "out")
    return folder / "out"


@pytest.fixture
def copied(pack: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(pack, tmp_path / "run"))


def test_the_pack_of_a_deployed_run_has_the_roster_the_approvals_the_statements_and_the_figures(pack: Path) -> None:
    found, of = verify(pack), private()
    assert (found.approvals, found.statements) == (3, 2)
    evidence = found.evidence
    assert evidence.deployed
    assert evidence.study_digest == of.digest()
    assert evidence.roster == of.roster
    assert evidence.metrics[ALL]["auroc"].value is not None
    assert {hospital.patients for hospital in evidence.hospitals} == {None}  # nobody told the coordinator
    assert (evidence.attacks.canaries, evidence.attacks.membership) == (None, None)
    said = " ".join(evidence.attacks.not_done)
    for attack in ("Canary audit", "Membership inference", "Gradient inversion of a noised update"):
        assert attack in said
    files = {file.path for file in evidence.files}
    assert {"../approvals.json", "../model.safetensors", "../study.toml"} <= files


def test_its_page_says_who_approved_and_what_they_state_and_speaks_of_no_simulation(pack: Path) -> None:
    page = (pack / "evidence" / "evidence.html").read_text()
    assert "Who approved the study" in page
    assert "3.250" in page
    assert "A line means that the hospital sent no statement." in page
    assert "simulation" not in page.split("The study in plain words")[0]
    assert "anybody could have" not in page
    assert all(one.fingerprint in page for one in private().roster)


def test_evidence_and_model_of_a_run_in_a_coordinators_folder_say_how_it_is_exported(tmp_path: Path) -> None:
    run = tmp_path / "C" / "runs" / "second"
    (run / "approvals").mkdir(parents=True)
    (run / "run.json").touch()
    for use in (read_run, wardround.export):
        with pytest.raises(StorageError, match=rf"coordinator export {tmp_path}/C second --out DIR"):
            use(run)


def test_verify_says_by_which_keys_it_was_signed(pack: Path) -> None:
    done = CliRunner().invoke(app, ["verify", str(pack)])
    assert done.exit_code == 0, done.output
    assert "3 hospitals approved the study, and 2 state what it cost" in done.stdout
    assert all(one.fingerprint in done.stdout for one in private().roster)


def test_approvals_that_were_forged_or_are_missing_are_found_when_it_is_made_and_when_it_is_verified(
    copied: Path,
) -> None:
    file, of = copied / APPROVALS, private()
    facts = json.loads(file.read_text())
    facts["approvals"][0]["signature"] = facts["approvals"][1]["signature"]
    file.write_text(json.dumps(facts))
    with pytest.raises(MessageError, match="the approval of a is not signed with its key"):
        read_run(copied)
    with pytest.raises(StorageError, match="its SHA-256 differs"):
        verify(copied)
    file.write_bytes(write_approvals(of, []))
    with pytest.raises(StorageError, match="a hospital took part whose approval is not here"):
        read_run(copied)


def test_a_statement_that_another_hospital_signed_is_found(copied: Path) -> None:
    mine, theirs = (copied / "statements" / f"hospital-{place}.statement" for place in (1, 2))
    facts = json.loads(theirs.read_text())
    mine.write_text(json.dumps(facts | {"hospital": "a"}))
    with pytest.raises(MessageError):
        made(copied)
    mine.write_bytes(theirs.read_bytes())  # the same twice: one statement of b, and none of a
    assert [hospital.statement is None for hospital in made(copied).hospitals] == [True, False, True]


def test_a_pack_with_another_roster_than_the_studys_is_found(copied: Path) -> None:
    path = copied / "evidence" / "evidence.json"
    facts = json.loads(path.read_text())
    facts["roster"] = facts["roster"][:2]
    path.write_text(json.dumps(facts))
    with pytest.raises(StorageError, match="not that of the study"):
        verify(copied)


def test_the_images_of_a_deployed_run_are_asked_of_nobody(copied: Path) -> None:
    with pytest.raises(DataError, match="images are at the hospitals"):
        make_evidence(read_run(copied), Wanted((), 0), InThisProcess(), lambda attack, done, of: None)
