"""A temperature makes probabilities mean what they say, from sums alone."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import minimize_scalar

from wardround_common.metrics import ScoreSums
from wardround_common.metrics.calibration import at_temperature, log_odds, temperature


def scored(seed: int, images: int, classes: int, sharpness: float) -> tuple[np.ndarray, np.ndarray]:
    """Return labels drawn with the probabilities of some logits, and what a model says that is too sharp."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(images, classes)) * 1.5
    true = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    labels = np.array([rng.choice(classes, p=row) for row in true])
    said = np.exp(logits * sharpness)
    return labels, (said / said.sum(axis=1, keepdims=True)).astype(np.float32)


def sums(labels: np.ndarray, said: np.ndarray) -> ScoreSums:
    return ScoreSums.of(labels, said, np.zeros(len(labels)))


@pytest.mark.parametrize("sharpness", [0.5, 1.0, 3.0])
def test_the_temperature_of_two_classes_is_that_of_the_scores_themselves(sharpness: float) -> None:
    labels, said = scored(3, 3000, 2, sharpness)
    odds = log_odds(said[:, 1].astype(np.float64))

    def loss(sharper: float) -> float:
        return float(np.logaddexp(0, np.where(labels == 1, -odds, odds) * sharper).mean())

    exact = 1 / minimize_scalar(loss, bounds=(0.05, 20), method="bounded").x
    found = temperature(sums(labels, said).histograms)
    assert found == pytest.approx(exact, rel=0.01)
    assert found == pytest.approx(sharpness, rel=0.1)


def test_a_temperature_has_three_digits_and_one_patient_more_mostly_changes_none() -> None:
    labels, said = scored(5, 800, 2, 2.0)
    found = {temperature(sums(labels[some], said[some]).histograms) for some in (slice(each, 800) for each in range(9))}
    assert all(float(f"{one:.3g}") == one for one in found)
    assert len(found) < 6


def test_calibrated_probabilities_add_up_to_one_and_miss_by_less() -> None:
    labels, said = scored(4, 3000, 3, 3.0)
    found = temperature(sums(labels, said).histograms)
    assert found is not None
    better = at_temperature(said, found)
    assert np.allclose(better.sum(axis=1), 1)
    errors = [sums(labels, each.astype(np.float32)).figures()["calibration_error"] for each in (said, better)]
    assert errors[1] < errors[0] / 2


def test_a_few_patients_who_are_all_told_apart_do_not_make_every_probability_zero_or_one() -> None:
    labels, said = np.array([0, 0, 1, 1]), np.array([[0.6, 0.4], [0.7, 0.3], [0.4, 0.6], [0.3, 0.7]], np.float32)
    found = temperature(sums(labels, said).histograms)
    assert found is not None
    assert 0.2 < at_temperature(said, found)[0, 1] < 0.4


def test_scores_that_say_nothing_or_one_class_only_have_no_temperature() -> None:
    wrong = np.array([[0.1, 0.9], [0.9, 0.1]] * 20, np.float32)
    assert temperature(sums(np.array([0, 1] * 20), wrong).histograms) is None
    assert temperature(sums(np.zeros(40, np.int64), wrong).histograms) is None
    assert temperature(ScoreSums.empty(2).histograms) is None
