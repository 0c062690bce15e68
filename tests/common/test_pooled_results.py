"""What sums over hospitals say of a model is what its scores say, without an interval and without any score."""

from __future__ import annotations

import numpy as np
import pytest

from wardround_common.metrics import METRICS, Scores, ScoreSums
from wardround_common.results import evaluate, evaluate_sums


def both(classes: int, images: int = 400, skill: float = 2.0, seed: int = 0) -> tuple[Scores, ScoreSums]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    logits = rng.normal(size=(images, classes)) + skill * np.eye(classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    probabilities = probabilities.astype(np.float32)
    losses = -np.log(probabilities[np.arange(images), labels]).astype(np.float64)
    return Scores(labels, probabilities, np.arange(images)), ScoreSums.of(labels, probabilities, losses)


@pytest.mark.parametrize("classes", [2, 4])
def test_every_metric_of_the_sums_is_that_of_the_scores(classes: int) -> None:
    scores, sums = both(classes)
    threshold = 0.375 if classes == 2 else None  # a multiple of 1/1024
    exact = evaluate(scores, threshold, 0, np.random.default_rng(0))
    pooled = evaluate_sums(sums, threshold)
    assert pooled.confusion == exact.confusion
    assert (pooled.images, pooled.patients, pooled.threshold) == (400, None, threshold)
    binned = {"auroc": 1e-3, "auprc": 3e-3, "calibration_error": 1e-3, "brier": 1e-6}
    for name in METRICS:
        assert pooled.value(name) == pytest.approx(exact.value(name), abs=binned.get(name, 1e-12)), name
        assert pooled.metrics[name].low is None
        assert pooled.metrics[name].reason == "sums over hospitals give no interval"
    assert pooled.roc is not None
    assert exact.roc is not None
    grid = np.linspace(0, 1, 50)
    for ours, theirs in ((pooled.roc, exact.roc), (pooled.precision_recall, exact.precision_recall)):
        assert ours is not None
        assert theirs is not None
        assert np.abs(np.interp(grid, ours.x, ours.y) - np.interp(grid, theirs.x, theirs.y)).mean() < 0.01
    assert pooled.reliability is not None
    assert exact.reliability is not None
    assert pooled.reliability.counts == exact.reliability.counts
    assert pooled.reliability.observed == pytest.approx(exact.reliability.observed)
    for ours_, theirs_ in zip(pooled.reliability.predicted, exact.reliability.predicted, strict=True):
        assert ours_ == pytest.approx(theirs_, abs=1 / 2048 + 1e-5)


def test_sums_over_one_class_or_nobody_say_why_there_is_no_number() -> None:
    _, sums = both(2)
    one = ScoreSums.of(np.zeros(3, np.int64), np.full((3, 2), 0.5, np.float32), np.zeros(3))
    found = evaluate_sums(one, 0.5)
    assert found.value("auroc") is None
    assert found.metrics["auroc"].reason == "all images are of one class"
    assert found.roc is None
    nobody = evaluate_sums(ScoreSums.empty(2), 0.5)
    assert {estimate.reason for estimate in nobody.metrics.values()} == {"no patients"}
    assert nobody.reliability is None
    assert evaluate_sums(sums, None).confusion == tuple(map(tuple, sums.confusion.tolist()))
