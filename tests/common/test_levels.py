"""Scores counted in few levels: what they tell of a patient, and what stays of the figures."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score
from test_metrics_sums import rare

from examples import STUDY
from wardround_common.metrics.findings import FindingSums
from wardround_common.metrics.score_bins import BINS, EDGES, LEVEL_EDGES, LEVELS, bins_of, in_levels, level_edge
from wardround_common.metrics.sums import ScoreSums
from wardround_common.study.file import Study
from wardround_common.study.sums import in_levels as told
from wardround_common.study.sums import point_of
from wardround_common.study.template import usual_keys
from wardround_common.tasks.registry import TASKS

LEVELLED = Study.model_validate(STUDY).but({"evaluation.levels": True})


def drawn(images: int = 4000, sureness: float = 1.0) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Draw labels (images,) and probabilities (images, 2) of a fairly good model."""
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 2, images)
    odds = sureness * (rng.normal(size=images) * 1.5 + 2.25 * (labels - 0.5))
    p = (1 / (1 + np.exp(-odds))).astype(np.float32)
    return labels, np.stack([1 - p, p], axis=1)


def test_levels_are_made_of_whole_bins_and_each_is_counted_inside_itself() -> None:
    assert np.isin(LEVEL_EDGES, EDGES).all()
    assert (len(LEVEL_EDGES), LEVEL_EDGES[0], LEVEL_EDGES[-1]) == (LEVELS + 1, 0, 1)
    counts = in_levels(np.arange(BINS))
    assert counts.sum() == np.arange(BINS).sum()
    places = np.flatnonzero(in_levels(np.ones(BINS, np.int64)))
    assert len(places) == LEVELS
    assert np.all((EDGES[places] >= LEVEL_EDGES[:-1]) & (EDGES[places + 1] <= LEVEL_EDGES[1:]))


def test_two_scores_of_one_level_give_the_same_sums() -> None:
    label, losses = np.array([1]), np.zeros(1)
    for low, high in itertools.pairwise(LEVEL_EDGES):
        inside = np.float32([low, (low + high) / 2, np.nextafter(np.float32(high), np.float32(0))])
        sums = [ScoreSums.of(label, np.array([[1 - p, p]], np.float32), losses).in_levels() for p in inside]
        assert len({one.histograms.tobytes() for one in sums}) == 1


@pytest.mark.parametrize(("levels", "patients", "others"), [(False, (1, 2), 0.0004), (True, (4, 7), 0.023)])
def test_an_operating_point_lies_where_a_validation_patient_has_the_score(
    levels: bool, patients: tuple[int, int], others: float
) -> None:
    """Who has that patient's image finds it there; few others have a score there, and few of those who validate."""
    of, edges = (LEVELLED, LEVEL_EDGES) if levels else (Study.model_validate(STUDY), EDGES)
    rng, there, beside = np.random.default_rng(0), [], []
    for _ in range(60):
        labels = rng.integers(0, 2, 320)
        everybody = 1 / (1 + np.exp(-2 * rng.normal(1.05, 1.0, 20_000)))  # others with the finding, AUROC 0.93
        p = 1 / (1 + np.exp(-2 * rng.normal(np.where(labels, 1.05, -1.05), 1.0)))
        both = np.stack([1 - p, p], axis=1).astype(np.float32)
        point = point_of(of, told(of, ScoreSums.of(labels, both, np.zeros(320))))
        assert isinstance(point, float)
        end = edges[np.searchsorted(edges, point) + 1]
        there.append(np.count_nonzero((both[labels == 1, 1] >= point) & (both[labels == 1, 1] < end)))
        beside.append(np.mean((everybody >= point) & (everybody < end)))
    assert min(there) >= 1
    assert patients[0] <= np.median(there) < patients[1]
    assert np.mean(beside) == pytest.approx(others, rel=0.3)


def test_images_are_decided_at_the_operating_point_as_they_were_counted() -> None:
    labels, p = drawn()
    sums = told(LEVELLED, ScoreSums.of(labels, p, np.zeros(len(labels))))
    point = point_of(LEVELLED, sums)
    assert point in LEVEL_EDGES
    figures = sums.figures(point)
    assert figures["sensitivity"] == np.mean(p[labels == 1, 1] >= point) >= LEVELLED.evaluation.sensitivity
    assert figures["specificity"] == np.mean(p[labels == 0, 1] < point)
    higher = LEVEL_EDGES[np.searchsorted(LEVEL_EDGES, point) + 1]
    assert np.mean(p[labels == 1, 1] >= higher) < LEVELLED.evaluation.sensitivity


