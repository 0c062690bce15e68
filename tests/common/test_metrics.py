"""Metrics that are read off sums agree with slow oracles, and their intervals with what an interval is for."""

from __future__ import annotations

import time

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import (
    average_precision_score,
    balanced_accuracy_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    precision_recall_curve,
    precision_score,
    recall_score,
    roc_auc_score,
    roc_curve,
)

from scored import Scored, measure
from wardround_common.errors import ModelError
from wardround_common.metrics import METRICS, Estimate, PatientSums, ScoreSums
from wardround_common.metrics.calibration import reliability
from wardround_common.metrics.ranking import count_by_score, precision_recall_points, roc_points
from wardround_common.metrics.score_bins import EDGES, MIDDLES, bins_of, edge_of


def made(seed: int, images: int, classes: int = 2, *, coarse: bool = False, each: int = 1) -> Scored:
    """Make scores in the middle of the bins that sums have: there, what the sums say is exact."""
    rng = np.random.default_rng(seed)
    patients = np.arange(images) // each
    labels = rng.integers(0, classes, images + 1)[patients]
    logits = rng.normal(size=(images, classes))
    logits[np.arange(images), labels] += 0.8
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    if classes == 2:
        p[:, 1] = (np.floor(p[:, 1] * 4) + 0.5) / 4 if coarse else p[:, 1]  # four: many ties
        p[:, 1] = MIDDLES[bins_of(p[:, 1])]
        p[:, 0] = 1 - p[:, 1]
    return Scored(labels, p.astype(np.float32), patients)


def values(scores: Scored, threshold: float | None = 0.5) -> dict[str, float | None]:
    return scores.sums().figures(threshold)


many = st.builds(made, st.integers(0, 10_000), st.integers(2, 80), st.just(2), coarse=st.booleans())


