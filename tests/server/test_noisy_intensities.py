"""Sums of intensities under differential privacy: the right sum, enough noise, one charge, and no way around them."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consortium import Group, identity, roster
from examples import DP, dataset, study
from ledgers import opened, policy
from wardround_client import networks
from wardround_client.hospital import answering
from wardround_client.hospital.answering import Hospital, build, join
from wardround_client.hospital.secure_desk import Desk
from wardround_client.preparation.examples import Examples
from wardround_client.preparation.intensities import intensities_of
from wardround_client.spending.account import Account, approve, ask
from wardround_client.spending.budget import state_budget
from wardround_client.spending.ledger import entries
from wardround_common.errors import MessageError, PolicyError, PrivacyError, RoundError, StudyError
from wardround_common.messages.rounds import Evaluated, EvaluateRequest, Failure, Parts, TrainRequest
from wardround_common.metrics.intensities import HALF, Intensities, NoisyIntensities, patient_square
from wardround_common.privacy.accounting import before_rounds, epsilon_of
from wardround_common.privacy.noisy_intensities import noise_in_intensities
from wardround_common.privacy.noisy_sum import least_survivors
from wardround_common.randomness import insecure_stream
from wardround_common.study.aggregation import Aggregation
from wardround_common.study.before import INPUT_TENSORS
from wardround_common.study.file import Study
from wardround_common.study.privacy import DpSgd
from wardround_common.study.sums import threshold_for
from wardround_common.study.words.work import said_of_intensities
from wardround_server.rounds.course import Event, RoundBegins, State, run_study

from test_distributed_rounds import SHARED  # isort: skip
from test_secure_rounds import Memory, consortium, quiet, silent  # isort: skip

DATA = {"normalisation": "federation"}
PART = {"normalisation_epsilon": 2.0}
LOCAL = study(data=DATA, privacy=DP | PART, model={"network": "tiny-cnn"})
SHARES = study(
    data=DATA,
    privacy=SHARED | PART,
    training={"rounds": 1, "local_epochs": None, "batch_size": 24},
    aggregation={"secure": True},
    model={"network": "tiny-cnn"},
)


@pytest.fixture
def without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "discrete_gaussian", lambda variance, count, stream: np.zeros(count, np.int64))


def noise_of(of: Study) -> float:
    assert isinstance(of.privacy, DpSgd)
    event = before_rounds(of.privacy)
    assert event is not None
    return event.noise_multiplier


def figures(state: State) -> list[float]:
    """Return mean and deviation of the input, as the model has them."""
    tensors = state.layout.tensors(state.parameters)
    return [float(tensors[name][0]) for name in INPUT_TENSORS]


def question(of: Study, move: float = 0.0) -> Any:
    first = networks.read_vector(networks.build(of))
    return EvaluateRequest(of.digest(), 0, "before", first + np.float32(move)).parts()


def summed(hospital: Hospital) -> NoisyIntensities:
    answer = hospital.answer("evaluate", question(hospital.study))
    assert isinstance(answer, Evaluated)
    return NoisyIntensities.read(answer.sums, 1)


@pytest.mark.usefixtures("without_noise")
@pytest.mark.parametrize("of", [SHARES, LOCAL.but({"training.rounds": 1})], ids=["shares", "local"])
def test_without_noise_the_model_has_the_mean_and_deviation_over_all_patients(of: Study, tmp_path: Path) -> None:
    memory = Memory(of, tmp_path)
    found = run_study(of, memory, quiet, None, consortium() if of.aggregation.secure else None)
    trains = [hospital.dataset.train for hospital in memory.at.values()]
    pixels = np.concatenate([train.images(slice(None)).ravel() for train in trains]).astype(np.float64)
    assert figures(found) == pytest.approx([pixels.mean(), pixels.std()], abs=1e-4)
    (said,) = said_of_intensities(of, found.layout, found.chosen.model)
    assert f"the mean {pixels.mean():.3f} and the deviation {pixels.std():.3f} that the hospitals added up" in said


def test_the_noise_of_a_hospital_is_that_of_the_gaussian_mechanism_at_the_stated_epsilon() -> None:
    here = join(LOCAL, dataset(), insecure_stream(0, "hospital"), build(LOCAL))
    exact = intensities_of(here.dataset.train).centred()
    asked = question(LOCAL)
    noise = []
    for seed in range(150):
        answer = replace(here, stream=insecure_stream(seed, "hospital")).answer("evaluate", asked)
        assert isinstance(answer, Evaluated)
        noise.append(NoisyIntensities.read(answer.sums, 1).total - exact)
    norm = np.sqrt(patient_square(1))
    assert np.std(noise) / norm == pytest.approx(noise_of(LOCAL), rel=0.11)  # 450 numbers: 3.3 standard errors
    assert abs(np.mean(noise)) / norm < 4 * noise_of(LOCAL) / 21
    assert isinstance(LOCAL.privacy, DpSgd)
    assert 1.98 < epsilon_of(before_rounds(LOCAL.privacy), LOCAL.privacy.delta) <= 2.0  # type: ignore[arg-type]


@pytest.mark.parametrize(("dropouts", "colluders"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_the_shares_of_the_fewest_honest_survivors_are_enough_together(dropouts: int, colluders: int) -> None:
    privacy = SHARED | PART | {"dropouts": dropouts, "colluders": colluders}
    of = study(**SHARES.model_dump() | {"privacy": privacy})
    threshold = threshold_for(of, 6)
    share = noise_in_intensities(of, 6, threshold)
    honest = least_survivors(of, 6, threshold) - colluders
    whole = noise_of(of) ** 2 * patient_square(1)
    assert whole <= share * honest < whole * 1.0001
    assert share * (honest - 1) < whole  # and none is added that is not needed
    alone = of.model_copy(update={"aggregation": Aggregation(min_hospitals=1, secure=False)})
    assert whole <= noise_in_intensities(alone, 1, 1) < whole * 1.0001  # the baseline of one hospital adds all of it


def altered(train: Examples, pixel: float, copies: int) -> Examples:
    """Return the examples with a first patient of whom every pixel is this, in this many more images."""
    kept = np.array(train.kept)
    kept[train.rows[0]] = pixel
    rows = np.append(train.rows, len(kept) + np.arange(copies))
    kept = np.concatenate([kept, np.repeat(kept[train.rows[:1]], copies, axis=0)])
    more = np.append(np.arange(len(train.rows)), np.zeros(copies, np.int64))
    return Examples(kept, rows, train.targets[more], train.patients[more])


@pytest.mark.parametrize("pixel", [0.0, 1.0, 0.5, 1e9, -1e9, np.nan, np.inf])
@pytest.mark.parametrize("copies", [0, 200])
def test_no_patient_moves_the_sums_further_than_the_noise_is_made_for(pixel: float, copies: int) -> None:
    train = altered(dataset(patients=5).train, pixel, copies)
    others = np.flatnonzero(train.patients != train.patients[0])
    without = replace(train, rows=train.rows[others], targets=train.targets[others], patients=train.patients[others])
    moved = intensities_of(train).centred() - intensities_of(without).centred()
    assert moved[0] == HALF
    assert int(moved @ moved) <= patient_square(1)


def test_the_bound_is_reached_so_that_less_noise_would_not_do() -> None:
    black = Intensities.of(np.zeros((1, 3)), np.zeros((1, 3))).centred()
    assert int(black @ black) == patient_square(3)


@pytest.mark.parametrize("seed", range(20))
def test_whatever_the_noise_is_mean_and_deviation_are_possible_ones(seed: int) -> None:
    wild = NoisyIntensities(3, np.random.default_rng(seed).integers(-(2**40), 2**40, 5))
    back = NoisyIntensities.read(wild.to_vector(), 2)
    assert (back.hospitals, back.total.tolist()) == (3, wild.total.tolist())
    assert np.all((back.mean() >= 0) & (back.mean() <= 1))
    assert np.all((back.deviation() >= np.float32(0.05)) & (back.deviation() <= 1))
    assert back.patients >= 1


@pytest.mark.parametrize("wrong", [[2**52, 0, 0], [-1, 2**52, 2**52], [2**52, 2**52], [2**52, 2**52 + 2**51, 2**52]])
def test_sums_that_no_hospitals_send_are_refused(wrong: list[int]) -> None:
    with pytest.raises(MessageError):
        NoisyIntensities.read(np.array(wrong), 1)


def test_a_hospital_that_drops_out_leaves_enough_noise_and_two_leave_no_sum(tmp_path: Path) -> None:
    one = Memory(SHARES, tmp_path / "one", silent("b", "evaluate"))
    mean, deviation = figures(run_study(SHARES, one, quiet, None, consortium()))
    assert 0 <= mean <= 1
    assert 0.05 <= deviation <= 1

    def gone(who: str, what: str, said: Parts | Failure) -> Parts | Failure:
        return Failure("crashed") if who in "bc" and what == "evaluate" else said

    two = Memory(SHARES, tmp_path / "two", gone)
    with pytest.raises(RoundError, match="before its first round"):
        run_study(SHARES, two, quiet, None, consortium())
    assert not [kind for _, kind, _ in two.heard if kind in ("confirm", "open", "train")]


def test_a_run_that_is_interrupted_after_the_sum_goes_on_with_the_same_one(tmp_path: Path) -> None:
    memory, here = Memory(SHARES, tmp_path), consortium()

    def stop(event: Event) -> None:
        if isinstance(event, RoundBegins):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(SHARES, memory, stop, None, here)
    noted = here.journal.read("before")
    assert noted is not None
    found = NoisyIntensities.read(np.array(json.loads(noted), np.int64), 1)
    asked = len([kind for _, kind, _ in memory.heard if kind == "evaluate"])
    final = run_study(SHARES, memory, quiet, None, here)
    assert figures(final) == [float(found.mean()[0]), float(found.deviation()[0])]
    validation = len(memory.at)  # what is evaluated after the one round
    assert len([kind for _, kind, _ in memory.heard if kind == "evaluate"]) == asked + validation


def test_hospitals_sign_no_list_with_too_little_noise_before_the_first_round(tmp_path: Path) -> None:
    of = study(**SHARES.model_dump() | {"aggregation": {"secure": True, "threshold": 4}})
    group = Group(tmp_path, "abcdef", of)
    gathering = group.gathering(0, "evaluate")
    for name in "abcd":
        gathering.add(name, group.upload(name, "evaluate", 0))
    with pytest.raises(MessageError, match="shorter than the study allows"):
        group.desk("a").confirm("evaluate", 0, gathering.close().question())


def hospital(folder: Path, rules: Any = None) -> Hospital:
    """Open a hospital with a ledger, as a process does that has just started."""
    ledger, data = opened(folder), dataset()
    asked = ask(LOCAL, data, ledger)
    approve(asked, ledger, rules)
    return join(LOCAL, data, insecure_stream(1, "hospital"), build(LOCAL), None, Account(ledger, rules, asked))


def test_the_sums_are_charged_once_as_round_0_and_answered_alike_after_a_restart(tmp_path: Path) -> None:
    first, again = summed(hospital(tmp_path)), summed(hospital(tmp_path))
    assert first.total.tolist() == again.total.tolist()
    books = opened(tmp_path).books
    ((_, number),) = books.charged
    assert number == 0
    assert books.confirmed == {(LOCAL.digest(), 0)}
    event = books.charged[LOCAL.digest(), 0].event
    assert event == entries.Event(noise_multiplier=noise_of(LOCAL), sampling_rate=1.0, steps=1)
    assert books.rounds_of(LOCAL.digest()) == []
    with pytest.raises(PrivacyError, match="answered before"):
        hospital(tmp_path).answer("evaluate", question(LOCAL, move=0.5))


def test_noise_is_made_for_all_channels_of_a_patient() -> None:
    of = LOCAL.but({"data.channels": 3})
    assert patient_square(3) == HALF**2 * 7
    least = noise_of(of) ** 2 * patient_square(3)
    assert least + 9 <= noise_in_intensities(of, 1, 1) <= least * (1 + 1e-9) + 10


def test_the_sums_are_not_answered_again_with_another_share_of_the_noise(tmp_path: Path) -> None:
    """The same draw at another size, as in a smaller cohort: from two answers both could be computed."""
    data, shares = dataset(), (noise_in_intensities(SHARES, 6, 4), noise_in_intensities(SHARES, 9, 4))
    assert shares[0] != shares[1]
    ledger = opened(tmp_path)
    asked = ask(SHARES, data, ledger)
    approve(asked, ledger, None)
    account = Account(ledger, None, asked)
    desk = Desk(SHARES, "a", identity("a"), roster("abc"), tmp_path / "desk", os.urandom, durable=False)
    there = join(SHARES, data, insecure_stream(1, "hospital"), build(SHARES), desk, account)
    start = networks.read_vector(networks.build(SHARES))
    request = EvaluateRequest(SHARES.digest(), 0, "before", start)
    told = [there._before(request, 6, 4).to_vector().tolist() for _ in range(2)]
    assert told[0] == told[1]
    with pytest.raises(PrivacyError, match="answered before"):
        there._before(request, 9, 4)


def test_after_the_first_round_nothing_is_added_up_before_it_any_more(tmp_path: Path) -> None:
    late = hospital(tmp_path)
    late.answer("train", TrainRequest(LOCAL.digest(), 1, networks.read_vector(networks.build(LOCAL))).parts())
    with pytest.raises(PrivacyError, match="nothing is added up before it any more"):
        late.answer("evaluate", question(LOCAL))
    books = opened(tmp_path).books
    assert {event.steps for events in books.left(LOCAL.digest()).values() for event in events} == {2}


def test_the_ledger_composes_the_sums_with_all_rounds_within_the_study_s_epsilon(tmp_path: Path) -> None:
    here = hospital(tmp_path)
    summed(here)
    for number in (1, 2, 3):
        here.answer("train", TrainRequest(LOCAL.digest(), number, networks.read_vector(networks.build(LOCAL))).parts())
    assert here.plan is not None
    training = epsilon_of(here.plan.event(3), 1e-3)
    (told,) = state_budget(opened(tmp_path), 1e-3, None).studies
    assert told.epsilon_spent == told.epsilon_planned == pytest.approx(here.plan.epsilon_after(3))
    assert training < told.epsilon_spent <= 8.0  # type: ignore[operator]
    assert told.epsilon_spent < training + 2.0  # type: ignore[operator]


def test_a_cap_that_only_training_would_keep_refuses_the_study(tmp_path: Path) -> None:
    plan = answering.plan_privacy(LOCAL, dataset().train.patient_count)
    assert plan is not None
    cap = (epsilon_of(plan.event(3), 1e-3) + plan.epsilon_after(3)) / 2
    with pytest.raises(PolicyError, match="would bring 12 patients"):
        hospital(tmp_path, policy(patient_epsilon=cap, study_epsilon=cap, delta=1e-3))
    hospital(tmp_path, policy(patient_epsilon=8.0, study_epsilon=8.0, delta=1e-3))


@pytest.mark.parametrize(
    ("data", "privacy", "said"),
    [
        (DATA, DP, "normalisation_epsilon = 0.8, a tenth of it"),
        ({}, DP | PART, "nothing is added up before the first round; remove it"),
        (DATA, DP | {"normalisation_epsilon": 8.0}, "a part of epsilon = 8"),
    ],
)
def test_a_study_states_what_the_sums_cost_where_there_are_some(
    data: dict[str, Any], privacy: dict[str, Any], said: str
) -> None:
    tables = study(privacy=DP).tables()
    with pytest.raises(StudyError, match=said):
        Study.of_tables(tables | {"data": tables["data"] | data, "privacy": privacy}, where="a")
