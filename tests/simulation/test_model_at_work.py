"""A model that a run exported, at a hospital: its figures there are the run's own."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner, Result
from pydicom import dcmread

from examples import study
from outlined_hospitals import outlining, write_hospitals
from wardround_common.results import FEDERATED, Results
from wardround_common.results.model_folder import read_model_folder
from wardround_common.results.parts import PARTS, Parts
from wardround_common.shell.cli import wardround
from wardround_common.study.file import Study
from wardround_simulation.phantoms.scanner import SCANNERS
from wardround_simulation.places import Places, sites_in
from wardround_simulation.run.plan import Plan
from wardround_simulation.run.simulate import simulate
from wardround_simulation.workers import InThisProcess

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]
MODALITIES = sorted({scanner.modality for scanner in SCANNERS})


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(wardround, [str(word) for word in words], catch_exceptions=False)


def trained(of: Study, hospitals: Path, state: Path, out: Path) -> tuple[Path, Results]:
    """Train a small model, and export it by the command."""
    sites = sites_in(hospitals, Places(None, None, frozenset(), state))
    results = simulate(Plan(of, sites, out / "run", False, False), InThisProcess(), lambda progress: None)
    assert command("export", out / "run", "--out", out / "model").exit_code == 0
    return out / "model", results


@pytest.fixture(scope="module")
def classifier(hospitals: Path, state: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results]:
    of = study(
        task={"classes": ["normal", "finding"]},
        data={"modalities": MODALITIES, "intensity": "percentile"},
        training={"rounds": 2},
        evaluation={"validation": 0.35, "usual": 0.8},
    )
    return trained(of, hospitals, state, tmp_path_factory.mktemp("classifier"))


def test_the_test_patients_of_a_hospital_give_the_runs_own_figures(
    classifier: tuple[Path, Results], hospitals: Path, state: Path
) -> None:
    model, results = classifier
    for name, site in results.evaluation[FEDERATED].items():
        if name == "all":
            continue
        found = command("evaluate", model, hospitals / name, "--split", "test", "--state", state / "own", "--json")
        said = json.loads(found.stdout)
        assert {metric: one["value"] for metric, one in said["metrics"].items()} == {
            metric: one.value for metric, one in site.metrics.items()
        }
        assert (said["patients"], said["threshold"]) == (site.patients, site.threshold)
        assert said["confusion"] == [list(row) for row in site.confusion]


def test_all_patients_of_a_folder_judge_a_model_and_so_does_one(
    classifier: tuple[Path, Results], hospitals: Path, tmp_path: Path
) -> None:
    model, results = classifier
    name = results.hospitals[0].name
    everybody = json.loads(command("evaluate", model, hospitals / name, "--state", tmp_path, "--json").stdout)
    assert everybody["patients"] == 20
    rows = (hospitals / name / "labels.csv").read_text().splitlines()
    (tmp_path / "one.csv").write_text("\n".join(rows[:2]) + "\n")
    one = command("evaluate", model, hospitals / name, "--labels", tmp_path / "one.csv", "--state", tmp_path / "other")
    assert one.exit_code == 0
    assert "1 patient, 1 record" in one.stdout


def test_what_a_run_exports_is_a_release_with_a_bundle_onnx_and_a_card(classifier: tuple[Path, Results]) -> None:
    model, results = classifier
    assert command("release", "verify", model, "--unsigned").exit_code == 0
    parts = {part.name: part for part in Parts.parse((model / PARTS).read_bytes()).parts}
    for name in ("MONAI bundle", "ONNX"):
        part = parts[name]
        assert all((model / file).is_file() for file in part.files)
        assert part.largest_difference is not None or name in ("ONNX",)  # which needs the extra
    card = (model / "model-card.md").read_text()
    assert f"| {results.hospitals[0].name} |" in card
    content = (model / "bundle" / "models" / "model.ts").read_bytes()
    (model / "bundle" / "models" / "model.ts").write_bytes(content[:-1] + b"x")
    said = CliRunner().invoke(wardround, ["release", "verify", str(model), "--unsigned"])
    assert "bundle/models/model.ts was changed" in said.output + str(said.exception)
    assert "was changed" in str(CliRunner().invoke(wardround, ["predict", str(model), str(model)]).exception)
    (model / "bundle" / "models" / "model.ts").write_bytes(content)


def test_a_card_has_the_figures_of_all_hospitals_together(classifier: tuple[Path, Results]) -> None:
    model, results = classifier
    card = read_model_folder(model).card
    together = results.evaluation[FEDERATED]["all"]
    assert card.judgement is not None
    assert card.judgement.metrics == {name: one.value for name, one in together.metrics.items()}
    assert (card.point, card.engine, card.rounds) == (together.threshold, "in-process", results.kept_rounds)


def test_a_model_knows_what_its_images_are_like_and_flags_others(
    classifier: tuple[Path, Results], hospitals: Path, tmp_path: Path
) -> None:
    model, results = classifier
    found = read_model_folder(model)
    assert found.unlike is not None
    assert found.card.unlike == found.unlike.threshold
    assert found.unlike.distances.records == found.card.validation_images
    _, lines = predicted(model, hospitals / results.hospitals[0].name)
    assert 0 < np.mean([line["unlike"]["unlike"] for line in lines]) < 0.6  # most are like those of the training
    for number, path in enumerate(sorted((hospitals / results.hospitals[0].name).rglob("*.dcm"))[:5]):
        image = dcmread(path)
        image.PixelData = np.random.default_rng(1).integers(0, 255, len(image.PixelData)).astype(np.uint8).tobytes()
        image.save_as(tmp_path / f"{number}.dcm")
    _, lines = predicted(model, tmp_path)
    assert [line["unlike"]["unlike"] for line in lines] == [True] * 5  # noise of the right modality


@pytest.fixture(scope="module")
def outliner(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Results, Path]:
    folder = tmp_path_factory.mktemp("outliner")
    write_hospitals(folder / "hospitals")
    return *trained(outlining(), folder / "hospitals", folder / "state", folder), folder / "hospitals"


def test_outlines_of_test_patients_give_the_runs_own_figures(
    outliner: tuple[Path, Results, Path], tmp_path: Path
) -> None:
    model, results, hospitals = outliner
    for name in ("north", "east", "south"):
        said = json.loads(
            command("evaluate", model, hospitals / name, "--split", "test", "--state", tmp_path / name, "--json").stdout
        )
        assert {metric: one["value"] for metric, one in said["metrics"].items()} == {
            metric: one.value for metric, one in results.evaluation[FEDERATED][name].metrics.items()
        }


def predicted(*words: str | Path) -> tuple[int, list[dict[str, Any]]]:
    found = command("predict", *words, "--json")
    return found.exit_code, [json.loads(line) for line in found.stdout.splitlines()]


def test_a_folder_is_predicted_without_labels_at_the_runs_operating_point(
    classifier: tuple[Path, Results], hospitals: Path, tmp_path: Path
) -> None:
    model, results = classifier
    folder = tmp_path / "images"
    shutil.copytree(hospitals / results.hospitals[0].name, folder)
    (folder / "labels.csv").unlink()
    code, lines = predicted(model, folder)
    assert (code, len(lines)) == (0, 20)
    for line in lines:
        assert sum(line["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert (line["class"] == "finding") == (line["probabilities"]["finding"] >= line["operating_point"] - 1e-6)
        assert line["patient"]


def test_outlines_come_back_on_the_grid_of_their_series(outliner: tuple[Path, Results, Path], tmp_path: Path) -> None:
    model, _, hospitals = outliner
    code, lines = predicted(model, hospitals / "south", "--out", tmp_path / "out", "--preview")
    assert (code, len(lines)) == (0, 5)
