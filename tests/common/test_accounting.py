"""The account of epsilon, against closed forms, Google's dp-accounting and published tables."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from wardround_common.errors import PrivacyError
from wardround_common.privacy import privacy_loss
from wardround_common.privacy.accounting import SampledGaussian, before_rounds, epsilon_of, noise_multiplier_for
from wardround_common.privacy.privacy_loss import composed_epsilon, step_loss
from wardround_common.study.privacy import DpSgd

GRID = json.loads((Path(__file__).parents[1] / "reference" / "dp_accounting.json").read_text())["rows"]
FIFTY = tuple(SampledGaussian(2.0 + 0.03 * k, 0.02 + 0.004 * k, 50 + 9 * k) for k in range(50))


def gaussian_epsilon(mu: float, delta: float) -> float:
    """Solve the closed form of a Gaussian sum without sampling (Balle and Wang, ICML 2018, theorem 5), by halving."""

    def cdf(x: float) -> float:
        return 0.5 * math.erfc(-x / math.sqrt(2))

    low, high = 0.0, 200.0
    for _ in range(100):
        middle = (low + high) / 2
        spent = cdf(mu / 2 - middle / mu) - math.exp(middle) * cdf(-mu / 2 - middle / mu)
        low, high = (middle, high) if spent > delta else (low, middle)
    return high


@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-8, 1e-10])
@pytest.mark.parametrize(("noise", "steps"), [(0.3, 1), (1.0, 1), (5.0, 30), (50.0, 1), (10.0, 1000), (30.0, 10_000)])
def test_without_sampling_epsilon_is_the_closed_form_and_never_below_it(noise: float, steps: int, delta: float) -> None:
    exact = gaussian_epsilon(math.sqrt(steps) / noise, delta)
    assert exact <= epsilon_of(SampledGaussian(noise, 1.0, steps), delta) <= 1.0005 * exact + 1e-5


@pytest.mark.parametrize(("epsilon", "of_two", "beyond"), [(0.1, 0.213, 111), (1.0, 2.15, 16), (8.0, 19.1, 3.6)])
def test_what_docs_say_of_a_person_counted_twice_and_of_odds_beyond_epsilon(
    epsilon: float, of_two: float, beyond: float
) -> None:
    """docs/privacy.md, sections 1 and 2: neither is twice epsilon at the same delta, nor a chance of delta."""
    delta = 1e-5
    low, high = 1e-3, 10.0  # how far one patient moves a sum, in standard deviations of its noise
    for _ in range(60):
        mu = (low + high) / 2
        low, high = (mu, high) if gaussian_epsilon(mu, delta) < epsilon else (low, mu)
    assert epsilon_of(SampledGaussian(1 / mu, 1.0, 1), delta) == pytest.approx(epsilon, rel=1e-3)
    assert epsilon_of(SampledGaussian(1 / (2 * mu), 1.0, 1), delta) == pytest.approx(of_two, rel=5e-3)
    assert gaussian_epsilon(2 * mu, (1 + math.exp(epsilon)) * delta) <= 2 * epsilon < of_two

    def chance_beyond(loss: float) -> float:
        return 0.5 * math.erfc((loss / mu - mu / 2) / math.sqrt(2))

    assert chance_beyond(epsilon) / delta == pytest.approx(beyond, rel=0.02)
    for more in (0.01, 0.1, 1.0):
        assert chance_beyond(epsilon + more) <= delta / -math.expm1(-more)


@pytest.mark.parametrize("rate", [0.05, 0.5])
def test_two_patients_of_one_person_are_within_the_bound_of_a_group_and_beyond_twice_epsilon_at_delta(
    rate: float,
) -> None:
    """One sampled sum, by its densities on a grid: each of the two is drawn by itself."""
    noise, delta = 0.8, 1e-5
    epsilon = epsilon_of(SampledGaussian(noise, rate, 1), delta)
    place = np.linspace(-12, 14, 400_001)

    def density(drawn: int) -> NDArray[np.float64]:
        found: NDArray[np.float64] = np.exp(-((place - drawn) ** 2) / (2 * noise**2)) / (noise * math.sqrt(2 * math.pi))
        return found

    without, chances = density(0), [(1 - rate) ** 2, 2 * rate * (1 - rate), rate**2]
    both = sum(chance * density(drawn) for drawn, chance in enumerate(chances))
    step = place[1] - place[0]
    spent = max(
        float(np.clip(one - math.exp(2 * epsilon) * other, 0, None).sum() * step)
        for one, other in ((both, without), (without, both))
    )
    assert delta < spent <= (1 + math.exp(epsilon)) * delta


def test_unlike_sums_without_sampling_have_a_closed_form_too() -> None:
    events = [SampledGaussian(3.0, 1.0, 4), SampledGaussian(9.0, 1.0, 100), SampledGaussian(20.0, 1.0, 300)]
    exact = gaussian_epsilon(math.sqrt(4 / 9 + 100 / 81 + 300 / 400), 1e-6)
    assert exact <= epsilon_of(events, 1e-6) <= 1.0005 * exact


def of(row: dict[str, Any]) -> float:
    return epsilon_of([SampledGaussian(*event) for event in row["events"]], row["delta"])


@pytest.mark.slow
def test_the_grid_agrees_with_googles_privacy_loss_distributions() -> None:
    """Both are upper bounds, each with its own looseness; dp-accounting's grid of 1e-4 shows at small epsilons."""
    far = [(row, of(row)) for row in GRID if of(row) != pytest.approx(row["pld"], rel=2e-3, abs=5e-4)]
    assert len(GRID) > 100
    assert far == []


