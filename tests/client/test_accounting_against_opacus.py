"""Our account beside the accountants of Opacus, which trains with us and which reviewers know."""

from __future__ import annotations

import warnings

import pytest

from wardround_client.training.accounting import SampledGaussian, epsilon_of

HISTORIES = [
    [(1.1, 256 / 60_000, 14_062)],
    [(0.7, 0.01, 1_000)],
    [(2.0, 0.25, 120)],
    [(10.4, 0.25, 120)],
    [(1.8, 0.05, 600), (3.0, 0.2, 50), (6.0, 0.5, 20)],
]


@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-7])
@pytest.mark.parametrize("history", HISTORIES)
def test_ours_lies_between_the_bounds_of_opacus(history: list[tuple[float, float, int]], delta: float) -> None:
    from opacus.accountants import PRVAccountant, RDPAccountant

    ours = epsilon_of([SampledGaussian(*event) for event in history], delta)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both speak of their own discretisation
        prv, renyi = PRVAccountant(), RDPAccountant()
        prv.history, renyi.history = history, history
        upper = prv.get_epsilon(delta, eps_error=0.02)  # the true epsilon lies within 0.02 of the estimate's two sides
        most = renyi.get_epsilon(delta)
    assert upper - 0.04 - 1e-3 <= ours <= upper
    assert ours <= most