@pytest.mark.parametrize("sureness", [0.5, 1.0, 4.0])
def test_figures_of_levels_are_near_those_of_the_scores(sureness: float) -> None:
    labels, p = drawn(sureness=sureness)
    exact = ScoreSums.of(labels, p, np.zeros(len(labels)))
    sums = exact.in_levels()
    found, margin = sums.figures(), sums.auroc_margin()
    assert margin is not None
    assert abs(found["auroc"] - roc_auc_score(labels, p[:, 1])) < min(margin, 0.003)
    assert found["calibration_error"] == pytest.approx(exact.figures()["calibration_error"], abs=1 / 32)
    assert (found["brier"], found["accuracy"]) == (exact.figures()["brier"], exact.figures()["accuracy"])
    assert np.array_equal(ScoreSums.from_vector(sums.to_vector(), 2).to_vector(), sums.to_vector())


@pytest.mark.parametrize("apart", [0.8, 1.5, 3.0])
@pytest.mark.parametrize("sureness", [1.0, 4.0])
@pytest.mark.parametrize("prevalence", [0.5, 0.1, 0.02])
def test_a_rare_finding_and_a_network_that_is_too_sure_keep_a_ranking_and_a_point(
    prevalence: float, sureness: float, apart: float
) -> None:
    labels, p, exact = rare(prevalence, sureness, apart)
    lost = roc_auc_score(labels, p) - exact.in_levels().figures()["auroc"]
    assert -1e-4 < lost < (0.004 if apart > 1 else 0.012)
    point = point_of(LEVELLED, exact.in_levels())
    assert point is not None
    exactly = exact.figures(exact.operating_threshold(0.9))["specificity"]
    assert exact.figures(point)["sensitivity"] < 0.98
    assert exactly - exact.figures(point)["specificity"] < (0.1 if apart > 1 else 0.18)


def test_findings_are_counted_in_levels_and_have_a_point_and_a_margin_each() -> None:
    labels, p = drawn()
    known = np.stack([labels, 1 - labels, np.full(len(labels), -1)], axis=1)
    scores = np.stack([p[:, 1], p[:, 0], p[:, 1]], axis=1)
    exact = FindingSums.of(known, scores, np.zeros(len(labels)))
    of = Study.model_validate(STUDY | {"task": {"name": "findings", "classes": ["a", "b", "c"]}})
    levelled = of.but({"evaluation.levels": True})
    sums, points = told(levelled, exact), point_of(levelled, told(levelled, exact))
    assert isinstance(points, tuple)
    assert points[0] in LEVEL_EDGES
    assert points[2] is None
    assert sums.one(0).figures(points[0])["sensitivity"] == np.mean(p[labels == 1, 1] >= points[0])
    assert exact.auroc_margin() < 0.001 < sums.auroc_margin()
    assert np.array_equal(told(of, exact).to_vector(), exact.to_vector())
    assert point_of(of, exact) == exact.operating_points(0.9)


def test_a_threshold_is_lowered_to_where_its_level_begins() -> None:
    assert [level_edge(t) for t in (0.0, 2.0**-41, 0.0625, 0.12, 0.5, 0.55, 1.0)] == [0, 0, 0.0625, 0.0625, 0.5, 0.5, 1]
    assert all(level_edge(float(EDGES[place])) <= EDGES[place] for place in bins_of(LEVEL_EDGES.astype(np.float32)))


@pytest.mark.parametrize("name", sorted(TASKS))
def test_a_task_without_scores_refuses_levels(name: str) -> None:
    tables = STUDY | {"task": dict(usual_keys(name)), "evaluation": STUDY["evaluation"] | {"levels": True}}
    if TASKS[name].in_levels:
        assert Study.model_validate(tables).evaluation.levels
        return
    with pytest.raises(ValueError, match=r"levels: .* counts no scores that could be counted in levels; remove"):
        Study.model_validate(tables)
