"""A model is trained without each hospital in turn, and judged where nobody trained."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_run import phantom_study

from examples import DP
from wardround_common.results import ALL, FEDERATED, Results, without
from wardround_common.study.file import Study
from wardround_server.report.tables import outside
from wardround_server.report.words import number
from wardround_server.rounds.checkpoint import read_checkpoint
from wardround_simulation.federation import study_of_fewer
from wardround_simulation.phantoms import make_hospitals
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run.plan import Plan
from wardround_simulation.run.simulate import simulate
from wardround_simulation.workers import InThisProcess

pytestmark = pytest.mark.usefixtures("undrawn")

SHARED = DP | {"trust": "distributed", "sampling_rate": 1.0, "dropouts": 0, "colluders": 1}
STUDIES = {
    "plain": phantom_study(training={"rounds": 2}),
    "shared noise": phantom_study(
        privacy=SHARED,
        training={"rounds": 1, "local_epochs": None, "batch_size": 18},
        aggregation={"secure": True, "min_hospitals": 2},
    ),
}


def run(of: Study, hospitals: Path, out: Path, *, leave_one_out: bool) -> Results:
    sites = sites_in(hospitals, Places(None, None, frozenset(), hospitals.parent / "state"))
    plan = Plan(of, sites, out, resume=False, baselines=False, leave_one_out=leave_one_out)
    return simulate(plan, InThisProcess(), lambda progress: None)


@pytest.mark.slow
@pytest.mark.parametrize("name", STUDIES)
def test_the_model_without_a_hospital_is_that_of_the_others_alone(tmp_path: Path, name: str) -> None:
    of, hospitals = STUDIES[name], tmp_path / "hospitals"
    make_hospitals(hospitals, seed=3, hospitals=3, patients=12)
    results = run(of, hospitals, tmp_path / "out", leave_one_out=True)
    names = [hospital.name for hospital in results.hospitals]
    assert set(results.evaluation) == {FEDERATED, *map(without, names)}
    for hospital in names:
        assert ALL not in results.evaluation[without(hospital)]
        assert results.evaluation[without(hospital)][hospital].metrics["auroc"].reason != "not evaluated"
    shown = outside.left_out(results)
    assert shown is not None
    assert [row[0].text for row in shown.rows] == names
    decided = outside.left_out_decisions(results)
    assert decided is not None
    assert decided.head[1:3] == ("Sensitivity, did not train", "Sensitivity, trained")
    for hospital, row in zip(names, decided.rows, strict=True):
        apart, together = (results.evaluation[model][hospital] for model in (without(hospital), FEDERATED))
        assert row[1].text == number(apart.value("sensitivity"))
        assert row[2].text == number(together.value("sensitivity"))
        assert (row[-2].text, row[-1].text) == (f"{apart.threshold:.3g}", f"{together.threshold:.3g}")
    assert "Trained without it" in (tmp_path / "out" / "report.html").read_text()
    left_out = read_checkpoint(tmp_path / "out" / "leave-one-out" / "0" / "checkpoint", study_of_fewer(of, 2))
    if name == "plain":
        shutil.rmtree(hospitals / names[0])
        run(of, hospitals, tmp_path / "others", leave_one_out=False)
        others = read_checkpoint(tmp_path / "others" / "checkpoint", of)
        assert left_out.parameters.tobytes() == others.parameters.tobytes()
