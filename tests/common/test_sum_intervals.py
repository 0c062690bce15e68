"""Intervals that sums give are those of other programs, and of patients with several images too short."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit, logit
from scipy.stats import binomtest

from scored import Scored
from wardround_common.metrics.sum_intervals import of_area, of_fraction
from wardround_common.results import evaluate


@pytest.mark.parametrize("of", [1, 2, 12, 50, 1000])
def test_the_interval_of_a_fraction_is_scipys(of: int) -> None:
    for found in {0, 1, of // 3, of - 1, of}:
        expected = binomtest(found, of).proportion_ci(0.95, "wilson")
        assert of_fraction(found, of) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert of_fraction(0, of)[0] == 0.0
    assert of_fraction(of, of)[1] == 1.0


@pytest.mark.parametrize("seed", range(20))
def test_the_interval_of_an_area_is_delongs_counted_pair_by_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    found, rest = rng.integers(2, 10, rng.integers(2, 30)), rng.integers(0, 8, rng.integers(2, 30))  # many ties
    of_found = [np.mean([(one > other) + (one == other) / 2 for other in rest]) for one in found]
    of_rest = [np.mean([(one > other) + (one == other) / 2 for one in found]) for other in rest]
    half = 1.959963985 * np.sqrt(np.var(of_found, ddof=1) / len(found) + np.var(of_rest, ddof=1) / len(rest))
    area = float(np.mean(of_found))
    ends = expit(logit(area) + np.array([-half, half]) / (area * (1 - area))) if 0 < area < 1 else None
    interval = of_area(np.bincount(rest, minlength=12), np.bincount(found, minlength=12))
    if half == 0 or ends is None:
        assert interval is None
    else:
        assert interval == pytest.approx(tuple(ends), abs=1e-8)


def test_the_interval_of_an_area_near_1_holds_it_more_often_than_one_that_does_not_know_where_1_is() -> None:
    """Ten findings among a hundred images and an area of 0.933: the plain DeLong interval holds it in 80 % of sets."""
    rng, held, plain = np.random.default_rng(0), 0, 0
    for _ in range(1000):
        rest, found = rng.normal(size=90), rng.normal(2.12, 1, size=10)  # apart by 1.5 of their difference's deviation
        bins = np.digitize(np.concatenate([rest, found]), np.linspace(-4, 7, 1000))
        interval = of_area(np.bincount(bins[:90], minlength=1001), np.bincount(bins[90:], minlength=1001))
        if interval is None:
            continue
        low, high = logit(interval)
        area = expit((low + high) / 2)
        held += interval[0] <= 0.9331 <= interval[1]
        plain += abs(area - 0.9331) <= (high - low) / 2 * area * (1 - area)
    assert (round(held / 1000, 2), round(plain / 1000, 2)) == (0.91, 0.8)


def test_four_images_of_each_patient_that_say_the_same_halve_the_interval_of_sums_and_not_that_over_patients() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(rng.integers(0, 2, 150), 4)
    p = (1 / (1 + np.exp(-np.repeat(rng.normal(size=150), 4) - 1.5 * labels + 0.7))).astype(np.float32)
    scored = Scored(labels, np.stack([1 - p, p], axis=1), np.repeat(np.arange(150), 4))
    simulated, deployed = scored.judged(0.5, 1000), evaluate(scored.section, scored.sums(), 0.5)
    for name in ("auroc", "sensitivity", "specificity"):
        widths = [(one.high or 0) - (one.low or 0) for one in (simulated.metrics[name], deployed.metrics[name])]
        assert widths[1] / widths[0] == pytest.approx(1 / 2, abs=0.07)
