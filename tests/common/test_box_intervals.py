"""Intervals of a detector's figures from sums are those that a bootstrap over images draws, where lesions are alone."""

from __future__ import annotations

import numpy as np
import pytest

from wardround_common.metrics.boxes import AT_FALSE_POSITIVES, BoxSums, figures_of
from wardround_common.metrics.shapes import LEAST_RECORDS
from wardround_common.metrics.sum_intervals import AT_MOST, INDEPENDENT, OF_SPREAD
from wardround_common.results import evaluate
from wardround_common.tasks.detection import Detection

ONE = Detection(name="detection", classes=("mass",))
SPREAD = ("ap_iou10", "ap_iou50", "froc", *AT_FALSE_POSITIVES, "false_positives")
RNG = np.random.default_rng(0)


def image(rng: np.random.Generator, of_class: int = 0, classes: int = 1) -> BoxSums:
    """Return the sums of an image with a lesion in every other one, found in three of four, and boxes beside."""
    lesions, wrong = int(rng.integers(0, 2)), int(rng.poisson(1.0))
    right = int(lesions and rng.uniform() < 0.75)
    log_odds = np.concatenate([rng.normal(0.5, 1.5, right), rng.normal(-1.5, 1.2, wrong)]).clip(-6)
    finds = np.zeros((len(log_odds), 2), np.bool_)
    finds[:right] = [True, rng.uniform() < 0.6]
    there = np.zeros(classes, np.int64)
    there[of_class] = lesions
    return BoxSums.of(np.zeros(1), there, log_odds, np.full(len(log_odds), of_class), finds)


def together(made: list[BoxSums]) -> BoxSums:
    sums = made[0]
    for one in made[1:]:
        sums = sums + one
    return sums


def test_what_a_bootstrap_over_images_draws_follows_from_the_sums() -> None:
    made = [image(RNG) for _ in range(150)]
    sums = together(made)
    metrics = evaluate(ONE, sums, 0.4).metrics
    vectors = np.stack([one.to_vector() for one in made])
    drawn = RNG.multinomial(len(made), np.full(len(made), 1 / len(made)), 1000) @ vectors
    over_images = figures_of(drawn, 1, 0.4, sums.counted())
    for name in SPREAD:
        estimate = metrics[name]
        assert estimate.reason == OF_SPREAD
        assert estimate.low is not None
        assert estimate.high is not None
        assert estimate.value is not None
        low, high = np.percentile(over_images[name], (2.5, 97.5))
        assert estimate.high - estimate.low == pytest.approx(high - low, rel=0.2)
        assert (estimate.low, estimate.high) == pytest.approx((low, high), abs=0.25 * (high - low))
    assert metrics["sensitivity"].reason == metrics["precision"].reason == INDEPENDENT


def test_the_same_sums_have_the_same_intervals_and_of_few_lesions_there_are_none() -> None:
    sums = together([image(RNG) for _ in range(60)])
    assert evaluate(ONE, sums, None).metrics == evaluate(ONE, sums, None).metrics
    few = together([image(RNG) for _ in range(3)])
    assert few.lesions.sum() < LEAST_RECORDS
    found = evaluate(ONE, few, None).metrics
    assert all(found[name].low is None for name in SPREAD)


def test_a_mean_over_two_classes_that_are_alike_has_the_interval_of_one() -> None:
    one = together([image(RNG) for _ in range(60)])
    two = BoxSums(
        one.images,
        one.loss,
        np.tile(one.lesions, 2),
        *(np.tile(each, (2, 1)) for each in (one.drawn, one.overlapping, one.close)),
    )
    alone = evaluate(ONE, one, 0.4).metrics
    mean = evaluate(Detection(name="detection", classes=("mass", "nodule")), two, 0.4).metrics
    for name in ("ap_iou10", "ap_iou50", "froc", "sensitivity"):
        assert (mean[name].low, mean[name].high) == pytest.approx((alone[name].low, alone[name].high))
        assert mean[name].reason == AT_MOST
    assert mean["false_positives"].low is None
