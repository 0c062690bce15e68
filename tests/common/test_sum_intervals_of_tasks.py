"""Intervals from sums are those over patients where each has one image, and of means over groups no shorter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy.stats import binomtest, norm

from scored import Scored
from wardround_common.metrics import Estimate, PatientSums
from wardround_common.metrics.findings import FindingSums
from wardround_common.metrics.grades import GradeSums
from wardround_common.metrics.measurements import MeasurementSums
from wardround_common.metrics.outlines import Outcome, Outlines, OutlineSums
from wardround_common.metrics.sum_intervals import AT_MOST, AT_MOST_BY_PATIENT, BY_PATIENT, OF_SPREAD
from wardround_common.metrics.survival import RiskSums
from wardround_common.results import evaluate
from wardround_common.results.evaluation import NO_INTERVAL, OF_GAPS
from wardround_common.tasks.contract import Sums, TaskSection
from wardround_common.tasks.findings import Findings
from wardround_common.tasks.grades import Grades
from wardround_common.tasks.measurement import Measurement
from wardround_common.tasks.risk import Risk
from wardround_common.tasks.segmentation import Segmentation

Metrics = dict[str, Estimate]


def both(section: TaskSection, each: Sequence[Sums], resamples: int = 1000) -> tuple[Metrics, Metrics]:
    """Judge by sums alone, and by those of each patient."""
    vectors = [one.to_vector() for one in each]
    total = each[0]
    for one in each[1:]:
        total = total + one
    by_patient = PatientSums.of(vectors, len(vectors[0]))
    return (
        evaluate(section, total, None).metrics,
        evaluate(section, by_patient, None, resamples=resamples).metrics,
    )


def ends(estimate: Estimate) -> tuple[float, float]:
    assert estimate.low is not None
    assert estimate.high is not None
    return estimate.low, estimate.high


def check_same(found: Metrics, expected: Metrics, reason: str, names: set[str]) -> None:
    """Check that the intervals with this reason are of these metrics, and nearly those over patients."""
    assert {name for name, one in found.items() if one.reason == reason} == names
    for name in names:
        (low, high), (other_low, other_high) = ends(found[name]), ends(expected[name])
        width = other_high - other_low
        assert (low, high) == pytest.approx((other_low, other_high), abs=0.12 * width), name
        assert high - low == pytest.approx(width, rel=0.15), name


def scored(classes: int, images: int, seed: int) -> Scored:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    odds = rng.normal(size=(images, classes))
    odds[np.arange(images), labels] += 1
    p = np.exp(odds) / np.exp(odds).sum(axis=1, keepdims=True)
    return Scored(labels, p.astype(np.float32), np.arange(images))


def test_of_two_classes_every_figure_but_the_calibration_error_has_an_interval() -> None:
    made = scored(2, 300, 0)
    found, expected = evaluate(made.section, made.sums(), 0.5).metrics, made.judged(0.5, 1000).metrics
    check_same(found, expected, OF_SPREAD, {"auprc", "f1", "balanced_accuracy", "brier"})
    assert {name for name, one in found.items() if one.low is None} == {"calibration_error"}
    assert found["calibration_error"].reason == OF_GAPS


def test_of_three_classes_decisions_are_resampled_together_and_means_of_scores_are_no_shorter_than_over_patients() -> (
    None
):
    made = scored(3, 300, 1)
    found, expected = evaluate(made.section, made.sums(), None).metrics, made.judged(None, 1000).metrics
    decisions = {"sensitivity", "specificity", "ppv", "npv", "f1", "balanced_accuracy"}
    check_same(found, expected, OF_SPREAD, decisions)
    for name in ("auroc", "auprc", "brier"):
        assert found[name].reason == AT_MOST
        (low, high), (other_low, other_high) = ends(found[name]), ends(expected[name])
        assert 0.95 < (high - low) / (other_high - other_low) < 2
        assert low < (found[name].value or 0) < high


def test_findings_that_are_always_right_in_the_same_images_have_the_interval_of_one_and_others_no_shorter_one() -> None:
    rng = np.random.default_rng(2)
    known = rng.integers(0, 2, (200, 1))
    p = (1 / (1 + np.exp(-rng.normal(size=(200, 1)) - known + 0.5))).astype(np.float32)
    one = FindingSums.of(known, p, np.zeros(200))
    alike = FindingSums.of(np.repeat(known, 3, 1), np.repeat(p, 3, 1), np.zeros(200))
    alone = evaluate(Findings(name="findings", classes=("a",)), one, (0.5,)).metrics
    three = evaluate(Findings(name="findings", classes=("a", "b", "c")), alike, (0.5, 0.5, 0.5)).metrics
    assert three["auroc"].reason == AT_MOST != alone["auroc"].reason
    for name, single in alone.items():
        assert (three[name].low is None) == (single.low is None) == (name == "calibration_error")
        if single.low is not None:
            assert ends(three[name]) == pytest.approx(ends(single))


def test_grades_are_resampled_from_true_and_decided_ones() -> None:
    rng = np.random.default_rng(3)
    true = rng.integers(0, 4, 250)
    decided = np.clip(true + rng.integers(-1, 2, 250), 0, 3)
    each = [GradeSums.of(true[[i]], decided[[i]], np.zeros(1), 4) for i in range(250)]
    found, expected = both(Grades(name="grades", classes=("0", "1", "2", "3")), each)
    check_same(found, expected, OF_SPREAD, {"kappa", "mae", "bias"})
    assert all(one.low is not None for one in found.values())


def test_the_errors_of_numbers_have_the_interval_of_a_mean_and_their_deviation_none() -> None:
    rng = np.random.default_rng(4)
    true, error = rng.uniform(30, 70, 400), rng.normal(1, 3, 400)
    section = Measurement(name="measurement", quantity="age", unit="a", low=0.0, high=100.0)
    each = [MeasurementSums.of(true[[i]], (true + error)[[i]], np.zeros(1), 0.0, 100.0) for i in range(400)]
    found, expected = both(section, each)
    check_same(found, expected, OF_SPREAD, {"mae", "bias"})
    assert [found[name].reason for name in ("rmse", "r2", "agreement_low")] == [NO_INTERVAL] * 3
    for name, sample in (("mae", np.abs(error)), ("bias", error)):
        exact = norm.interval(0.95, sample.mean(), sample.std(ddof=1) / 20)
        assert ends(found[name]) == pytest.approx(exact, abs=1e-3)


def test_a_risk_is_resampled_from_outcomes_and_ranks_and_its_brier_score_has_no_interval() -> None:
    rng = np.random.default_rng(5)
    risk = np.sort(rng.uniform(0, 1, (250, 3)), axis=1)
    survived = np.minimum(rng.geometric(0.1 + 0.6 * risk[:, -1]) - 1, 3)
    event = ((rng.uniform(size=250) < 0.7) & (survived < 3)).astype(np.int64)
    each = [RiskSums.of(survived[[i]], event[[i]], risk[[i]], np.zeros(1)) for i in range(250)]
    found, expected = both(Risk(name="risk", unit="years", times=(1.0, 2.0, 3.0)), each)
    check_same(found, expected, OF_SPREAD, {"c_index", "excess_risk"})
    assert found["brier"].reason == NO_INTERVAL


def outlined(structures: int) -> list[OutlineSums]:
    rng = np.random.default_rng(6)
    shape = (60, structures)
    reference = rng.integers(200, 2000, shape) * (rng.uniform(size=shape) < 0.8)
    predicted = np.maximum(reference + rng.integers(-150, 150, shape), 0) * (rng.uniform(size=shape) < 0.9)
    overlap = (np.minimum(reference, predicted) * rng.uniform(0.3, 1, shape)).astype(np.int64)
    predicted = np.where((reference > 0) & (overlap == 0), 0, predicted)
    there = (reference > 0) & (predicted > 0)
    distance = np.where(there, rng.gamma(3, 2, shape), np.nan)
    parts = (reference > 0).astype(np.int64)
    false = ((predicted > 0) & (reference == 0)).astype(np.int64)
    rows = [slice(number, number + 1) for number in range(60)]
    arrays = (reference, predicted, overlap)
    more = (distance * 2, distance, parts, parts * there, false)
    return [
        OutlineSums.of(Outlines(*(one[r] for one in arrays), np.full(1, 0.01), *(one[r] for one in more)), np.zeros(1))
        for r in rows
    ]


MEASURED = ("dice", "hausdorff", "surface_distance", "volume_error", "volume_excess")
QUANTILES = {"dice_median", "dice_worst_tenth", "dice_spread", "hausdorff_median", "hausdorff_worst_tenth"}


def test_an_outlines_figures_have_the_intervals_over_patients_and_those_of_lesions_have_none() -> None:
    each = outlined(1)
    found, expected = both(Segmentation(name="segmentation", classes=("a",)), each, 400)
    assert {name for name, one in found.items() if one.reason == BY_PATIENT} == {
        *MEASURED,
        "missed",
        "unmeasured",
        "false_alarms",
    }
    lesions = {"lesion_sensitivity", "false_lesions"}
    assert {name for name, one in found.items() if one.low is None} == QUANTILES | lesions
    for name in MEASURED:
        (low, high), (other_low, other_high) = ends(found[name]), ends(expected[name])
        assert (low, high) == pytest.approx((other_low, other_high), abs=0.2 * (other_high - other_low)), name
    total = sum(each[1:], each[0])
    missed = binomtest(total.count(Outcome.MISSED, 0), int(total.dice_bins.sum())).proportion_ci(0.95, "wilson")
    assert ends(found["missed"]) == pytest.approx((missed.low, missed.high))


def test_a_mean_over_structures_has_an_interval_no_shorter_than_over_patients() -> None:
    found, expected = both(Segmentation(name="segmentation", classes=("a", "b")), outlined(2), 400)
    assert found["dice"].reason == AT_MOST_BY_PATIENT
    for name in ("dice", "hausdorff", "volume_error"):
        (low, high), (other_low, other_high) = ends(found[name]), ends(expected[name])
        assert 0.9 < (high - low) / (other_high - other_low) < 2, name


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("images", [0, 1, 4])
def test_so_few_images_that_an_interval_would_tell_their_scores_have_none_but_of_fractions(
    images: int, classes: int
) -> None:
    made = scored(classes, images, 7)
    for one in evaluate(made.section, made.sums(), 0.5).metrics.values():
        assert one.reason != OF_SPREAD
        assert one.low is None or (one.high is not None and one.low < one.high)


def test_so_few_patients_that_an_interval_would_tell_their_outlines_have_none_but_of_fractions() -> None:
    found, _ = both(Segmentation(name="segmentation", classes=("a",)), outlined(1)[:4], 0)
    assert {name for name, one in found.items() if one.low is not None} <= {"missed", "unmeasured", "false_alarms"}
