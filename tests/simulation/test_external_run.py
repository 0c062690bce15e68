"""A simulated hospital that only evaluates: the others train as if it were not there, and it is judged apart."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from test_run import model_numbers, phantom_study, run

from examples import DP
from wardround_common.counting import chance
from wardround_common.errors import StudyError
from wardround_common.results import ALL, EXTERNAL, FEDERATED, POOLED, TRAINED, Results, alone
from wardround_common.study.file import Study
from wardround_server.report import summary
from wardround_server.report.alarms import alarms
from wardround_server.report.story import story
from wardround_server.report.tables import outside
from wardround_server.report.words import number
from wardround_simulation.evidence.finished_run import read_run
from wardround_simulation.evidence.statements import make_statements

pytestmark = pytest.mark.usefixtures("undrawn")

NORTH = "hospital-c"


@pytest.fixture(scope="module")
def judged(hospitals: Path, state: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    """Run a private study at which the third hospital only evaluates."""
    folder = tmp_path_factory.mktemp("external") / "run"
    of = phantom_study(privacy=DP, evaluation={"external": [NORTH]})
    return folder, run(of, hospitals, state, folder, baselines=True)


@pytest.mark.slow
def test_the_model_is_that_of_the_others_alone(
    judged: tuple[Path, Results], hospitals: Path, state: Path, tmp_path: Path
) -> None:
    for name in ("hospital-a", "hospital-b"):
        shutil.copytree(hospitals / name, tmp_path / "hospitals" / name)
    run(phantom_study(privacy=DP), tmp_path / "hospitals", state, tmp_path / "run")
    assert model_numbers(judged[0]) == model_numbers(tmp_path / "run")


@pytest.mark.slow
def test_all_its_patients_test_every_model_and_none_of_them_costs_epsilon(judged: tuple[Path, Results]) -> None:
    folder, results = judged
    north = next(hospital for hospital in results.hospitals if hospital.name == NORTH)
    assert north.privacy is None
    assert [part.patients for part in (north.train, north.validation, north.test) if part] == [0, 0, 20]
    assert results.external == (NORTH,)
    assert set(results.evaluation) == {FEDERATED, POOLED, alone("hospital-a"), alone("hospital-b")}
    for sites in results.evaluation.values():
        assert set(sites) == {"hospital-a", "hospital-b", NORTH, TRAINED, EXTERNAL, ALL}
        assert sites[NORTH].patients == sites[EXTERNAL].patients == 20
        assert sites[ALL].patients == sites[TRAINED].patients + 20  # type: ignore[operator]
    assert all(NORTH not in (*record.answered, *record.epsilons) for record in results.rounds)
    assert set(make_statements(read_run(folder), results.finished)) == {"hospital-a", "hospital-b"}


@pytest.mark.slow
def test_report_and_summary_tell_it_apart(judged: tuple[Path, Results]) -> None:
    from rich.console import Console

    folder, results = judged
    page = (folder / "report.html").read_text()
    assert "2 hospitals trained one model together" in page
    assert f"It was also tried at {NORTH}, which did not train." in page
    assert f"{NORTH} (did not train)" in page
    decided = outside.decisions_outside(results)
    assert decided is not None
    assert decided.head == ("Test patients of", "Sensitivity", "Specificity", "Threshold")
    assert [row[0].text for row in decided.rows] == ["All that trained", NORTH]
    for row, site in zip(decided.rows, (TRAINED, NORTH), strict=True):
        found = results.evaluation[FEDERATED][site]
        assert isinstance(found.threshold, float)
        written = [number(found.value("sensitivity")), number(found.value("specificity")), chance(found.threshold)]
        assert [cell.text for cell in row[1:]] == written
    assert "What is decided where nobody trained" in page
    assert "where it did not train" in page
    console = Console(width=200)
    with console.capture() as said:
        console.print(summary(results))
    assert "where it did not train" in said.get()
    assert "its train patients have one class only" not in said.get()


def test_a_name_that_no_hospital_has_is_refused_before_anything_is_done(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    for external, fault in ((["nowhere"], "names nowhere"), (["hospital-a", "hospital-b", NORTH], "nobody would")):
        of = phantom_study(evaluation={"external": external})
        with pytest.raises(StudyError, match=fault):
            run(of, hospitals, state, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_simulated_study_that_ends_early_states_the_epsilon_of_its_rounds_and_which_model_it_kept(
    hospitals: Path, state: Path, tmp_path: Path
) -> None:
    of = phantom_study(
        privacy=DP, training={"rounds": 20, "learning_rate": 1e-6}, evaluation={"keep": "best", "patience": 1}
    )
    results = run(of, hospitals, state, tmp_path / "run", baselines=True)
    done = len(results.rounds)
    assert done < 20
    assert results.kept_rounds == (done - 1,)
    assert all(h.privacy and h.privacy.epsilon < 7.9 for h in results.hospitals)
    assert read_run(tmp_path / "run").model.size
    page = (tmp_path / "run" / "report.html").read_text()
    assert f"The model that was kept is that of round {done - 1}, the best by AUROC on the validation patients" in page
    assert "ended after 1 evaluation without a better one" in page


@pytest.mark.slow
def test_a_simulated_model_that_drops_a_class_says_so_first(hospitals: Path, state: Path, tmp_path: Path) -> None:
    """The third class weighs nothing in the loss, so that no hospital learns it."""
    for folder in sorted(hospitals.iterdir()):
        there = shutil.copytree(folder, tmp_path / "hospitals" / folder.name)
        head, *rows = (there / "labels.csv").read_text().splitlines()
        cells = [row.split(",") for row in rows]  # file, patient, label, time, event
        rows = [",".join([*of[:2], of[2] if place % 3 else "rare", *of[3:]]) for place, of in enumerate(cells)]
        (there / "labels.csv").write_text("\n".join([head, *rows]) + "\n")
    tables = phantom_study().tables(nulls=False)
    tables["task"]["classes"] = [*tables["task"]["classes"], "rare"]
    tables["training"]["class_weights"] = [1.0, 1.0, 1e-6]
    results = run(Study.model_validate(tables), tmp_path / "hospitals", tmp_path / "state", tmp_path / "run")
    (first, *_) = [one for one in alarms(results) if "rare" in one]
    assert first.startswith("The model never decides for “rare”: it finds none of the ")
    assert first in story(results)[0]
    assert first in (tmp_path / "run" / "report.html").read_text()
