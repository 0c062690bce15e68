"""Recalibration: what is fitted is what was done to the probabilities, and the file is tied to its model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from examples import study
from models_made import model_folder
from wardround_common.errors import DataError, StorageError
from wardround_common.metrics.recalibration import FOLDS, fit, folds_of, point_for
from wardround_common.results.calibration_file import Calibration, read_calibration
from wardround_common.results.model_folder import Card, read_model_folder

RNG = np.random.default_rng(0)


def logistic(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    said = 1 / (1 + np.exp(-odds))
    return np.stack([1 - said, said], axis=1)


def test_a_slope_and_a_shift_of_two_classes_are_found_again() -> None:
    odds = RNG.normal(0, 2, 40_000)
    labels = (RNG.uniform(size=odds.size) < logistic(odds)[:, 1]).astype(np.int64)
    found = fit(labels, logistic((odds - 1.5) / 0.5))  # as of a model that is too sure, and for a rarer finding
    assert found.slope == pytest.approx(0.5, abs=0.02)
    assert found.biases == (0.0, pytest.approx(1.5, abs=0.05))
    assert np.abs(found.apply(logistic((odds - 1.5) / 0.5)) - logistic(odds)).max() < 0.03


def test_of_several_classes_each_has_its_own_bias() -> None:
    logs = RNG.normal(0, 1.5, (60_000, 3))
    true = np.exp(logs) / np.exp(logs).sum(axis=1, keepdims=True)
    labels = (RNG.uniform(size=len(true))[:, None] > true.cumsum(axis=1)).sum(axis=1)
    skewed = np.exp(2 * np.log(true) - np.array([0.0, 1.0, -1.0]))
    found = fit(labels, skewed / skewed.sum(axis=1, keepdims=True))
    assert found.slope == pytest.approx(0.5, abs=0.02)
    assert found.biases == (0.0, pytest.approx(0.5, abs=0.05), pytest.approx(-0.5, abs=0.05))


def test_the_fit_is_a_minimum_that_no_step_lowers() -> None:
    probabilities = logistic(RNG.normal(0, 3, 60))
    labels = np.arange(60) % 2
    labels[:45] = (probabilities[:45, 1] > 0.5).astype(np.int64)
    counts = np.bincount(labels)
    wanted = np.array([(counts[1] + 1) / (counts[1] + 2) if label else 1 / (counts[0] + 2) for label in labels])
    odds = np.log(probabilities[:, 1] / probabilities[:, 0])

    def loss(slope: float, shift: float) -> float:
        said = logistic(slope * odds + shift)
        return float(-(wanted * np.log(said[:, 1]) + (1 - wanted) * np.log(said[:, 0])).sum())

    found = fit(labels, probabilities)
    best = loss(found.slope, found.biases[1])
    for step in (1e-3, -1e-3):
        assert loss(found.slope + step, found.biases[1]) > best
        assert loss(found.slope, found.biases[1] + step) > best


def test_classes_that_are_all_told_apart_make_no_probability_certain() -> None:
    found = fit(np.arange(20) % 2, logistic(np.where(np.arange(20) % 2, 9.0, -9.0)))
    assert 0.5 < float(found.apply(logistic(np.array([9.0])))[0, 1]) < 0.95


def test_scores_that_rank_the_wrong_way_round_and_a_class_that_is_missing_are_refused() -> None:
    odds = RNG.normal(0, 2, 500)
    labels = (odds > 0).astype(np.int64)
    with pytest.raises(DataError, match="the wrong way round"):
        fit(labels, logistic(-odds))
    with pytest.raises(DataError, match="does not occur"):
        fit(np.zeros(9, np.int64), logistic(odds[:9]))


def test_a_point_is_the_highest_that_reaches_the_sensitivity() -> None:
    scores = logistic(np.linspace(-2, 2, 20))
    labels = np.ones(20, np.int64)
    point = point_for(labels, scores, 0.9)
    assert (scores[:, 1] >= point).mean() == pytest.approx(0.9)


def test_folds_keep_patients_whole_and_deal_out_each_class() -> None:
    patients = np.repeat(np.arange(50), 3)
    strata = (patients % 5 == 0).astype(np.int64)  # ten patients with the finding
    fold = folds_of(patients, strata, 0)
    assert all(len(set(fold[patients == patient])) == 1 for patient in range(50))
    for number in range(FOLDS):
        assert len(set(patients[(fold == number) & (strata == 1)])) == 2
        assert len(set(patients[(fold == number) & (strata == 0)])) == 8
    assert np.array_equal(fold, folds_of(patients, strata, 0))


@pytest.fixture(scope="module")
def card(tmp_path_factory: pytest.TempPathFactory) -> Card:
    return read_model_folder(model_folder(tmp_path_factory.mktemp("m"), study())).card


def calibration(card: Card, **changes: Any) -> Calibration:
    facts = {
        "model": card.files["model.safetensors"],
        "name": card.name,
        "wardround": "0.1.0",
        "classes": card.classes,
        "slope": 0.5,
        "biases": (0.0, 1.0),
        "point": 0.4,
        "patients": (20, 30),
    }
    return Calibration(**(facts | changes))


def test_a_calibration_reads_back_as_it_was_written(card: Card, tmp_path: Path) -> None:
    (tmp_path / "own.json").write_bytes(calibration(card).content())
    assert read_calibration(tmp_path / "own.json", card) == calibration(card)


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"model": "0" * 64}, "is of the model 'made' 000000000000"), ({"classes": ("none", "other")}, "other classes")],
)
def test_a_calibration_of_another_model_is_refused(
    card: Card, tmp_path: Path, changes: dict[str, Any], why: str
) -> None:
    (tmp_path / "own.json").write_bytes(calibration(card, **changes).content())
    with pytest.raises(StorageError, match=why):
        read_calibration(tmp_path / "own.json", card)


@pytest.mark.parametrize("content", ["", "[]", '{"format": "wardround calibration 9"}', "not json", '{"slope": 1e999}'])
def test_what_is_no_calibration_is_said_with_what_to_do(card: Card, tmp_path: Path, content: str) -> None:
    (tmp_path / "own.json").write_text(content)
    for path in (tmp_path / "own.json", tmp_path, tmp_path / "nowhere"):
        with pytest.raises(StorageError) as caught:
            read_calibration(path, card)
        assert "--recalibrate FILE" in str(caught.value)
