"""Counts of patients with noise: what one patient adds, how much noise that needs, and the possible sums they give."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from examples import DP, study
from wardround_common.errors import MessageError, PrivacyError, StudyError
from wardround_common.metrics import noised_scores
from wardround_common.metrics.findings import FindingSums
from wardround_common.metrics.grades import GradeSums
from wardround_common.metrics.measurements import MeasurementSums
from wardround_common.metrics.noised import ONE, NoisedCounts, counts_of, possible
from wardround_common.metrics.outlines import Outlines, OutlineSums
from wardround_common.metrics.score_bins import EDGES, NOISED_EDGES
from wardround_common.metrics.sums import ScoreSums
from wardround_common.metrics.survival import RiskSums
from wardround_common.privacy.accounting import epsilon_of
from wardround_common.privacy.noisy_evaluation import (
    SPLITS,
    Judging,
    deviation,
    evaluation_event,
    noise_in_evaluation,
    noise_in_sum,
    sums_of,
)
from wardround_common.privacy.noisy_sum import least_survivors
from wardround_common.results import evaluate
from wardround_common.study.file import Study
from wardround_common.study.sums import point_of, threshold_for
from wardround_common.study.words.describe import describe
from wardround_common.tasks.classification import TASK as CLASSES
from wardround_common.tasks.findings import TASK, Findings
from wardround_common.tasks.grades import TASK as GRADES
from wardround_common.tasks.grades import Grades
from wardround_common.tasks.measurement import TASK as NUMBERS
from wardround_common.tasks.measurement import Measurement
from wardround_common.tasks.registry import task_of
from wardround_common.tasks.risk import TASK as RISKS
from wardround_common.tasks.risk import Risk
from wardround_common.tasks.segmentation import TASK as OUTLINES
from wardround_common.tasks.segmentation import Segmentation

SECURE: dict[str, Any] = {"secure": True}
SHARED = {
    "mechanism": "dp-sgd",
    "trust": "distributed",
    "epsilon": 8.0,
    "delta": 1e-3,
    "clip_norm": 1.0,
    "sampling_rate": 1.0,
    "dropouts": 1,
    "colluders": 1,
}
LOCAL = study(privacy=DP | {"evaluation_epsilon": 2.0}, aggregation=SECURE, training={"rounds": 20})
SHARES = study(
    privacy=SHARED | {"evaluation_epsilon": 2.0},
    aggregation=SECURE,
    evaluation={"every": 5},
    training={"rounds": 20, "local_epochs": None, "batch_size": 24},
)


def scored(classes: int, images: int, seed: int = 0, sure: float = 1.5) -> ScoreSums:
    rng = np.random.default_rng(seed)
    labels, logits = rng.integers(0, classes, images), rng.normal(0, 1, (images, classes))
    logits[np.arange(images), labels] += sure
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return ScoreSums.of(labels, p.astype(np.float32), -np.log(p[np.arange(images), labels]))


def found_in(findings: int, images: int, seed: int = 0) -> FindingSums:
    """Sum up images of which each has a finding that is known, and others that may not be."""
    rng = np.random.default_rng(seed)
    known = rng.integers(-1, 2, (images, findings))
    known[:, 0] = known[:, 0].clip(0)
    p = 1 / (1 + np.exp(-rng.normal(known, 1.5)))
    each = -np.log(np.where(known > 0, p, 1 - p)) * (known >= 0)
    return FindingSums.of(known, p.astype(np.float32), each.sum(axis=1) / (known >= 0).sum(axis=1))


def told_of_one(section: Any, sums: Any, *, whole: bool = False) -> Any:
    """Return the counts of one patient's sums, and check that it adds no more than the noise is made for.

    ``whole``: and that it adds one to each block.
    """
    noised = task_of(section).noised_sums()
    counts = noised.told(sums)
    added, blocks = counts_of(counts, noised.counted(sums)), noised.blocks(section)
    assert len(added) == noised.cells(section)
    assert np.all(added >= 0)
    assert int(added @ added) <= blocks * ONE**2
    if whole:
        assert ONE * blocks - len(added) <= int(added.sum()) <= ONE * blocks
    return counts


def read_with_noise(section: Any, counts: Any, noise: float, seed: int) -> Any:
    """Return the sums that are read off counts with noise, which are such as a message may bring."""
    noised = counts + np.random.default_rng(seed).normal(0, noise, len(counts))
    return task_of(section).read(task_of(section).noised_sums().settled(noised, section).to_vector(), section)


@pytest.mark.parametrize("of", [LOCAL, SHARES], ids=["local", "shares"])
@pytest.mark.parametrize("split", SPLITS)
def test_all_sums_of_a_patient_together_keep_to_the_epsilon_and_less_noise_would_not(of: Study, split: Judging) -> None:
    event = evaluation_event(of, split)
    assert event is not None
    assert (event.sampling_rate, event.steps) == (1.0, 1)
    sums = sums_of(of, split)
    assert sums == {"validation": 4 if of is SHARES else 20, "test": 1}[split]
    assert 1.97 < epsilon_of([event] * sums, of.privacy.delta) <= 2.0  # type: ignore[union-attr]


@pytest.mark.parametrize(("dropouts", "colluders"), [(0, 0), (1, 0), (0, 1), (1, 1)])
@pytest.mark.parametrize("split", SPLITS)
def test_the_shares_of_the_fewest_honest_survivors_are_enough_together(
    split: Judging, dropouts: int, colluders: int
) -> None:
    of = SHARES.but({"privacy.dropouts": dropouts, "privacy.colluders": colluders})
    threshold = threshold_for(of, 6)
    honest = least_survivors(of, 6, threshold) - colluders
    whole = (deviation(of, split) * ONE) ** 2
    assert whole <= noise_in_evaluation(of, split, 6, threshold) * honest < whole * 1.0001
    assert noise_in_sum(of, split, 6, 6) >= deviation(of, split)
    # Five of six answered, or one was not there to be asked: then each of the others added more.
    five = noise_in_evaluation(of, split, 5, threshold_for(of, 5)) * 5
    assert noise_in_sum(of, split, 6, 5) == pytest.approx(math.sqrt(five) / ONE)
    alone = noise_in_evaluation(LOCAL, split, 6, 3)
    assert (deviation(LOCAL, split) * ONE) ** 2 <= alone  # under local trust each hospital has enough by itself
    assert noise_in_sum(LOCAL, split, 6, 6) == pytest.approx(deviation(LOCAL, split) * math.sqrt(6), rel=1e-6)


@given(
    classes=st.integers(2, 5),
    images=st.integers(1, 40),
    seed=st.integers(0, 2**31),
    sure=st.sampled_from([0.0, 1.5, 50.0]),
)
@settings(max_examples=60, deadline=None)
def test_no_patient_adds_more_than_the_noise_is_made_for(classes: int, images: int, seed: int, sure: float) -> None:
    added = counts_of(noised_scores.told(scored(classes, images, seed, sure)), images)
    blocks = noised_scores.blocks_of(classes)
    assert len(added) == noised_scores.cells_of(classes)
    assert int(added @ added) <= blocks * ONE**2
    assert ONE * blocks - len(added) <= int(added.sum()) <= ONE * blocks  # counted once in each, however many images


@given(
    findings=st.integers(1, 4),
    images=st.integers(1, 30),
    noise=st.sampled_from([0.0, 3.0, 300.0]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_so_with_findings_of_which_some_are_unknown(findings: int, images: int, noise: float, seed: int) -> None:
    section = Findings(name="findings", classes=tuple("abcd"[:findings]))
    sums = found_in(findings, images, seed)
    again = read_with_noise(section, told_of_one(section, sums), noise, seed)
    if not noise:
        assert again.images == images
        assert np.array_equal(again.histograms.sum(axis=2), sums.histograms.sum(axis=2))


def test_without_noise_the_figures_of_findings_are_those_of_levels() -> None:
    sums, noised = found_in(3, 3000), TASK.noised
    assert noised is not None
    back = noised.settled(noised.told(sums).astype(np.float64), Findings(name="findings", classes=("a", "b", "c")))
    exact, coarse = sums.figures(None), back.figures(None)
    for name, most in {"auroc": 0.01, "brier": 0.01, "sensitivity": 0.0, "calibration_error": 0.04}.items():
        assert abs(exact[name] - coarse[name]) <= most, name  # type: ignore[operator]
    assert back.mean_loss() == pytest.approx(sums.mean_loss(), abs=0.03)


def graded_in(grades: int, images: int, seed: int = 0) -> GradeSums:
    """Sum up images whose decided grade is mostly theirs, or the next."""
    rng = np.random.default_rng(seed)
    true = rng.integers(0, grades, images)
    decided = (true + rng.choice([-1, 0, 0, 0, 1], images)).clip(0, grades - 1)
    return GradeSums.of(true, decided, rng.exponential(0.5, images), grades)


@given(
    grades=st.integers(3, 6),
    images=st.integers(0, 30),
    noise=st.sampled_from([0.0, 3.0, 300.0]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_so_with_grades_which_are_counted_once_as_they_are_decided(
    grades: int, images: int, noise: float, seed: int
) -> None:
    section = Grades(name="grades", classes=tuple("abcdef"[:grades]))
    sums = graded_in(grades, images, seed)
    again = read_with_noise(section, told_of_one(section, sums), noise, seed)
    if not noise:
        assert np.array_equal(again.confusion, sums.confusion)
    if again.records:
        least, most = -math.log(0.75), -math.log(0.25)
        assert least - 1e-5 <= again.mean_loss() <= most + 1e-5  # type: ignore[operator]


def at_risk(times: int, images: int, seed: int = 0) -> RiskSums:
    """Sum up images of which those with a higher risk have the event earlier, and some are not followed until then."""
    rng = np.random.default_rng(seed)
    risk = np.sort(rng.uniform(0, 1, (images, times)), axis=1)
    survived = np.minimum(rng.geometric(0.1 + 0.6 * risk[:, -1]) - 1, times)
    event = ((rng.uniform(size=images) < 0.7) & (survived < times)).astype(np.int64)
    return RiskSums.of(survived, event, risk, rng.exponential(0.5, images))


@given(
    times=st.integers(1, 4),
    images=st.integers(0, 30),
    noise=st.sampled_from([0.0, 3.0, 300.0]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_so_with_risks_which_are_counted_once_at_each_time(times: int, images: int, noise: float, seed: int) -> None:
    section = Risk(name="risk", unit="years", times=(1.0, 2.0, 3.0, 4.0)[:times])
    sums = at_risk(times, images, seed)
    counts = told_of_one(section, sums)
    again = read_with_noise(section, counts, noise, seed)
    if not noise:
        assert np.array_equal(again.outcomes(), sums.outcomes())
        assert np.array_equal(RISKS.noised_sums().told(again), counts)


def test_without_noise_the_figures_of_risks_are_those_of_levels() -> None:
    sums, noised = at_risk(3, 3000), RISKS.noised_sums()
    counts = noised.told(sums).astype(np.float64)
    back = noised.settled(counts, Risk(name="risk", unit="years", times=(1.0, 2.0, 3.0)))
    exact, coarse = sums.figures(), back.figures()
    most = {"c_index": 0.01, "brier": 0.002, "brier_skill": 0.02, "calibration_error": 0.01, "excess_risk": 0.01}
    for name, off in most.items():
        assert abs(exact[name] - coarse[name]) <= off, name  # type: ignore[operator]


def test_the_loss_of_risks_is_that_of_the_mean_risk_of_an_outcome() -> None:
    """Nobody's risk by a year is but 1/16 or 7/16, so that the middles of levels are exact."""
    rng = np.random.default_rng(0)
    risk = rng.choice([1 / 16, 7 / 16], 400)[:, None]
    event = (rng.uniform(size=400) < 0.3).astype(np.int64)
    exact = np.where(event, -np.log(risk[:, 0]), -np.log(1 - risk[:, 0]))
    sums, noised = RiskSums.of(1 - event, event, risk, exact), RISKS.noised_sums()
    counts = noised.told(sums).astype(np.float64)
    found = noised.settled(counts, Risk(name="risk", unit="years", times=(1.0,))).mean_loss()
    had, free = risk[event == 1].mean(), risk[event == 0].mean()
    assert found == pytest.approx(-(event.sum() * np.log(had) + (400 - event.sum()) * np.log(1 - free)) / 400, abs=1e-5)
    assert found < exact.mean()  # the mean of risks, and not of what each loses


