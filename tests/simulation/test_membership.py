"""Membership inference: it finds who was trained on where a model remembers, and next to nobody with noise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from test_run import phantom_study

from wardround_common.errors import RoundError
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study
from wardround_server.rounds.course import run_study
from wardround_simulation.attacks.membership import (
    Membership,
    Seen,
    _hospitals,
    _InThisProcess,
    attack,
    auroc,
    caught_at,
    judge,
    likelihood_ratio,
    train_shadow,
)
from wardround_simulation.federation import Federation, open_hospital
from wardround_simulation.phantoms import CLASSES, SCANNERS, make_hospital
from wardround_simulation.places import Places, sites_in
from wardround_simulation.workers import InThisProcess

REMEMBERS = {"rounds": 1, "local_epochs": 100.0, "learning_rate": 3e-3, "optimiser": "adamw", "batch_size": 30}


def attacked(federation: Federation) -> Membership:
    """Train a federation and attack its model."""
    exchange = _InThisProcess(_hospitals(federation))
    model = run_study(federation.study, exchange, lambda event: None, None, None).parameters
    return attack(federation, model, 4, InThisProcess(), lambda done, of: None)


@pytest.fixture(scope="module")
def federation_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Study], Federation]:
    """Return federations of one hospital of sixty patients, labelled at random: what is learnt is remembered."""
    folder = tmp_path_factory.mktemp("members")
    make_hospital(folder / "hospitals" / "one", SCANNERS[0], seed=5, patients=60)
    labels = folder / "hospitals" / "one" / "labels.csv"
    head, *lines = labels.read_text().splitlines()
    drawn = insecure_stream(5, "labels").uniform(len(lines)) < 0.5
    rows = [line.split(",") for line in lines]  # file, patient, label, time, event
    relabelled = [",".join([*row[:2], CLASSES[int(word)], *row[3:]]) for row, word in zip(rows, drawn, strict=True)]
    labels.write_text("\n".join([head, *relabelled]))
    sites = sites_in(folder / "hospitals", places(folder / "state"))
    return lambda of: Federation(of, sites)


def places(state: Path) -> Places:
    return Places(None, None, frozenset(), state)


def alone(**sections: dict[str, object]) -> Study:
    return phantom_study(aggregation={"min_hospitals": 1}, evaluation={"validation": 0.25, "test": 0.25}, **sections)


@pytest.mark.slow
def test_a_model_that_remembers_tells_its_patients(federation_of: Callable[[Study], Federation]) -> None:
    found = attacked(federation_of(alone(training=REMEMBERS, model={"network": "tiny-cnn"})))
    assert (found.members, found.others) == (30, 30)
    assert found.auroc.value > 0.75
    assert found.auroc.low > 0.5


@pytest.mark.slow
def test_a_model_with_much_noise_does_not(federation_of: Callable[[Study], Federation]) -> None:
    dp = {"mechanism": "dp-sgd", "epsilon": 0.5, "delta": 1e-3, "clip_norm": 1.0}
    found = attacked(federation_of(alone(privacy=dp)))
    assert (found.members, found.others) == (30, 30)
    assert found.auroc.low < 0.5 < found.auroc.high


def test_a_shadow_trains_on_as_many_patients_drawn_anew(hospitals: Path, state: Path) -> None:
    federation = Federation(alone(), sites_in(hospitals, places(state))[:1])
    first, second, again = (train_shadow(federation, number) for number in (0, 1, 0))
    real = open_hospital(federation, federation.sites[0].name).dataset.train.patient_count
    assert first.trained.sum() == second.trained.sum() == real
    assert not np.array_equal(first.trained, second.trained)
    assert np.array_equal(first.confidence, again.confidence)


def test_the_likelihood_ratio_finds_members_that_loss_alone_does_not() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0, 5, 2000)  # how hard a patient is hides whether they were trained on

    def look() -> Seen:
        trained = rng.random(2000) < 0.5
        return Seen(hard + trained + rng.normal(0, 1, 2000), trained)

    target = look()
    odds = likelihood_ratio(target.confidence, [look() for _ in range(32)])
    plain = auroc(target.confidence[target.trained], target.confidence[~target.trained])
    assert plain < 0.58
    assert 0.72 < auroc(odds[target.trained], odds[~target.trained]) < 0.78  # at best Phi(1 / sqrt 2) = 0.76


def test_a_patient_in_all_shadows_or_none_has_finite_odds() -> None:
    shadows = [Seen(np.array([1.0, 2.0, 3.0]) + n, np.array([True, False, n % 2 == 0])) for n in range(4)]
    assert np.isfinite(likelihood_ratio(np.array([1.0, 2.0, 3.0]), shadows)).all()


def test_rates_are_those_of_scikit_learn_and_of_counting() -> None:
    rng = np.random.default_rng(3)
    members, others = np.round(rng.normal(0.5, 1, 300), 1), np.round(rng.normal(0, 1, 400), 1)
    truth = np.repeat([1, 0], [300, 400])
    assert auroc(members, others) == pytest.approx(roc_auc_score(truth, np.concatenate([members, others])))
    best = max((members > threshold).mean() for threshold in others if (others > threshold).mean() <= 0.01)
    assert caught_at(members, others) == pytest.approx(best)
    judged = judge(members, others, 4, insecure_stream(0))
    assert judged.auroc.low < judged.auroc.value < judged.auroc.high


def test_too_few_shadows_are_refused(hospitals: Path, state: Path) -> None:
    federation = Federation(alone(), sites_in(hospitals, places(state))[:1])
    with pytest.raises(RoundError, match="too few"):
        attack(federation, np.zeros(1, np.float32), 2, InThisProcess(), lambda done, of: None)
