"""Averaging against the papers' own lines, and sums that do not depend on who answers first."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples import study
from wardround_common.errors import MessageError
from wardround_server.averaging import WeightedSum

ADAPTIVE = {"server_learning_rate": 0.1, "beta_1": 0.9, "tau": 1e-3}
STRATEGIES = {
    "fedavg": {},
    "fedavgm": {"server_learning_rate": 0.1, "server_momentum": 0.9},
    "fedprox": {"proximal_mu": 0.1},
    "fedadam": {**ADAPTIVE, "beta_2": 0.99},
    "fedyogi": {**ADAPTIVE, "beta_2": 0.99},
    "fedadagrad": ADAPTIVE,
}


@given(st.permutations(range(7)))
def test_the_sum_does_not_depend_on_who_answers_first(order: list[int]) -> None:
    rng = np.random.default_rng(0)
    updates = [(rng.normal(scale=10.0**-k, size=50).astype(np.float32), 10**k) for k in range(7)]
    total, again = WeightedSum(50), WeightedSum(50)
    for update, examples in updates:
        total.add(update, examples)
    for place in order:
        again.add(*updates[place])
    assert total.mean().tobytes() == again.mean().tobytes()


def test_the_mean_is_the_weighted_mean() -> None:
    rng = np.random.default_rng(1)
    updates, weights = rng.normal(size=(5, 1000)).astype(np.float32), [1, 10, 100, 7, 3]
    total = WeightedSum(1000)
    for update, weight in zip(updates, weights, strict=True):
        total.add(update, weight)
    expected = np.average(updates.astype(np.float64), axis=0, weights=weights)
    assert np.abs(total.mean() - expected).max() < 2.0**-31 * len(weights)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_a_diverged_update_is_refused_and_leaves_the_sum_untouched(value: float) -> None:
    total = WeightedSum(2)
    total.add(np.array([1.0, 2.0], np.float32), 3)
    with pytest.raises(MessageError):
        total.add(np.array([0.0, value], np.float32), 1)
    assert total.mean().tolist() == [1.0, 2.0]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_three_rounds_equal_the_paper_line_by_line(strategy: str) -> None:
    training = study(training={"strategy": strategy, **STRATEGIES[strategy]}).training
    rng = np.random.default_rng(2)
    parameters = rng.normal(size=5).astype(np.float32)
    moments = training.how.begin(training.values, 5)
    x = parameters.astype(np.float64)
    m, v = [0.0] * 5, [1e-6] * 5  # Reddi et al. 2021, algorithm 2: v starts at tau squared
    for _ in range(3):
        delta = rng.normal(size=5)
        moments, parameters = training.how.step(training.values, moments, parameters, delta)
        for i, d in enumerate(delta):
            if strategy in ("fedavg", "fedprox"):
                x[i] += d
                continue
            if strategy == "fedavgm":
                m[i] = 0.9 * m[i] + d
                x[i] += 0.1 * m[i]
                continue
            m[i] = 0.9 * m[i] + 0.1 * d
            if strategy == "fedadagrad":
                v[i] = v[i] + d**2
            elif strategy == "fedyogi":
                v[i] = v[i] - 0.01 * d**2 * np.sign(v[i] - d**2)
            else:
                v[i] = 0.99 * v[i] + 0.01 * d**2
            x[i] += 0.1 * m[i] / (np.sqrt(v[i]) + 1e-3)
    assert parameters == pytest.approx(x, rel=1e-5)