def outlined_in(structures: int, patients: int, seed: int = 0) -> OutlineSums:
    """Sum up patients in whom structures are found, missed, there for nothing, in many parts, or not measured."""
    rng = np.random.default_rng(seed)
    shape = (patients, structures)
    reference = rng.integers(200, 2000, shape) * (rng.uniform(size=shape) < 0.7)
    predicted = rng.integers(200, 2000, shape) * (rng.uniform(size=shape) < 0.8)
    both = np.minimum(reference, predicted)
    overlap = (both * rng.beta(6, 2, shape)).astype(np.int64)
    voxel = np.where(rng.uniform(size=patients) < 0.8, 0.01, np.nan)
    measured = (both > 0) & ~np.isnan(voxel)[:, None]
    distance = np.where(measured, rng.gamma(3, 2, shape), np.nan)
    parts = np.where(reference > 0, rng.integers(1, 12, shape), 0)
    touched = rng.binomial(parts, 0.7) * (predicted > 0)
    false = np.where(predicted > 0, rng.poisson(3, shape) + (reference == 0), 0)
    made = Outlines(reference, predicted, overlap, voxel, 2 * distance, distance, parts, touched, false)
    return OutlineSums.of(made, rng.exponential(0.5, patients))


@given(
    structures=st.integers(1, 3),
    patients=st.integers(0, 12),
    noise=st.sampled_from([0.0, 3.0, 300.0]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_so_with_outlines_of_which_a_patient_is_counted_five_times_a_structure(
    structures: int, patients: int, noise: float, seed: int
) -> None:
    section = Segmentation(name="segmentation", classes=tuple("abc"[:structures]))
    counts = np.zeros(OUTLINES.noised_sums().cells(section))
    for one in range(patients):
        counts += told_of_one(section, outlined_in(structures, 1, seed + one), whole=True)
    again = read_with_noise(section, counts, noise, seed)
    if not noise:
        assert again.patients == patients


def test_a_patient_counts_as_four_lesions_at_most_found_ones_in_proportion() -> None:
    def parts(reference: int, found: int, false: int) -> list[float]:
        one, none = np.ones((1, 1), np.int64), np.full((1, 1), np.nan)
        lesions = (np.full((1, 1), count) for count in (reference, found, false))
        alone = OutlineSums.of(Outlines(one, one, one, np.full(1, np.nan), none, none, *lesions), np.zeros(1))
        return [8 * float(cell) for cell in OUTLINES.noised_sums().told(alone)[-4:]]

    assert parts(2, 1, 0) == [1, 1, 0, 6]
    assert parts(4, 4, 4) == [4, 0, 4, 0]
    assert parts(12, 9, 100) == [3, 1, 4, 0]


def test_without_noise_the_figures_of_outlines_are_those_of_levels() -> None:
    section, noised = Segmentation(name="segmentation", classes=("a", "b")), OUTLINES.noised_sums()
    each = [outlined_in(2, 1, seed) for seed in range(1500)]
    exact, point = sum(each[1:], each[0]), None
    back = noised.settled(np.sum([noised.told(one) for one in each], axis=0), section)
    exactly = {"missed": 0.0, "false_alarms": 0.0, "unmeasured": 0.0}
    nearly = {"dice": 0.005, "dice_median": 0.02, "dice_worst_tenth": 0.03, "surface_distance": 0.1, "hausdorff": 0.2}
    roughly = {"volume_error": 0.2, "volume_excess": 0.2, "lesion_sensitivity": 0.01}
    for name, most in (exactly | nearly | roughly).items():
        first, second = (OUTLINES.metric(name).value(one, point) for one in (exact, back))
        assert abs(first - second) <= most, name  # type: ignore[operator]
    assert back.false_parts() < exact.false_parts()  # type: ignore[operator]
    assert back.mean_loss() == pytest.approx(1 - back.mean_dice(), abs=1e-5)  # type: ignore[operator]


AGES = Measurement(name="measurement", quantity="age", unit="years", low=20.0, high=80.0)


def measured_in(images: int, seed: int = 0, off: float = 4.0) -> MeasurementSums:
    """Sum up images of whose ages the told one is mostly ``off`` years wrong, or so."""
    rng = np.random.default_rng(seed)
    true = rng.uniform(20, 80, images)
    told = true + rng.laplace(1, off, images)
    error = (told - true) / 15  # in quarters of the range
    huber = np.where(np.abs(error) <= 1, error**2 / 2, np.abs(error) - 0.5)
    return MeasurementSums.of(true, told, huber, AGES.low, AGES.high)


@given(
    images=st.integers(0, 30),
    off=st.sampled_from([0.1, 4.0, 100.0]),
    noise=st.sampled_from([0.0, 3.0, 300.0]),
    seed=st.integers(0, 2**31),
)
@settings(max_examples=60, deadline=None)
def test_so_with_numbers_of_which_a_patient_adds_one_to_each_of_six_blocks(
    images: int, off: float, noise: float, seed: int
) -> None:
    sums = measured_in(images, seed, off)
    again = read_with_noise(AGES, told_of_one(AGES, sums, whole=images > 0), noise, seed)
    if not noise:
        assert np.array_equal(again.quarters, sums.quarters)


def test_without_noise_the_figures_of_numbers_are_exact_where_no_error_is_above_a_quarter_of_the_range() -> None:
    noised = NUMBERS.noised_sums()
    for off in (1.0, 20.0):
        each = [measured_in(1, seed, off) for seed in range(300)]
        exact = sum(each[1:], each[0])
        back = noised.settled(np.sum([noised.told(one) for one in each], axis=0), AGES)
        if off == 1.0:
            assert back.figures() == pytest.approx(exact.figures(), abs=1e-3)
            assert back.mean_loss() == pytest.approx(exact.mean_loss(), abs=1e-5)
        else:
            assert back.figures()["mae"] < min(15, exact.figures()["mae"])  # type: ignore[operator,type-var]
            assert back.mean_loss() < exact.mean_loss()  # type: ignore[operator]


@pytest.mark.parametrize("task", [CLASSES, TASK, GRADES, RISKS, OUTLINES, NUMBERS], ids=lambda task: task.name)
def test_each_figure_lies_between_its_limits_and_an_interval_may_end_there(task: Any) -> None:
    words = {
        "risk": {"unit": "years", "times": (1.0, 2.0, 3.0)},
        "measurement": {"quantity": "age", "unit": "years", "low": 20.0, "high": 80.0},
    }
    section = task.section(name=task.name, **words.get(task.name, {"classes": ("a", "b", "c")}))
    noised, rng = task.noised_sums(), np.random.default_rng(0)
    found = [noised.settled(rng.normal(0, 5, noised.cells(section)), section) for _ in range(200)]
    values = task.values(np.stack([one.to_vector() for one in found]), section, None, found[0])
    for name, of in values.items():
        least, most = noised.limits.get(name, (0.0, 1.0))
        assert np.all(np.isnan(of) | ((of >= least) & (of <= most))), name
        if name in noised.limits:
            assert np.any((of < 0) | (of > 1)), name  # they are needed


@pytest.mark.parametrize(("noise", "told"), [(0.0, None), (2.0, 60)])
def test_what_counts_with_noise_are_of_are_patients(noise: float, told: int | None) -> None:
    found = evaluate(Grades(name="grades", classes=("a", "b", "c")), graded_in(3, 60), None, noise=noise)
    assert (found.patients, found.images) == (told, 60)


@pytest.mark.parametrize("classes", [2, 3])
def test_the_bound_is_reached_so_that_less_noise_would_not_do(classes: int) -> None:
    added = counts_of(noised_scores.told(scored(classes, 1)), 1)
    assert int(added @ added) == noised_scores.blocks_of(classes) * ONE**2


def test_two_classes_are_one_block_and_each_of_more_one_with_one_for_what_is_decided() -> None:
    assert [noised_scores.blocks_of(classes) for classes in (2, 3, 4)] == [1, 4, 5]
    assert math.isclose(deviation(LOCAL, "test"), evaluation_event(LOCAL, "test").noise_multiplier)  # type: ignore[union-attr]
    three = LOCAL.but({"task.classes": ["a", "b", "c"]})
    assert deviation(three, "test") == pytest.approx(2 * deviation(LOCAL, "test"))


def test_levels_are_made_of_whole_bins() -> None:
    assert set(NOISED_EDGES) <= set(EDGES)
    assert len(NOISED_EDGES) == 18
    assert 0.5 in NOISED_EDGES


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_without_noise_the_figures_are_those_of_levels(classes: int) -> None:
    sums = scored(classes, 2000)
    back = noised_scores.settled(noised_scores.told(sums).astype(np.float64), classes)
    assert back.records == sums.records
    assert np.array_equal(back.confusion, sums.confusion)
    exact, coarse = sums.figures(None), back.figures(None)
    for name, most in {"auroc": 0.01, "brier": 0.01, "accuracy": 0.0, "calibration_error": 0.03}.items():
        assert abs(exact[name] - coarse[name]) <= most, name  # type: ignore[operator]
    assert back.mean_loss() == pytest.approx(sums.mean_loss(), abs=0.02)


@given(
    classes=st.integers(2, 4),
    noise=st.sampled_from([0.5, 5.0, 500.0]),
    seed=st.integers(0, 2**31),
    images=st.integers(0, 50),
)
@settings(max_examples=80, deadline=None)
def test_whatever_the_noise_is_the_sums_are_possible_ones(classes: int, noise: float, seed: int, images: int) -> None:
    counts = noised_scores.told(scored(classes, images, seed) if images else ScoreSums.empty(classes))
    noised = counts + np.random.default_rng(seed).normal(0, noise, len(counts))
    found = noised_scores.settled(noised, classes)
    again = ScoreSums.from_vector(found.to_vector(), classes)
    assert again.records == found.records
    point = point_of(LOCAL, found) if classes == 2 else None
    assert point is None or point in NOISED_EDGES


@given(st.lists(st.floats(-50, 50), min_size=1, max_size=6).map(np.array), st.integers(0, 60), st.integers(0, 2**31))
@settings(max_examples=60, deadline=None)
def test_possible_counts_add_up_and_no_others_are_nearer_before_rounding(
    noised: np.ndarray, records: int, seed: int
) -> None:
    found = possible(noised, records)
    assert found.sum() == records
    assert np.all(found >= 0)
    others = np.random.default_rng(seed).dirichlet(np.ones(len(noised)), 200) * records
    rounding = math.sqrt(len(noised))
    assert np.linalg.norm(found - noised) <= np.linalg.norm(others - noised, axis=1).min() + rounding


def test_sums_over_hospitals_are_read_back_and_others_are_refused() -> None:
    rng = np.random.default_rng(0)
    each = [NoisedCounts(1, 1, rng.integers(-(2**30), 2**30, 34)) for _ in range(3)]
    total = each[0] + each[1] + each[2]
    read = NoisedCounts.read(sum(one.to_vector() for one in each), 34, 1)  # type: ignore[arg-type]
    assert (read.hospitals, read.total.tolist()) == (3, total.total.tolist())
    assert NoisedCounts.empty(34, 1).records == 0
    for wrong in (np.zeros(34), -np.ones(35), np.full(35, 0.5), np.ones(35), np.r_[1, np.full(34, 2**46)]):
        with pytest.raises(MessageError):
            NoisedCounts.read(wrong, 34, 1)
    with pytest.raises(MessageError):
        NoisedCounts(1, 1, np.full(34, 2**44)).to_vector()


def test_whether_a_patient_is_counted_is_told_no_better_than_epsilon_allows() -> None:
    """The best test there is, by one who made up a model for the patient and knows everybody else's cell."""
    event, tries = evaluation_event(LOCAL, "test"), 400_000
    assert event is not None
    sigma, rng = event.noise_multiplier, np.random.default_rng(1)
    out, within = rng.normal(0, sigma, tries), rng.normal(1, sigma, tries)
    for cut in np.linspace(-2, 3 * sigma, 25):
        false, true = (out > cut).mean(), (within > cut).mean()
        assert true <= math.exp(2.0) * false + DP["delta"] + 4 * math.exp(2.0) * math.sqrt(0.25 / tries)
    assert norm.cdf(0.5 / sigma) < 0.65  # right so often, of those who took part in one evaluation and who did not


WITHOUT = {
    "secure": ({"secure": False}, "write secure = true"),
    "vote": ({"secure": True, "vote_margin": 0.2}, "vote_margin"),
}


@pytest.mark.parametrize("case", WITHOUT)
def test_noise_needs_secure_sums_and_no_votes(case: str) -> None:
    change, said = WITHOUT[case]
    tables = LOCAL.tables(nulls=False)
    with pytest.raises(StudyError, match=said):
        Study.of_tables(tables | {"aggregation": tables["aggregation"] | change}, where="a")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("levels", True),
        ("usual", 0.9),
        ("subgroups", [{"by": "sex"}]),
        ("maps", {"method": "grad-cam"}),
        ("recalibrated", True),
        ("external", ["b"]),
    ],
)
def test_nothing_without_noise_leaves_beside_it(key: str, value: Any) -> None:
    tables = LOCAL.tables(nulls=False)
    with pytest.raises(StudyError, match=rf"\[evaluation\] {key}: beside \[privacy\] evaluation_epsilon"):
        Study.of_tables(tables | {"evaluation": tables["evaluation"] | {key: value}}, where="a")