@pytest.mark.slow
def test_the_account_is_never_above_renyi_accounting() -> None:
    assert [row for row in GRID if of(row) > row["rdp"] + 1e-6] == []


# TensorFlow Privacy's table, by Rényi divergences of Poisson samples with the conversion of Mironov 2017: MNIST,
# 256 of 60,000 a step, delta 1e-5 (github.com/tensorflow/privacy, tutorials/README.md, "Select Parameters").
# The first row of Bu, Dong, Long and Su (Harvard Data Science Review 2020, figure 4): the moments accountant.
PUBLISHED = [(1.12, 60, 2.92), (0.6, 30, 9.74), (1.2, 10, 1.20), (1.3, 20, 1.34)]


def renyi_epsilon(noise: float, rate: float, steps: int, delta: float) -> float:
    """Account as they did (Mironov, Talwar and Zhang 2019, section 3.3; then rdp + log(1/delta) / (order - 1)).

    Whole orders only: where the best is a fraction, or they counted whole steps an epoch, this is up to a percent
    higher.
    """
    best = math.inf
    for order in range(2, 65):
        terms = [
            math.log(math.comb(order, k))
            + k * math.log(rate)
            + (order - k) * math.log1p(-rate)
            + (k * k - k) / (2 * noise**2)
            for k in range(order + 1)
        ]
        top = max(terms)
        moment = top + math.log(sum(math.exp(term - top) for term in terms))
        best = min(best, (steps * moment + math.log(1 / delta)) / (order - 1))
    return best


@pytest.mark.parametrize(("noise", "epochs", "published"), PUBLISHED)
def test_published_epsilons_are_reproduced_and_ours_is_below_them(noise: float, epochs: int, published: float) -> None:
    rate, steps = 256 / 60_000, epochs * 60_000 // 256
    assert renyi_epsilon(noise, rate, steps, 1e-5) == pytest.approx(published, rel=0.01)
    # A Rényi bound keeps one moment of the loss and Markov's inequality, so it is loose; how much is known: 10 to 35 %.
    assert 0.65 * published < epsilon_of(SampledGaussian(noise, rate, steps), 1e-5) < 0.92 * published


@pytest.mark.slow
@settings(max_examples=15, deadline=None)
@given(
    noise=st.floats(0.5, 20.0),
    rate=st.floats(0.001, 1.0),
    steps=st.integers(1, 500),
    delta=st.sampled_from([1e-3, 1e-5, 1e-7]),
)
def test_epsilon_falls_with_noise_and_delta_and_grows_with_rate_and_steps(
    noise: float, rate: float, steps: int, delta: float
) -> None:
    here = epsilon_of(SampledGaussian(noise, rate, steps), delta)
    slack = 1.001 * here + 1e-6  # each bound is loose by less than a thousandth
    assert epsilon_of(SampledGaussian(1.2 * noise, rate, steps), delta) <= slack
    assert epsilon_of(SampledGaussian(noise, 0.8 * rate, steps), delta) <= slack
    assert epsilon_of(SampledGaussian(noise, rate, 2 * steps), delta) * 1.001 + 1e-6 >= here
    assert epsilon_of(SampledGaussian(noise, rate, steps), delta * 10) <= slack


