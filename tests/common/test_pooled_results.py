"""What sums over hospitals say of a model is what a simulation says of it, but for the intervals."""

from __future__ import annotations

import numpy as np
import pytest

from scored import Scored
from wardround_common.metrics import METRICS, ScoreSums
from wardround_common.metrics.sum_intervals import OF_IMAGES, OF_MEANS
from wardround_common.results import evaluate
from wardround_common.results.evaluation import OF_GAPS


def both(classes: int, images: int = 400, skill: float = 2.0, seed: int = 0) -> tuple[Scored, ScoreSums]:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    logits = rng.normal(size=(images, classes)) + skill * np.eye(classes)[labels]
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    scored = Scored(labels, probabilities.astype(np.float32), np.arange(images) // 2)
    return scored, scored.sums()


@pytest.mark.parametrize("classes", [2, 4])
def test_simulated_and_deployed_figures_of_the_same_patients_are_the_same(classes: int) -> None:
    scored, sums = both(classes)
    threshold = sums.operating_threshold(0.9)
    simulated = scored.judged(threshold, 50)
    deployed = evaluate(scored.section, sums, threshold)
    assert (deployed.images, deployed.patients, simulated.patients) == (400, None, 200)
    for name in METRICS:
        found, drawn = deployed.metrics[name], simulated.metrics[name]
        if name == "calibration_error":
            assert (found.low, found.reason) == (None, OF_GAPS)
            assert drawn == found
        else:
            assert drawn.low is not None
            assert found.reason in OF_IMAGES
            assert found.low is not None
            assert found.high is not None
            assert drawn.high is not None
            times = (found.high - found.low) / (drawn.high - drawn.low)
            assert 0.4 < times < (3 if found.reason in OF_MEANS else 1.6)
        assert deployed.value(name) == simulated.value(name)
    same = {"patients": 200, "metrics": simulated.metrics}
    assert deployed.model_copy(update=same) == simulated


def test_sums_over_one_class_or_nobody_say_why_there_is_no_number() -> None:
    scored, sums = both(2)
    one = ScoreSums.of(np.zeros(3, np.int64), np.full((3, 2), 0.5, np.float32), np.zeros(3))
    found = evaluate(scored.section, one, 0.5)
    assert found.value("auroc") is None
    assert found.metrics["auroc"].reason == "all images are of one class"
    assert found.roc is None
    nobody = evaluate(scored.section, ScoreSums.empty(2), 0.5)
    assert {estimate.reason for estimate in nobody.metrics.values()} == {"no patients"}
    assert nobody.reliability is None
    assert evaluate(scored.section, sums, None).confusion == tuple(map(tuple, sums.confusion.tolist()))
