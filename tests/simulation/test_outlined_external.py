"""Outlines at a hospital that never trained: in a simulation, left out in turn, and with the code that serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from outlined_hospitals import HOSPITALS, SLICES, outlining, write_hospitals
from served import Served, approve, listing, set_up
from wardround_client.spending.ledger.store import open_ledger
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_common.results import ALL, EXTERNAL, FEDERATED, TRAINED, Results, without
from wardround_server.report.tables import outside
from wardround_server.rounds import approval
from wardround_server.service.runs import Runs
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run.plan import Plan
from wardround_simulation.run.simulate import simulate
from wardround_simulation.workers import InThisProcess

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]
SOUTH, PATIENTS = "south", 5
TRAINERS = sorted(name for name in HOSPITALS if name != SOUTH)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("outlined-external")
    write_hospitals(made / "hospitals", PATIENTS)
    return made


@pytest.fixture(scope="module")
def judged(folder: Path) -> Results:
    """Simulate a study of outlines with two hospitals that train and one that only evaluates."""
    sites = sites_in(folder / "hospitals", Places(None, None, frozenset(), folder / "state"))
    of = outlining(evaluation={"external": [SOUTH]}, training={"rounds": 1})
    plan = Plan(of, sites, folder / "run", False, baselines=False, leave_one_out=True)
    return simulate(plan, InThisProcess(), lambda progress: None)


def test_every_model_outlines_all_patients_of_the_hospital_that_never_trained(folder: Path, judged: Results) -> None:
    (south,) = [hospital for hospital in judged.hospitals if hospital.name == SOUTH]
    assert [part.patients for part in (south.train, south.validation, south.test) if part] == [0, 0, PATIENTS]
    assert set(judged.evaluation) == {FEDERATED, *map(without, TRAINERS)}
    for model, sites in judged.evaluation.items():
        assert sites[SOUTH].patients == PATIENTS
        assert sites[SOUTH].metrics["dice"].value is not None, model
    together = judged.evaluation[FEDERATED]
    assert set(together) == {*HOSPITALS, TRAINED, EXTERNAL, ALL}
    assert {name: one.value for name, one in together[EXTERNAL].metrics.items()} == {
        name: one.value for name, one in together[SOUTH].metrics.items()
    }
    page = (folder / "run" / "report.html").read_text()
    assert f"It was also tried at {SOUTH}, which did not train." in page


def test_each_hospital_that_trained_is_left_out_in_turn_and_the_others_never(judged: Results) -> None:
    shown = outside.left_out(judged)
    assert shown is not None
    assert [row[0].text for row in shown.rows] == TRAINERS
    assert all(row[1].text[:1].isdigit() for row in shown.rows)


def test_hospitals_that_serve_sum_the_outlines_of_one_that_only_evaluates_apart(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approval, "ASK_AGAIN_S", 0.01)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    wards = {name: set_up(tmp_path / name, name, folder / "hospitals" / name) for name in HOSPITALS}
    of = listing(outlining(evaluation={"external": [SOUTH]}, training={"rounds": 1}), wards)
    for name, ward in wards.items():
        assert (approve(ward, of).asked is None) == (name == SOUTH)
    runs = Runs(tmp_path / "runs", lambda run: Served(wards))
    runs.begin(of)
    runs.wait()
    (standing,) = runs.standings()
    assert (standing.stage, standing.said) == ("done", "")
    found = Results.from_json((tmp_path / "runs/test/results.json").read_text()).evaluation[FEDERATED]
    assert set(found) == {ALL, TRAINED, EXTERNAL}
    assert found[EXTERNAL].images == PATIENTS * SLICES
    assert found[EXTERNAL].metrics["dice"].value is not None
    south = HospitalFolder(tmp_path / SOUTH)
    assert not open_ledger(south.path, south.identity()).books.charged