@pytest.mark.parametrize(("noise", "rate"), [(1.0, 1.0), (0.7, 0.3), (3.0, 0.01)])
def test_of_a_step_only_the_highest_losses_are_cut_off_and_no_more_than_stated(noise: float, rate: float) -> None:
    cut = 0.2  # so large that it shows
    loss = step_loss(noise, rate, 2.0**-8, cut)
    place = np.linspace(-12.0 * noise, 1.0 + 12.0 * noise, 400_001)
    without = np.exp(-((place / noise) ** 2) / 2)
    moved = np.exp(-(((place - 1.0) / noise) ** 2) / 2)
    without, moved = without / without.sum(), moved / moved.sum()
    of = np.log(((1 - rate) * without + rate * moved) / without)
    kept_with = ((1 - rate) * without + rate * moved) @ (of <= 2.0**-8 * (loss.removed_first + len(loss.removed) - 1))
    kept_without = without @ (-of <= 2.0**-8 * (loss.added_first + len(loss.added) - 1))
    assert loss.removed.sum() == pytest.approx(float(kept_with), abs=1e-3)
    assert loss.added.sum() == pytest.approx(float(kept_without), abs=1e-3)
    assert 1 - cut < loss.removed.sum() < 1 > loss.added.sum() > 1 - cut


@pytest.mark.parametrize("noise", [0.5, 1.0])
def test_what_is_cut_off_is_paid_for_out_of_delta(monkeypatch: pytest.MonkeyPatch, noise: float) -> None:
    monkeypatch.setattr(privacy_loss, "_CUT", 0.25)  # so large that it shows
    exact = gaussian_epsilon(1 / noise, 1e-5)
    assert exact * 1.02 < composed_epsilon(((noise, 1.0, 1),), 1e-5) < 1.1 * exact


