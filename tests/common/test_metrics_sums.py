"""Sums over hospitals give the metrics of all their images together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from wardround_common.errors import MessageError, ModelError
from wardround_common.metrics import METRICS, ScoreSums, vector_length
from wardround_common.metrics.score_bins import BINS, EDGES, bins_of, edge_of
from wardround_common.results import evaluate
from wardround_common.tasks.classification import TWO_CLASSES

Group = tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float64]]


def group(seed: int, images: int, classes: int = 2, sharpness: float = 1.0) -> Group:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, images)
    logits = rng.normal(size=(images, classes)) * sharpness
    logits[np.arange(images), labels] += 1
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    losses = -np.log(p[np.arange(images), labels])
    return labels, p.astype(np.float32), losses


groups = st.builds(
    group, st.integers(0, 10_000), st.integers(1, 60), st.sampled_from([2, 3, 5]), st.sampled_from([0.1, 1.0, 8.0])
)


@given(groups, st.integers(0, 60))
def test_sums_of_two_hospitals_equal_the_sums_of_their_images_together(images: Group, cut: int) -> None:
    labels, p, losses = images
    parts = ScoreSums.of(labels[:cut], p[:cut], losses[:cut]) + ScoreSums.of(labels[cut:], p[cut:], losses[cut:])
    whole = ScoreSums.of(labels, p, losses)
    assert np.array_equal(parts.to_vector(), whole.to_vector())


@given(groups)
def test_the_order_of_images_changes_nothing(images: Group) -> None:
    labels, p, losses = images
    order = np.random.default_rng(len(labels)).permutation(len(labels))
    turned = ScoreSums.of(labels[order], p[order], losses[order])
    assert np.array_equal(turned.to_vector(), ScoreSums.of(labels, p, losses).to_vector())


@given(groups)
def test_a_vector_reads_back_as_the_same_sums(images: Group) -> None:
    sums = ScoreSums.of(*images)
    vector = sums.to_vector()
    assert vector.dtype == np.int64
    assert vector.shape == (vector_length(sums.classes),)
    for form in (vector, vector.astype(np.float64)):
        assert np.array_equal(ScoreSums.from_vector(form, sums.classes).to_vector(), vector)


@settings(max_examples=200)
@given(st.integers(0, 10_000), st.integers(2, 200), st.sampled_from([0.01, 0.1, 1.0, 10.0, 40.0]))
def test_auroc_from_sums_is_within_its_stated_margin(seed: int, images: int, sharpness: float) -> None:
    labels, p, losses = group(seed, images, sharpness=sharpness)
    sums = ScoreSums.of(labels, p, losses)
    if len(set(labels)) < 2:
        assert sums.auroc() is sums.auroc_margin() is None
    else:
        exact, near, margin = roc_auc_score(labels, p[:, 1]), sums.auroc(), sums.auroc_margin()
        assert near is not None
        assert margin is not None
        assert abs(near - exact) <= margin + 1e-12


def rare(prevalence: float, sureness: float, apart: float) -> tuple[NDArray[np.int64], NDArray[np.float32], ScoreSums]:
    """Make 40,000 calibrated scores of a finding, with log-odds that are then multiplied by ``sureness``."""
    rng = np.random.default_rng(0)
    labels = (rng.random(40_000) < prevalence).astype(np.int64)
    seen = rng.normal(size=len(labels)) + apart * labels
    odds = sureness * (np.log(prevalence / (1 - prevalence)) + apart * seen - apart**2 / 2)
    p = (1 / (1 + np.exp(-odds))).astype(np.float32)
    return labels, p, ScoreSums.of(labels, np.stack([1 - p, p], axis=1), np.zeros(len(p)))


@pytest.mark.parametrize("apart", [1.5, 3.0])
@pytest.mark.parametrize("sureness", [1.0, 4.0])
@pytest.mark.parametrize("prevalence", [0.5, 0.1, 0.02])
def test_a_rare_finding_and_a_network_that_is_too_sure_keep_ranking_and_operating_point(
    prevalence: float, sureness: float, apart: float
) -> None:
    labels, p, sums = rare(prevalence, sureness, apart)
    figures = sums.figures()
    assert figures["auroc"] == pytest.approx(roc_auc_score(labels, p), abs=2e-4 if sureness == 1 else 2e-3)
    assert figures["auprc"] == pytest.approx(average_precision_score(labels, p), abs=4e-3)
    exact = np.sort(p[labels == 1])[::-1][int(np.ceil(0.9 * labels.sum())) - 1]
    threshold = sums.operating_threshold(0.9)
    assert threshold is not None
    decided = sums.figures(threshold)
    assert decided["specificity"] == pytest.approx(np.mean(p[labels == 0] < exact), abs=0.03)
    assert 0.9 <= decided["sensitivity"] == np.mean(p[labels == 1] >= threshold) < 0.92


def test_even_bins_would_take_most_scores_of_a_rare_finding_for_ties() -> None:
    labels, p, sums = rare(0.02, 4.0, 1.5)
    even = np.floor(p * 1024)
    assert roc_auc_score(labels, even) < 0.65
    assert np.mean(even[labels == 1] == 0) > 0.1  # so that a sensitivity of 0.9 is only reached at a threshold of 0
    assert sums.auroc() == pytest.approx(roc_auc_score(labels, p), abs=2e-4)
    assert sums.auroc() > 0.84


@pytest.mark.parametrize(
    ("prevalence", "sureness", "told"), [(0.001, 4.0, True), (0.02, 4.0, False), (0.5, 1.0, False)]
)
def test_what_ties_could_move_is_told_where_it_can_be_seen(prevalence: float, sureness: float, told: bool) -> None:
    """One in 1,000 with log-odds four times too large: most scores lie below 10^-12, where bins end."""
    labels, p, sums = rare(prevalence, sureness, 1.5)
    site = evaluate(TWO_CLASSES, sums, 0.5)
    assert (site.margin is not None) is told
    value = site.value("auroc")
    assert value is not None
    assert abs(value - roc_auc_score(labels, p)) <= (site.margin or 0.005)


def test_bins_are_nowhere_wider_than_a_1024th_and_begin_at_what_a_float32_tells_apart() -> None:
    widths = np.diff(EDGES)
    assert widths.min() > 0
    assert widths.max() <= 1 / 1024
    assert np.array_equal(EDGES, EDGES.astype(np.float32))
    assert np.isin(np.arange(129) / 128, EDGES).all()
    assert bins_of(EDGES.astype(np.float32)).tolist() == [*range(BINS), BINS - 1]
    just_below = np.nextafter(EDGES[1:].astype(np.float32), np.float32(0))
    assert bins_of(just_below).tolist() == [*range(BINS)]
    assert [edge_of(edge) for edge in EDGES.tolist()] == [*range(BINS + 1)]


@pytest.mark.parametrize("classes", [2, 4])
def test_pooled_metrics_are_close_to_those_of_the_images(classes: int) -> None:
    labels, p, losses = group(1, 3000, classes)
    sums = ScoreSums.of(labels, p, losses)
    columns = [1] if classes == 2 else list(range(classes))
    auroc = np.mean([roc_auc_score(labels == k, p[:, k]) for k in columns])
    auprc = np.mean([average_precision_score(labels == k, p[:, k]) for k in columns])
    figures = sums.figures()
    assert sums.auroc() == pytest.approx(auroc, abs=1e-3)
    assert figures["auprc"] == pytest.approx(auprc, abs=2e-3)
    assert sums.mean_loss() == pytest.approx(losses.mean(), abs=1e-6)
    assert figures["accuracy"] == np.mean(p.argmax(axis=1) == labels)
    assert sums.records == 3000


@pytest.mark.parametrize("sensitivity", [0.5, 0.9, 0.999])
def test_the_operating_threshold_is_the_highest_bin_edge_that_reaches_the_sensitivity(sensitivity: float) -> None:
    labels, p, losses = group(2, 500)
    sums = ScoreSums.of(labels, p, losses)
    threshold = sums.operating_threshold(sensitivity)
    assert threshold is not None
    found = sums.figures(threshold)
    assert found["sensitivity"] == np.mean(p[labels == 1, 1] >= threshold)
    assert found["specificity"] == np.mean(p[labels == 0, 1] < threshold)
    reached, above = found["sensitivity"], sums.figures(EDGES[edge_of(threshold) + 1])["sensitivity"]
    assert reached is not None
    assert above is not None
    assert above < sensitivity <= reached


def test_no_image_and_one_class_give_none_rather_than_a_half() -> None:
    labels, p, losses = group(3, 20)
    nothing = ScoreSums.empty(2)
    assert nothing.mean_loss() is None
    assert nothing.figures(0.5) == dict.fromkeys(METRICS)
    healthy = ScoreSums.of(labels * 0, p, losses)
    assert healthy.auroc() is healthy.figures()["auprc"] is healthy.operating_threshold(0.9) is None
    assert healthy.figures(0.5)["sensitivity"] is None
    assert healthy.figures(0.5)["specificity"] is not None
    assert ScoreSums.of(labels * 0 + 1, p, losses).figures()["auprc"] is None


def test_a_class_that_does_not_occur_is_left_out_of_the_mean() -> None:
    labels, p, losses = group(4, 200, classes=4)
    labels = np.where(labels == 3, 0, labels)
    auroc = np.mean([roc_auc_score(labels == k, p[:, k]) for k in range(3)])
    assert ScoreSums.of(labels, p, losses).auroc() == pytest.approx(auroc, abs=2e-3)


def test_scores_at_both_ends_are_counted() -> None:
    p = np.array([[1, 0], [0, 1]], np.float32)
    sums = ScoreSums.of(np.array([0, 1]), p, np.array([0.0, np.inf]))
    assert sums.auroc() == 1.0
    assert sums.mean_loss() == 2**15  # an infinite loss is counted as the limit


def _spoil(position: int, value: float) -> NDArray[np.float64]:
    vector = ScoreSums.of(*group(5, 30)).to_vector().astype(np.float64)
    vector[position] = value
    return vector


@pytest.mark.parametrize(
    ("vector", "said"),
    [
        (np.zeros(7, np.int64), "numbers"),
        (np.zeros((1, vector_length(2)), np.int64), "numbers"),
        (np.zeros(vector_length(3), np.int64), "numbers"),
        (np.zeros(vector_length(2), np.float32), "int64 or float64"),
        (_spoil(-1, -1.0), "whole numbers"),
        (_spoil(-1, 0.5), "whole numbers"),
        (_spoil(-2, np.nan), "whole numbers"),
        (_spoil(-2, np.inf), "whole numbers"),
        (_spoil(0, 2.0**41), "whole numbers"),
        (_spoil(0, 1000.0), "contradict"),
        (_spoil(-4, 1000.0), "contradict"),
    ],
    ids=[
        "short",
        "folded",
        "other classes",
        "type",
        "negative",
        "part",
        "nan",
        "inf",
        "huge",
        "histogram",
        "confusion",
    ],
)
def test_a_vector_that_is_not_sums_is_refused(vector: NDArray[np.float64], said: str) -> None:
    with pytest.raises(MessageError, match=said):
        ScoreSums.from_vector(vector, 2)


def test_sums_of_other_classes_are_not_added() -> None:
    with pytest.raises(MessageError, match="classes"):
        ScoreSums.empty(2) + ScoreSums.empty(3)


@pytest.mark.parametrize("broken", ["probabilities", "losses", "labels", "shape"])
def test_a_model_that_diverged_is_an_error_not_a_number(broken: str) -> None:
    labels, p, losses = group(6, 10)
    if broken == "probabilities":
        p[3] = np.nan
    elif broken == "losses":
        losses[3] = np.nan
    elif broken == "labels":
        labels[3] = 2
    else:
        losses = losses[:5]
    with pytest.raises(ModelError):
        ScoreSums.of(labels, p, losses)
