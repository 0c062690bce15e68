"""Hospitals that serve go on from a released model: whom its training cost what, and who cannot say so."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from test_run import model_numbers, phantom_study
from typer.testing import CliRunner

from examples import DP
from served import Served, approve, listing, set_up
from wardround_client.commands.hospital_cli import app
from wardround_client.service.ward import Ward, plan
from wardround_client.spending.ledger.store import open_ledger
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.errors import PrivacyError, StudyError, WardroundError
from wardround_common.results import Results
from wardround_common.results.model_folder import read_model_folder
from wardround_common.results.released import read_released
from wardround_common.study.file import Study
from wardround_server.rounds import approval
from wardround_server.rounds.exported_model import export_model
from wardround_server.service.runs import Runs, keep_start

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]
A, B, C = "hospital-a", "hospital-b", "hospital-c"


def draft(name: str, **sections: dict[str, Any]) -> Study:
    training = {"rounds": 1} | sections.pop("training", {})
    return phantom_study(**{"study": {"name": name}, "privacy": DP} | sections, training=training)


def started(of: Study, model: Path) -> Study:
    tables = of.tables(nulls=False)
    tables["model"]["start"] = read_released(model).start.model_dump(mode="json", exclude_none=True)
    return Study.model_validate(tables)


def run(folder: Path, of: Study, wards: dict[str, Ward]) -> Path:
    """Run a study at a coordinator that keeps its runs in a folder; return the run's folder."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(approval, "ASK_AGAIN_S", 0.01)
        runs = Runs(folder / "runs", lambda run: Served(wards))
        runs.begin(of)
        runs.wait()
    (standing,) = [one for one in runs.standings() if one.name == of.study.name]
    assert standing.stage == "done", standing.said
    return folder / "runs" / of.study.name


@pytest.fixture(scope="module")
def place(hospitals: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a folder in which two hospitals that serve trained a private model, which was exported."""
    folder = tmp_path_factory.mktemp("served")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        wards = {name: set_up(folder / name, name, hospitals / name) for name in (A, B)}
        of = listing(draft("first"), wards)
        for ward in wards.values():
            approve(ward, of)
        export_model(run(folder, of, wards), of, folder / "model")
        yield folder


@pytest.fixture(scope="module")
def second(place: Path, hospitals: Path) -> tuple[Study, dict[str, list[str]]]:
    """Let one of them and a new one go on from that model; return the study, and what each is told that it costs."""
    wards = {A: Ward(set_up(place / A, A, hospitals / A).folder), C: set_up(place / C, C, hospitals / C)}
    of = listing(started(draft("second"), place / "model"), wards)
    with pytest.raises(StudyError, match="which is not here") as caught:
        run(place, of, wards)
    assert "--start MODEL_FOLDER" in str(caught.value)
    told = {name: list(approve(ward, of).uses()) for name, ward in wards.items()}
    assert of.model.start
    keep_start(place, of.model.start, read_released(place / "model").content)
    run(place, of, wards)
    return of, told


def test_who_trained_the_model_is_told_what_both_cost_and_who_is_new_starts_at_zero(
    place: Path, second: tuple[Study, dict[str, list[str]]]
) -> None:
    of, told = second
    start = of.model.start
    assert start is not None
    assert start.trained[0].hospitals == (A, B)
    said = " ".join(told[A])
    assert "It starts from the model 'first', whose training cost" in said
    assert "with all rounds of this study it will be" in said
    assert "cost none of this hospital's" in " ".join(told[C])
    ledgers = {name: open_ledger(place / name, HospitalFolder(place / name).identity()) for name in (A, C)}
    studies = {name: {study for study, _ in ledger.books.charged} for name, ledger in ledgers.items()}
    assert studies == {A: {start.trained[0].study, of.digest()}, C: {of.digest()}}


def test_the_first_round_begins_with_the_released_weights(
    place: Path, second: tuple[Study, dict[str, list[str]]], hospitals: Path
) -> None:
    wards = {name: Ward(set_up(place / name, name, hospitals / name).folder) for name in (A, C)}
    still = draft("still", privacy={"mechanism": "none"}, training={"learning_rate": 1e-30})
    of = listing(started(still, place / "model"), wards)
    for ward in wards.values():
        approve(ward, of)
    folder = run(place, of, wards)
    assert model_numbers(folder) == model_numbers(place / "model")
    results = Results.from_json((folder / "results.json").read_text())
    assert "The study started from the released model 'first'" in results.notes[0]
    export_model(folder, of, place / "still")
    assert read_model_folder(place / "still").card.start == of.model.start


def test_a_hospital_whose_ledger_is_gone_is_refused_and_not_taken_for_a_new_one(
    place: Path, second: tuple[Study, dict[str, list[str]]], hospitals: Path, tmp_path: Path
) -> None:
    lost = tmp_path / "lost"  # all of its state is gone: to everything but the study it looks like a new hospital
    wards = {B: set_up(lost, B, hospitals / B), C: Ward(set_up(place / C, C, hospitals / C).folder)}
    of = listing(started(draft("third"), place / "model"), wards)
    with pytest.raises(PrivacyError, match="its ledger does not know what that cost its patients") as caught:
        plan(wards[B].folder, of)
    assert "ledger restore" in str(caught.value)
    some = shutil.copytree(place / B, tmp_path / "some")  # only the ledger is gone
    for name in ("ledger.sqlite", "ledger.head"):
        (some / name).unlink()
    ward = Ward(set_up(some, B, hospitals / B).folder)
    with pytest.raises(WardroundError, match="ledger is missing"):
        plan(ward.folder, listing(started(draft("third"), place / "model"), {B: ward, C: wards[C]}))


def test_approve_checks_a_folder_against_the_study_and_the_audit_log_says_where_the_weights_came_from(
    place: Path, second: tuple[Study, dict[str, list[str]]], hospitals: Path
) -> None:
    wards = {name: Ward(set_up(place / name, name, hospitals / name).folder) for name in (A, C)}
    of = listing(started(draft("fourth"), place / "model"), wards)
    wards[A].approvals.propose(of)
    words = ["approve", "fourth", "--state", str(place / A), "--yes"]
    refused = CliRunner().invoke(app, [*words, "--start", str(place / "nowhere")])
    assert isinstance(refused.exception, WardroundError)
    done = CliRunner().invoke(app, [*words, "--start", str(place / "model")], catch_exceptions=False)
    said = " ".join(done.output.split())
    assert "The model in that folder is the one that the study starts from, and fits it." in said
    assert "It starts from the released model 'first'" in said
    shown = CliRunner().invoke(app, ["audit", "show", "--state", str(place / A), "--json"])
    entries = [json.loads(line) for line in shown.output.splitlines() if line.startswith("{")]
    (entry,) = [e for e in entries if e["what"] == "study approved" and e["facts"].get("name") == "fourth"]
    assert of.model.start
    assert entry["facts"]["start"] == "first"
    assert of.model.start.model.startswith(entry["facts"]["start model"])