@settings(max_examples=60)
@given(many, st.sampled_from([0.0, 0.25, 0.5, 0.9, 1.0]))
def test_metrics_of_two_classes_are_those_of_scikit_learn(scores: Scored, threshold: float) -> None:
    y, p = scores.labels, scores.probabilities[:, 1].astype(np.float64)
    said = (p >= threshold).astype(int)
    got = values(scores, threshold)
    assert np.array_equal(scores.sums().decided(threshold), confusion_matrix(y, said, labels=[0, 1]))
    assert got["brier"] == pytest.approx(brier_score_loss(y, p, labels=[0, 1]), abs=1e-6)
    if 0 < y.sum() < len(y):
        assert got["auroc"] == pytest.approx(roc_auc_score(y, p))
        assert got["auprc"] == pytest.approx(average_precision_score(y, p))
        assert got["sensitivity"] == pytest.approx(recall_score(y, said))
        assert got["specificity"] == pytest.approx(recall_score(y, said, pos_label=0))
        assert got["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, said))
        assert got["f1"] == pytest.approx(f1_score(y, said, zero_division=0.0))
    for name, side in (("ppv", 1), ("npv", 0)):
        if np.any(said == side):
            assert got[name] == pytest.approx(precision_score(y, said, pos_label=side, zero_division=0.0))
        else:
            assert got[name] is None


@pytest.mark.parametrize("seed", range(5))
def test_metrics_of_several_classes_are_macro_averages(seed: int) -> None:
    scores = made(seed, 300, 5)
    y, p = scores.labels, scores.probabilities
    said = p.argmax(axis=1)
    got = values(scores)
    assert got["auroc"] == pytest.approx(np.mean([roc_auc_score(y == k, p[:, k]) for k in range(5)]), abs=1e-3)
    assert got["auprc"] == pytest.approx(average_precision_score(y, p), abs=3e-3)
    assert got["f1"] == pytest.approx(f1_score(y, said, average="macro"))
    assert got["ppv"] == pytest.approx(precision_score(y, said, average="macro"))
    assert got["sensitivity"] == got["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(y, said))
    assert got["brier"] == pytest.approx(np.square(p - np.eye(5)[y]).sum(axis=1).mean(), abs=1e-6)
    assert np.array_equal(scores.sums().decided(0.9), confusion_matrix(y, said))


def slow_calibration_error(y: NDArray[np.bool_], p: NDArray[np.float64]) -> float:
    """Guo et al. 2017, equation 5, read aloud, for the probability of the finding."""
    total = 0.0
    for b in range(16):
        inside = [i for i in range(len(p)) if b / 16 <= p[i] < (b + 1) / 16 or (b == 15 and p[i] == 1)]
        if inside:
            accuracy = sum(bool(y[i]) for i in inside) / len(inside)
            confidence = sum(p[i] for i in inside) / len(inside)
            total += len(inside) / len(p) * abs(accuracy - confidence)
    return total


@given(many)
def test_calibration_error_is_that_of_the_slow_definition(scores: Scored) -> None:
    p = scores.probabilities[:, 1].astype(np.float64)
    assert values(scores)["calibration_error"] == pytest.approx(slow_calibration_error(scores.labels == 1, p))


def test_calibration_error_of_several_classes_is_the_mean_over_them() -> None:
    scores = made(3, 200, 4)
    p = scores.probabilities.astype(np.float64)
    slow = np.mean([slow_calibration_error(scores.labels == k, p[:, k]) for k in range(4)])
    assert values(scores)["calibration_error"] == pytest.approx(slow, abs=1 / 2048)


@given(many)
def test_the_reliability_diagram_holds_every_image_and_the_mean_of_its_bin(scores: Scored) -> None:
    bins = reliability(scores.sums().histograms)
    p = scores.probabilities[:, 1].astype(np.float64)
    counts = np.array(bins.counts)
    predicted, observed = (np.array(part, np.float64) for part in (bins.predicted, bins.observed))
    assert counts.sum() == len(p)
    assert np.nansum(predicted * counts) == pytest.approx(p.sum(), abs=1e-5 * len(p))
    assert np.nansum(observed * counts) == pytest.approx(scores.labels.sum(), abs=1e-5 * len(p))
    assert np.array_equal(np.isnan(predicted), counts == 0)


@given(many)
def test_curves_are_those_of_scikit_learn(scores: Scored) -> None:
    y, p = scores.labels, scores.probabilities[:, 1]
    if not 0 < y.sum() < len(y):
        return
    rest, found = count_by_score(p, y == 1, np.ones((1, len(y))))
    fpr, tpr, _ = roc_curve(y, p, drop_intermediate=False)
    precision, recall, _ = precision_recall_curve(y, p)
    assert np.allclose(roc_points(rest[0], found[0]), (fpr, tpr))
    assert np.allclose(precision_recall_points(rest[0], found[0]), (recall[:-1][::-1], precision[:-1][::-1]))


@given(many, st.floats(0.01, 0.999))
def test_the_operating_threshold_is_the_highest_that_reaches_the_sensitivity(scores: Scored, wanted: float) -> None:
    threshold = scores.sums().operating_threshold(wanted)
    found = scores.probabilities[scores.labels == 1, 1].astype(np.float64)
    if not len(found):
        assert threshold is None
    else:
        assert threshold is not None
        assert np.mean(found >= threshold) >= wanted - 1e-9
        assert np.mean(found >= EDGES[edge_of(threshold) + 1]) < wanted


def test_a_sensitivity_that_is_a_whole_number_of_patients_is_not_overshot_by_rounding() -> None:
    p = np.linspace(0.1, 1.0, 10, dtype=np.float32)
    scores = Scored(np.ones(10, np.int64), np.stack([1 - p, p], axis=1), np.arange(10))
    sums = scores.sums()
    for tenths in range(1, 10):
        assert sums.decided(sums.operating_threshold(tenths / 10))[1, 1] == tenths


@given(many, st.integers(0, 1000))
def test_the_order_of_images_changes_no_metric(scores: Scored, seed: int) -> None:
    order = np.random.default_rng(seed).permutation(len(scores.labels))
    turned = Scored(scores.labels[order], scores.probabilities[order], scores.patients[order])
    for name, value in values(turned).items():
        assert value == pytest.approx(values(scores)[name])


@given(many)
def test_a_rising_transformation_of_scores_keeps_the_auroc(scores: Scored) -> None:
    p = (scores.probabilities[:, 1] + 1) / 2
    assume(len(np.unique(bins_of(p))) == len(np.unique(scores.probabilities[:, 1])))  # squeezed, two may share a bin
    squeezed = Scored(scores.labels, np.stack([1 - p, p], axis=1).astype(np.float32), scores.patients)
    assert values(squeezed)["auroc"] == values(scores)["auroc"]
    assert values(squeezed)["auprc"] == values(scores)["auprc"]


def test_the_interval_is_that_of_resampling_patients_one_by_one() -> None:
    scores = made(5, 90, each=3)
    rng, draws = np.random.default_rng(7), []
    patients = [np.flatnonzero(scores.patients == k) for k in range(30)]
    for _ in range(400):
        images = np.concatenate([patients[k] for k in rng.integers(0, 30, 30)])
        draws.append(roc_auc_score(scores.labels[images], scores.probabilities[images, 1]))
    slow_low, slow_high = np.quantile(draws, [0.025, 0.975])
    got = measure(scores, 0.5, resamples=2000, rng=np.random.default_rng(8))["auroc"]
    assert got.low == pytest.approx(slow_low, abs=0.015)
    assert got.high == pytest.approx(slow_high, abs=0.015)


def test_an_interval_by_patient_is_wider_than_one_that_takes_images_for_patients() -> None:
    scores = made(6, 400, each=1)
    copied = Scored(
        np.repeat(scores.labels, 4), np.repeat(scores.probabilities, 4, axis=0), np.repeat(scores.patients, 4)
    )
    naive = Scored(copied.labels, copied.probabilities, np.arange(1600))
    width = [
        (e.high or 0) - (e.low or 0)
        for e in (measure(s, 0.5, resamples=500, rng=np.random.default_rng(0))["auroc"] for s in (copied, naive))
    ]
    assert width[0] == pytest.approx(2 * width[1], rel=0.2)


@settings(max_examples=30)
@given(st.integers(0, 10_000), st.sampled_from([2, 3]))
def test_a_smooth_metric_lies_within_its_interval(seed: int, classes: int) -> None:
    estimates = measure(made(seed, 200, classes, each=2), 0.5, resamples=200, rng=np.random.default_rng(seed))
    for name in ("auroc", "sensitivity", "specificity", "brier", "accuracy", "balanced_accuracy"):
        e = estimates[name]
        assert e.value is not None
        assert e.low is not None
        assert e.high is not None
        assert e.low <= e.value <= e.high


def test_the_95_percent_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = values(made(0, 200_000))["auroc"]
    assert truth is not None
    covered = 0
    for seed in range(1, 81):
        e = measure(made(seed, 150), 0.5, resamples=100, rng=np.random.default_rng(seed))["auroc"]
        covered += (e.low or 1) <= truth <= (e.high or 0)
    assert 0.87 <= covered / 80 <= 0.995


def test_the_same_generator_gives_the_same_interval_whatever_the_block() -> None:
    scores = made(9, 60)
    one = measure(scores, 0.5, resamples=100, rng=np.random.default_rng(1))
    assert one == measure(scores, 0.5, resamples=100, rng=np.random.default_rng(1))
    assert one != measure(scores, 0.5, resamples=100, rng=np.random.default_rng(2))


def test_a_thousand_resamples_of_a_thousand_images_take_well_under_two_seconds() -> None:
    scores = made(1, 1000)
    started = time.process_time()
    measure(scores, 0.5, resamples=1000, rng=np.random.default_rng(0))
    assert time.process_time() - started < 2


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("images", [0, 1, 8])
def test_one_class_gives_none_with_a_reason_never_a_half(images: int, classes: int) -> None:
    p = np.full((images, classes), 1 / classes, np.float32)
    estimates = measure(
        Scored(np.zeros(images, np.int64), p, np.arange(images)), None, resamples=50, rng=np.random.default_rng(0)
    )
    assert set(estimates) == set(METRICS)
    for name in ("auroc", "auprc", "balanced_accuracy"):
        assert estimates[name].value is None
        assert estimates[name].reason == ("all images are of one class" if images else "no patients")
    for e in estimates.values():
        assert e.value is not None or e.reason


def test_one_patient_gives_numbers_but_no_interval() -> None:
    scores = made(2, 40)
    one = Scored(scores.labels, scores.probabilities, np.zeros(40, np.int64))
    e = measure(one, 0.5, resamples=100, rng=np.random.default_rng(0))["auroc"]
    assert e == Estimate(e.value, None, None, "one patient gives no interval")
    assert e.value is not None


def test_a_single_patient_with_the_finding_gives_no_interval() -> None:
    p = np.linspace(0, 1, 30, dtype=np.float32)
    scores = Scored((np.arange(30) == 20).astype(np.int64), np.stack([1 - p, p], axis=1), np.arange(30))
    e = measure(scores, 0.5, resamples=400, rng=np.random.default_rng(0))["auroc"]
    assert e.value == pytest.approx(20 / 29)
    assert e.low is None
    assert "too few patients" in e.reason


def test_groups_put_together_keep_their_patients_apart() -> None:
    one, other = made(1, 10, each=2), made(2, 6, each=3)
    both = one.by_patient() + other.by_patient()
    assert both.patients == 7
    nothing = PatientSums.of([], both.length)
    for sums in (both, nothing + both, both + nothing):
        assert np.array_equal(sums.total(), (one.sums() + other.sums()).to_vector())


@pytest.mark.parametrize("p", [np.nan, -0.1, 1.1, np.inf])
def test_scores_that_are_no_probabilities_are_refused(p: float) -> None:
    with pytest.raises(ModelError, match="probabilities"):
        ScoreSums.of(np.array([0]), np.array([[0.5, p]], np.float32), np.array([1.0]))


def test_shapes_that_do_not_fit_are_refused() -> None:
    p = np.full((2, 2), 0.5, np.float32)
    for labels, losses in (([0], [1.0]), ([0, 2], [1.0, 1.0]), ([0, -1], [1.0, 1.0]), ([0, 1], [1.0])):
        with pytest.raises(ModelError):
            ScoreSums.of(np.array(labels), p, np.array(losses))
    with pytest.raises(ModelError):
        ScoreSums.of(np.array([0, 0]), np.ones((2, 1), np.float32), np.array([1.0, 1.0]))


def found_all(each: int, missed: int = 0) -> Scored:
    """Make 12 patients with the finding and 30 without, ``each`` images of every one; all but ``missed`` are found."""
    found = np.arange(42) < 12
    p = np.where(found & (np.arange(42) >= missed), 0.9, 0.1).astype(np.float32)
    rows = np.repeat(np.arange(42), each)
    return Scored(found[rows].astype(np.int64), np.stack([1 - p, p], axis=1)[rows], rows)


@pytest.mark.parametrize("each", [1, 3])
def test_twelve_of_twelve_is_no_certainty_and_more_images_of_the_same_patients_make_it_none(each: int) -> None:
    estimates = measure(found_all(each), 0.5, resamples=200, rng=np.random.default_rng(0))
    square = 1.959964**2
    for name, patients in (("sensitivity", 12), ("specificity", 30), ("ppv", 12), ("npv", 30), ("accuracy", 42)):
        e = estimates[name]
        assert e.value == e.high == 1
        assert e.low == pytest.approx(patients / (patients + square), abs=1e-6)  # Wilson 1927 at n of n
    none = measure(found_all(each, missed=12), 0.5, resamples=200, rng=np.random.default_rng(0))["sensitivity"]
    assert none.value == none.low == 0
    assert none.high == pytest.approx(square / (12 + square), abs=1e-6)


def test_what_every_resample_gives_alike_and_is_no_fraction_has_no_interval_of_no_width() -> None:
    e = measure(found_all(1), 0.5, resamples=200, rng=np.random.default_rng(0))["auroc"]
    assert e == Estimate(1.0, None, None, "no interval: every resample of the patients gives the same value")
    one_missed = measure(found_all(1, missed=1), 0.5, resamples=200, rng=np.random.default_rng(0))["sensitivity"]
    assert one_missed.low is not None
    assert one_missed.high is not None
    assert one_missed.value == pytest.approx(11 / 12)
    assert one_missed.low < 11 / 12 < one_missed.high


def test_a_mean_over_classes_is_no_fraction() -> None:
    labels = np.repeat(np.arange(3), 8)
    scores = Scored(labels, np.eye(3, dtype=np.float32)[labels], np.arange(24))
    estimates = measure(scores, None, resamples=200, rng=np.random.default_rng(0))
    assert estimates["sensitivity"].low is None
    assert estimates["accuracy"].low == pytest.approx(24 / (24 + 1.959964**2), abs=1e-6)
