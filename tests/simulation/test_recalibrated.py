"""A released model recalibrated at a hospital that did not train it, and applied to that hospital's new images."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_model_at_work import MODALITIES, command, trained

from examples import study
from outlined_hospitals import outlining
from wardround_client.prediction.model import open_model
from wardround_client.prediction.recalibrating import recalibrate
from wardround_client.preparation.dataset import prepare, take_in
from wardround_client.preparation.source import Source
from wardround_client.training.evaluation import probabilities_of
from wardround_common.errors import DataError, StorageError, StudyError
from wardround_common.metrics.recalibration import FOLDS, fit, folds_of
from wardround_common.results.calibration_file import read_calibration
from wardround_simulation.phantoms import make_hospitals

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("undrawn")]
WORDS = ("normal", "finding")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a model of two hospitals, and a third hospital's images, none of which it was trained on."""
    folder = tmp_path_factory.mktemp("recalibrated")
    make_hospitals(folder / "hospitals", seed=3, hospitals=3, patients=30)
    (folder / "hospitals" / "hospital-c").rename(folder / "here")
    of = study(
        task={"classes": list(WORDS)},
        data={"modalities": MODALITIES, "intensity": "percentile", "image_size": 24},
        training={"rounds": 12, "optimiser": "adamw", "learning_rate": 0.003},
    )
    trained(of, folder / "hospitals", folder / "state", folder)
    return folder


@pytest.fixture(scope="module")
def said(place: Path) -> dict[str, Any]:
    """Recalibrate by the command; return what it says for a program."""
    words = ["evaluate", place / "model", place / "here", "--state", place / "own", "--recalibrate", place / "own.json"]
    done = command(*words, "--json")
    assert done.exit_code == 0, done.output
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_each_patients_figures_come_from_a_fit_without_that_patient(place: Path, said: dict[str, Any]) -> None:
    model = open_model(place / "model")
    source = Source(place / "here", place / "own", None, None, frozenset())
    examples = prepare(source, model.study, *take_in(source, model.study), trains=False).test
    own, labels = probabilities_of(model.network, examples), np.asarray(examples.targets[:])
    fold = folds_of(examples.patients, labels, model.study.model.seed)
    errors = []
    for number in range(FOLDS):
        apart = fold == number
        assert not set(examples.patients[apart]) & set(examples.patients[~apart])
        fitted = fit(labels[~apart], own[~apart]).apply(own[apart])
        errors += list((fitted[:, 1] - labels[apart]) ** 2)
    brier = said["recalibration"]["after"]["brier"]
    assert brier["value"] == pytest.approx(np.mean(errors), abs=1e-5)
    assert brier["low"] < brier["value"] < brier["high"]
    before = said["recalibration"]["before"]
    assert before["auroc"]["value"] == pytest.approx(said["metrics"]["auroc"]["value"], abs=0.01)
    assert before["sensitivity"]["value"] == said["metrics"]["sensitivity"]["value"]
    assert before["specificity"]["value"] == said["metrics"]["specificity"]["value"]
    assert said["recalibration"]["patients"] == {word: int((labels == n).sum()) for n, word in enumerate(WORDS)}
    assert read_calibration(place / "own.json", model.card).recalibration == fit(labels, own)


def test_it_warns_of_too_few_patients_and_says_what_it_cost(place: Path, tmp_path: Path, said: dict[str, Any]) -> None:
    assert any("fewer than 20 patients of each class" in alarm for alarm in said["recalibration"]["alarms"])
    own = tmp_path / "own.json"
    done = command("evaluate", place / "model", place / "here", "--state", place / "own", "--recalibrate", own)
    shown = " ".join(done.stdout.split())
    assert "Warning: There are only" in shown
    assert "It took 30 labelled patients" in shown
    assert "nothing was released and no epsilon was spent" in shown
    assert own.read_bytes() == (place / "own.json").read_bytes()
    assert own.stat().st_mode & 0o077 == 0


def test_a_recalibration_that_makes_probabilities_worse_says_so(place: Path) -> None:
    model = open_model(place / "model")
    source = Source(place / "here", place / "own", None, None, frozenset())
    found = recalibrate(model, source)
    assert not any("does not help" in alarm for alarm in found.alarms())
    assert any("does not help" in alarm for alarm in replace(found, before=found.after).alarms())


def test_predict_applies_the_file_and_says_so_and_never_mixes_it_with_the_release(
    place: Path, tmp_path: Path, said: dict[str, Any]
) -> None:
    image = min(path for path in (place / "here").rglob("*.dcm"))
    words: list[str | Path] = ["predict", place / "model", image, "--out", tmp_path / "out"]
    plain = json.loads(command(*words[:3], "--json").stdout)
    own = json.loads(command(*words, "--calibration", place / "own.json", "--json").stdout)
    card = open_model(place / "model").card
    calibration = read_calibration(place / "own.json", card)
    assert (own["calibrated"], own["recalibrated"]) == (True, True)
    assert "recalibrated" not in plain
    assert calibration.point is not None
    assert own["operating_point"] == pytest.approx(calibration.point, abs=1e-6)
    assert own["class"] == WORDS[own["probabilities"]["finding"] >= calibration.point]
    odds = [np.log(one["probabilities"]["finding"] / one["probabilities"]["normal"]) for one in (plain, own)]
    temperature = card.temperature or 1.0
    expected = calibration.slope * odds[0] * temperature + calibration.biases[1]
    assert odds[1] == pytest.approx(expected, abs=0.01)
    with pytest.raises(StorageError, match="predictions of another model"):
        command(*words)


@pytest.mark.parametrize("what", ["the file is there", "another model", "one class is rare", "outlines"])
def test_what_cannot_be_recalibrated_is_refused_with_what_to_do(place: Path, tmp_path: Path, what: str) -> None:
    words = ["evaluate", place / "model", place / "here", "--state", place / "own", "--recalibrate"]
    if what == "the file is there":
        (tmp_path / "own.json").write_text("mine")
        with pytest.raises(StorageError, match="already exists"):
            command(*words, tmp_path / "own.json")
        assert (tmp_path / "own.json").read_text() == "mine"
        return
    model = open_model(place / "model")
    if what == "another model":
        with pytest.raises(StorageError, match="no calibration"):
            open_model(place / "model", calibration=place / "model" / "model.json")
        return
    source = Source(place / "here", place / "own", None, None, frozenset())
    if what == "outlines":
        object.__setattr__(model, "study", outlining())
        with pytest.raises(StudyError, match="no class probabilities to recalibrate"):
            recalibrate(model, source)
        return
    head, *rows = (place / "here" / "labels.csv").read_text().splitlines()
    normal, finding = ([row for row in rows if word in row.split(",")] for word in WORDS)
    (tmp_path / "few.csv").write_text("\n".join([head, *normal, *finding[:4]]) + "\n")
    with pytest.raises(DataError, match="fewer than 5 patients are labelled 'finding'"):
        command(*words, tmp_path / "own.json", "--labels", tmp_path / "few.csv", "--state", tmp_path / "state")
    assert not (tmp_path / "own.json").exists()
