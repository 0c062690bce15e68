"""The canary audit: its bound holds and is near, it stays under an honest claim, and it catches broken ones."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.stats import binom

import share
from examples import study
from wardround_client.preparation.examples import Examples
from wardround_client.training import noise
from wardround_client.training.local_work import PrivacyPlan, plan_privacy
from wardround_common.errors import PrivacyError
from wardround_common.randomness import Stream, insecure_stream
from wardround_common.study.file import Study
from wardround_simulation.attacks.bound import chance_of_so_many, epsilon_at_least
from wardround_simulation.attacks.canaries import CanaryAudit, audit, canaries_for, log_odds

CANARIES, ROUNDS, DELTA = 1500, 2, 1e-5


def audited(epsilon: float = 8.0, images: int = 1, seed: int = 0) -> tuple[CanaryAudit, float]:
    """Audit honest settings of this epsilon, and give what was found and what is claimed."""
    privacy = {
        "mechanism": "dp-sgd",
        "epsilon": epsilon,
        "delta": DELTA,
        "clip_norm": 1.0,
        "images_per_patient": images,
    }
    of = study(privacy=privacy, training={"batch_size": CANARIES // 2, "rounds": ROUNDS})
    plan = plan_of(of)
    streams = insecure_stream(seed, "auditor"), insecure_stream(seed, "hospital")
    steps = ROUNDS * plan.steps_a_round
    return audit(of, plan, steps, CANARIES, *streams, lambda done, of: None), plan.epsilon_after(ROUNDS)


def plan_of(of: Study) -> PrivacyPlan:
    plan = plan_privacy(of, CANARIES)
    assert plan is not None
    return plan


@pytest.mark.parametrize(
    ("canaries", "guesses", "right", "delta", "published"),
    [(1000, 100, 75, 1e-4, 0.673), (100_000, 1510, 1439, 1e-5, 2.675)],
)
def test_the_bound_is_the_published_one(
    canaries: int, guesses: int, right: int, delta: float, published: float
) -> None:
    """arXiv:2305.08846v1, appendix D and section 7."""
    assert epsilon_at_least(canaries, guesses, right, delta) == pytest.approx(published, abs=1e-3)


@pytest.mark.parametrize("epsilon", [0.0, 0.3, 2.0, 30.0])
@pytest.mark.parametrize(("guesses", "right"), [(1, 1), (7, 0), (40, 31), (300, 299), (300, 300)])
def test_the_chance_is_that_of_theorem_5_2_written_out(epsilon: float, guesses: int, right: int) -> None:
    likely = 1 / (1 + math.exp(-epsilon))
    beta = binom.sf(right - 1, guesses, likely)
    alpha = max((binom.cdf(right - 1, guesses, likely) - binom.cdf(right - i - 1, guesses, likely)) / i
                for i in range(1, right + 1)) if right else 0.0  # fmt: skip
    expected = min(1.0, beta + 2 * 500 * 1e-4 * alpha)
    assert chance_of_so_many(500, guesses, right, epsilon, 1e-4) == pytest.approx(expected, rel=1e-6, abs=1e-12)


def test_half_right_shows_nothing_and_all_right_shows_much() -> None:
    assert epsilon_at_least(1000, 1000, 500, 0) == 0
    assert epsilon_at_least(1000, 0, 0, 0) == 0
    bound = epsilon_at_least(1000, 1000, 1000, 0)
    assert bound == pytest.approx(math.log(0.05 ** (1 / 1000) / (1 - 0.05 ** (1 / 1000))), abs=1e-6)
    assert bound > 5.8


@pytest.mark.parametrize("epsilon", [0.5, 1.0, 3.0])
def test_randomised_response_is_hardly_ever_overestimated_and_nearly_found(epsilon: float) -> None:
    rng, canaries = np.random.default_rng(1), 3000
    right = rng.binomial(canaries, 1 / (1 + math.exp(-epsilon)), size=400)
    bounds = {int(v): epsilon_at_least(canaries, canaries, int(v), 0) for v in set(right)}
    found = np.array([bounds[int(v)] for v in right])
    assert binom.sf((found > epsilon).sum() - 1, 400, 0.05) > 1e-3  # at most 5 % of audits, up to chance
    assert np.median(found) > 0.8 * epsilon


@pytest.mark.parametrize("epsilon", [1.0, 8.0])
def test_an_honest_run_stays_under_its_claim_and_exceeds_a_tenth_of_it(epsilon: float) -> None:
    found, claimed = audited(epsilon)
    assert claimed / 10 < found.epsilon_at_least < claimed


def test_the_noise_is_found_without_being_told() -> None:
    found, _ = audited(8.0)
    of = study(
        privacy={"mechanism": "dp-sgd", "epsilon": 8.0, "delta": DELTA, "clip_norm": 1.0},
        training={"batch_size": CANARIES // 2, "rounds": ROUNDS},
    )
    assert found.noise_found == pytest.approx(plan_of(of).noise_multiplier, rel=0.03)


@pytest.mark.parametrize("factor", [0.0, 0.1])
def test_training_with_too_little_noise_is_caught(monkeypatch: pytest.MonkeyPatch, factor: float) -> None:
    honest = noise.write_numbers

    def less(stream: Stream, numbers: torch.Tensor, scale: float) -> torch.Tensor:
        return honest(stream, numbers, scale).mul_(factor).round_()

    monkeypatch.setattr(noise, "write_numbers", less)
    found, claimed = audited(1.0)
    assert found.epsilon_at_least > claimed


def test_protecting_images_where_patients_are_meant_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    def by_image(self: Examples) -> list[NDArray[np.int64]]:
        return list(np.arange(len(self)).reshape(-1, 1))

    monkeypatch.setattr(Examples, "places_by_patient", by_image)
    found, claimed = audited(1.0, images=6)
    assert found.epsilon_at_least > claimed


def test_the_clipping_and_noise_of_a_study_of_any_task_are_audited() -> None:
    dp = {"mechanism": "dp-sgd", "epsilon": 4.0, "delta": DELTA, "clip_norm": 1.0}
    usual = study(privacy=dp, training={"batch_size": CANARIES // 2, "rounds": 1})
    with share.installed():
        of = Study.model_validate(usual.tables() | {"task": {"name": "share"}})
        plan = plan_of(of)
        streams = [(insecure_stream(1, "auditor"), insecure_stream(1, "hospital")) for _ in range(2)]
        found, same = (
            audit(s, plan, 1, 50, *pair, lambda done, of: None) for s, pair in zip((of, usual), streams, strict=True)
        )
    assert found == same


def test_many_images_of_one_patient_are_no_more_than_one() -> None:
    found, claimed = audited(1.0, images=6)
    assert found.epsilon_at_least < claimed


def test_log_odds_are_those_of_the_mixture() -> None:
    along, noise, rate = np.array([[0.3], [-1.2], [2.0]]), 0.8, 0.25

    def density(x: float, mean: float) -> float:
        return math.exp(-((x - mean) ** 2) / (2 * noise**2))

    expected = sum(math.log((1 - rate) + rate * density(x, 1) / density(x, 0)) for x in along[:, 0])
    assert log_odds(along, noise, rate)[0] == pytest.approx(expected)
    assert log_odds(along, noise, 1.0)[0] == pytest.approx(
        sum(math.log(density(x, 1) / density(x, 0)) for x in along[:, 0])
    )


def test_a_study_without_epsilon_and_a_delta_too_large_are_refused() -> None:
    plan = PrivacyPlan(1e-5, 1.0, 1.0, 1)
    with pytest.raises(PrivacyError, match="no epsilon to audit"):
        audit(study(), plan, 1, 10, insecure_stream(0), insecure_stream(1), lambda done, of: None)
    with pytest.raises(PrivacyError, match="too large for an audit"):
        canaries_for(0.1, 1000)
    assert canaries_for(1e-5, 5000) == 5000
    assert canaries_for(1e-3, 5000) == 200