def test_a_task_whose_sums_get_no_noise_refuses_the_key() -> None:
    tables = LOCAL.tables(nulls=False)
    boxes = {"name": "detection", "classes": ["lesion"]}
    with pytest.raises(
        StudyError, match=r"evaluation_epsilon: the task 'detection' has sums that get no noise; remove the key"
    ):
        Study.of_tables(tables | {"task": boxes}, where="a")


def test_an_epsilon_that_no_noise_keeps_to_is_refused() -> None:
    with pytest.raises(PrivacyError, match="no noise keeps 20 evaluations within epsilon"):
        evaluation_event(LOCAL.but({"privacy.evaluation_epsilon": 1e-9, "privacy.delta": 1e-9}), "validation")


def told_by(of: Study) -> str:
    return " ".join(sentence for passage in describe(of) for sentence in passage.sentences)


@pytest.mark.parametrize("of", [LOCAL, SHARES], ids=["local", "shares"])
def test_a_study_says_what_leaves_and_what_it_costs(of: Study) -> None:
    said, vast = told_by(of), told_by(of.but({"privacy.evaluation_epsilon": 500.0}))
    assert "counts of the patients of a split, each of whom counts as one" in said
    assert "costs at most epsilon 2 at delta 0.001 over the whole study" in said
    assert ("its share of the noise" in said) == (of is SHARES)
    assert "evaluation sums: who reads them can become 7.4 times more certain, in odds" in said
    assert "These sums are exact" not in said
    assert "the evaluation sums, which are exact" not in said
    assert "such as a class, is that hospital's, with the noise of the sum" in said
    assert "who reads them can become almost without bound more certain" in vast


def test_a_study_without_the_key_has_the_digest_that_it_had() -> None:
    plain = LOCAL.but({"privacy.evaluation_epsilon": None})
    assert "evaluation_epsilon" not in plain.canonical().decode()
    assert not plain.noised