def test_all_steps_together_cut_off_no_more_than_is_paid_for(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def noted(noise: float, rate: float, grid: float, cut: float) -> privacy_loss.StepLoss:
        loss = step_loss(noise, rate, grid, cut)
        seen.append(1 - min(loss.removed.sum(), loss.added.sum()))
        return loss

    monkeypatch.setattr(privacy_loss, "step_loss", noted)
    monkeypatch.setattr(privacy_loss, "_CUT", 0.25)
    composed_epsilon(((3.0, 1.0, 1000), (2.0, 0.1, 500)), 1e-5)
    assert 0 < max(seen[-2:]) * 1500 <= 0.25e-5


@settings(max_examples=30, deadline=None)
@given(noise=st.floats(0.3, 50.0), rate=st.floats(1e-4, 1.0), grid=st.sampled_from([2.0**-4, 2.0**-8]))
def test_a_step_keeps_its_mass_in_both_directions(noise: float, rate: float, grid: float) -> None:
    loss = step_loss(noise, rate, grid, 1e-12)
    for mass, first in ((loss.removed, loss.removed_first), (loss.added, loss.added_first)):
        assert (mass >= 0).all()
        assert mass.sum() == pytest.approx(1, abs=1e-11)
        # Under its own law the likelihood ratio's inverse has mean 1, or less where mass was cut off or raised.
        inverse = sum(m * math.exp(-(first + k) * grid) for k, m in enumerate(mass.tolist()) if m > 0)
        assert inverse == pytest.approx(1, abs=1e-9)


def test_the_order_of_events_and_how_steps_are_cut_mean_nothing() -> None:
    one = SampledGaussian(2.0, 0.1, 100)
    other = SampledGaussian(4.0, 0.3, 10)
    whole = epsilon_of((one, other), 1e-5)
    assert epsilon_of([other, one], 1e-5) == whole
    assert epsilon_of((SampledGaussian(2.0, 0.1, 40), other, SampledGaussian(2.0, 0.1, 60)), 1e-5) == whole


def test_composing_costs_more_than_each_and_less_than_the_sum() -> None:
    alone = [epsilon_of(event, 1e-5) for event in FIFTY[:5]]
    assert max(alone) < epsilon_of(FIFTY[:5], 1e-5) < sum(alone)


def test_fifty_studies_are_composed_within_seconds() -> None:
    start = time.process_time()
    assert 30 < epsilon_of(FIFTY, 1e-5) < 300
    assert time.process_time() - start < 5


def test_a_history_is_computed_once() -> None:
    epsilon_of(FIFTY[:10], 1e-6)
    start = time.process_time()
    for _ in range(1000):
        epsilon_of(FIFTY[:10], 1e-6)
    assert time.process_time() - start < 1


@pytest.mark.parametrize("nothing", [(), [SampledGaussian(1.0, 0.1, 0)], SampledGaussian(1.0, 0.0, 10)])
def test_nothing_done_costs_nothing(nothing: Any) -> None:
    assert epsilon_of(nothing, 1e-5) == 0


def test_no_noise_has_no_bound() -> None:
    assert epsilon_of(SampledGaussian(0.0, 0.1, 1), 1e-5) == math.inf
    assert epsilon_of([SampledGaussian(5.0, 0.1, 1), SampledGaussian(1e-3, 0.1, 1)], 1e-5) == math.inf


@pytest.mark.parametrize("delta", [0.0, -1e-5, 1.0, 1e-12, math.nan])
def test_an_account_at_an_impossible_delta_is_refused(delta: float) -> None:
    with pytest.raises(PrivacyError, match="epsilon cannot be computed at delta"):
        epsilon_of(SampledGaussian(1.0, 0.1, 1), delta)


@pytest.mark.parametrize(
    "wrong", [(-1.0, 0.1, 1), (math.nan, 0.1, 1), (1.0, 1.1, 1), (1.0, math.nan, 1), (1.0, 0.1, -1)]
)
def test_an_event_that_cannot_have_happened_is_refused(wrong: tuple[float, float, int]) -> None:
    with pytest.raises(PrivacyError):
        SampledGaussian(*wrong)


def test_an_event_of_an_unknown_kind_is_refused_and_never_skipped() -> None:
    class Laplace:
        pass

    with pytest.raises(PrivacyError, match="unknown kind: Laplace"):
        epsilon_of([SampledGaussian(1.0, 0.1, 1), Laplace()], 1e-5)  # type: ignore[list-item]

    class WithoutReplacement(SampledGaussian):
        """A kind that is made of the known one costs something else all the same."""

    with pytest.raises(PrivacyError, match="unknown kind: WithoutReplacement"):
        epsilon_of(WithoutReplacement(1.0, 0.1, 1), 1e-5)


def test_noise_is_planned_for_the_rounds_and_for_what_comes_before_them_together() -> None:
    terms = {"mechanism": "dp-sgd", "epsilon": 3.0, "delta": 1e-5, "clip_norm": 1.0}
    alone, part = (DpSgd.model_validate(terms | more) for more in ({}, {"normalisation_epsilon": 1.0}))
    before, steps = before_rounds(part), (0.25, 40)
    assert before is not None
    assert 0.98 < epsilon_of(before, 1e-5) <= 1.0
    both = epsilon_of((before, SampledGaussian(noise_multiplier_for(part, *steps), *steps)), 1e-5)
    assert 2.96 < both <= 3.0 < epsilon_of((before, SampledGaussian(noise_multiplier_for(alone, *steps), *steps)), 1e-5)


@pytest.mark.parametrize(
    ("epsilon", "rate", "steps"), [(0.1, 0.02, 50), (1.0, 0.25, 120), (8.0, 0.25, 120), (8.0, 1.0, 1)]
)
def test_the_noise_keeps_to_epsilon_and_half_a_percent_less_does_not(epsilon: float, rate: float, steps: int) -> None:
    privacy = DpSgd(mechanism="dp-sgd", epsilon=epsilon, delta=1e-5, clip_norm=1.0)
    noise = noise_multiplier_for(privacy, rate, steps)
    assert epsilon_of(SampledGaussian(noise, rate, steps), 1e-5) <= epsilon
    assert epsilon_of(SampledGaussian(noise / 1.0051, rate, steps), 1e-5) > epsilon


def test_an_epsilon_that_no_noise_reaches_is_refused() -> None:
    privacy = DpSgd(mechanism="dp-sgd", epsilon=1e-9, delta=1e-9, clip_norm=1.0)
    with pytest.raises(PrivacyError, match="no noise keeps 1000 steps within epsilon 1e-09"):
        noise_multiplier_for(privacy, 1.0, 1000)
