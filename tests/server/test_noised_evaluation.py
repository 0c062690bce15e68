"""Sums over validation and test patients with noise: charged first and once, with enough noise, and no way around."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from consortium import RUN, Group, identity, roster
from examples import DP, dataset, study
from ledgers import opened, policy
from lived import Lived
from outlined_hospitals import outlining
from wardround_client import networks
from wardround_client.hospital import answering
from wardround_client.hospital.answering import Hospital, build, join
from wardround_client.hospital.leaving import leave, release
from wardround_client.hospital.secure_desk import Desk
from wardround_client.preparation.dataset import Dataset
from wardround_client.preparation.examples import Examples
from wardround_client.spending.account import (
    Account,
    approve,
    approve_all,
    ask,
    ask_judged,
    known_to_ledger,
)
from wardround_client.spending.budget import state_budget
from wardround_client.spending.budget_words import said_of_charges
from wardround_client.spending.ledger.entries import Event
from wardround_client.spending.parts import parts_of
from wardround_client.state.hospital_folder import HospitalFolder
from wardround_client.tasks.outline_measures import Places
from wardround_client.training import local_work
from wardround_client.training.discrete_gaussian import discrete_gaussian
from wardround_client.training.evaluation import patient_sums, sums_of
from wardround_common.errors import MessageError, ModelError, PolicyError, PrivacyError
from wardround_common.messages.rounds import EvaluateRequest, Failure, Parts, PrepareRequest
from wardround_common.metrics.findings import FindingSums
from wardround_common.metrics.grades import GradeSums
from wardround_common.metrics.measurements import MeasurementSums
from wardround_common.metrics.noised import ONE, NoisedCounts
from wardround_common.metrics.noised_scores import cells_of, told
from wardround_common.metrics.outlines import OutlineSums
from wardround_common.metrics.sums import ScoreSums
from wardround_common.metrics.survival import RiskSums
from wardround_common.privacy.noisy_evaluation import deviation, evaluation_event, noise_in_evaluation
from wardround_common.randomness import Stream, insecure_stream
from wardround_common.study.file import Study
from wardround_common.study.sums import counts_before_noise
from wardround_common.tasks.registry import task_of
from wardround_server.rounds.course import judge_study, run_study

from test_distributed_rounds import SHARED  # isort: skip
from test_secure_rounds import Memory, consortium, quiet  # isort: skip

SECTIONS: dict[str, Any] = {
    "aggregation": {"secure": True},
    "model": {"network": "tiny-cnn"},
}
LOCAL = study(privacy=DP | {"evaluation_epsilon": 2.0}, training={"rounds": 3}, **SECTIONS)
SHARES = study(
    privacy=SHARED | {"evaluation_epsilon": 2.0},
    training={"rounds": 2, "local_epochs": None, "batch_size": 24},
    **SECTIONS,
)
THREE = LOCAL.but({"task.classes": ["a", "b", "c"], "training.rounds": 1})
FOUND = study(
    privacy=LOCAL.privacy.model_dump(),
    task={"name": "findings", "classes": ["mass", "nodule"]},
    training={"rounds": 1},
    **SECTIONS,
)
GRADED = study(
    privacy=LOCAL.privacy.model_dump(),
    task={"name": "grades", "classes": ["none", "mild", "severe"]},
    training={"rounds": 1},
    **SECTIONS,
)
AT_RISK = Study.of_tables(
    LOCAL.tables(nulls=False) | {"task": {"name": "risk", "unit": "years", "times": [1.0, 2.0]}}, where="a"
).but({"training.rounds": 1})
OUTLINED = outlining(
    privacy=LOCAL.privacy.model_dump(),
    aggregation={"secure": True},
    training={"rounds": 1},
)
NUMBERS = Study.of_tables(
    LOCAL.tables(nulls=False)
    | {"task": {"name": "measurement", "quantity": "age", "unit": "years", "low": 0.0, "high": 100.0}},
    where="a",
).but({"training.rounds": 1})
KINDS = {
    "shares": SHARES,
    "local": LOCAL,
    "three": THREE,
    "findings": FOUND,
    "grades": GRADED,
    "risks": AT_RISK,
    "outlines": OUTLINED,
    "numbers": NUMBERS,
}


@pytest.fixture
def without_noise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answering, "discrete_gaussian", lambda variance, count, stream: np.zeros(count, np.int64))


def first(of: Study) -> Any:
    return networks.read_vector(networks.build(of))


def asked(of: Study, number: int = 1, split: str = "validation", move: float = 0.0) -> EvaluateRequest:
    return EvaluateRequest(of.digest(), number, split, first(of) + np.float32(move))  # type: ignore[arg-type]


def hospital(folder: Path, of: Study = LOCAL, rules: Any = None, data: Dataset | None = None) -> Hospital:
    """Open a hospital with a ledger, as a process does that has just started."""
    ledger, data = opened(folder), data or dataset()
    parts = ask_judged(of, data, ledger)
    training = ask(of, data, ledger)
    for one in (*parts, training):
        approve(one, ledger, rules)
    accounts = {str(one.split): Account(ledger, rules, one) for one in parts}
    desk = Desk(of, "a", identity("a"), roster("abc"), folder / "desk", os.urandom, durable=False)
    account = Account(ledger, rules, training)
    return join(of, data, insecure_stream(1, "hospital"), build(of), desk, account, judged=accounts)


def counted(here: Hospital, request: EvaluateRequest, hospitals: int = 4, threshold: int = 3) -> NoisedCounts:
    return NoisedCounts.read(here._evaluate(request, hospitals, threshold).sums, cells_of(2), 1)


def labelled(data: Dataset, of: Study) -> Dataset:
    """Label the same patients as studies of classes, findings, grades, risks, outlines and numbers do.

    Some findings are unknown, and half of the patients have nothing that is outlined.
    """

    def anew(part: Examples) -> Examples:
        if of.task.name == "segmentation":
            masks = np.zeros((len(part), *part.kept.shape[2:]), np.uint8)
            masks[part.targets == 1, 4:9, 4:9] = 1
            spacing = np.tile([5.0, 1.0, 1.0], (len(part), 1))
            return replace(part, targets=masks, places=Places(part.patients, np.zeros(len(part)), spacing))
        if of.task.name == "findings":
            known = np.stack([part.targets, np.where(part.patients % 3 == 0, -1, part.patients % 2)], axis=1)
            return replace(part, targets=known)
        if of.task.name == "risk":
            survived = part.patients % 3
            return replace(part, targets=np.stack([survived, (survived < 2) * (part.patients % 2)], axis=1))
        if of.task.name == "measurement":
            return replace(part, targets=(part.patients % 9 / 2 - 2).astype(np.float32)[:, None])
        return replace(part, targets=part.patients % len(of.groups))

    return replace(data, train=anew(data.train), validation=anew(data.validation), test=anew(data.test))


@pytest.mark.usefixtures("without_noise")
@pytest.mark.parametrize("of", KINDS.values(), ids=KINDS)
def test_without_noise_the_sums_are_those_of_all_patients_in_levels(of: Study, tmp_path: Path) -> None:
    memory, here = Memory(of, tmp_path), consortium()
    memory.at = {name: replace(one, dataset=labelled(one.dataset, of)) for name, one in memory.at.items()}
    final = run_study(of, memory, quiet, None, here)
    tested = judge_study(of, memory, final, here).test
    built, noised = build(of), task_of(of.task).noised_sums()
    networks.write_vector(built.network, built.layout, final.chosen.model)
    for split, found in (("validation", final.chosen.validation), ("test", tested)):
        parts = [patient_sums(built.network, of, one.dataset.split(split)) for one in memory.at.values()]  # type: ignore[arg-type]
        each = [task_of(of.task).read(vector, of.task) for part in parts for vector in part.vectors()]
        assert isinstance(found, ScoreSums | FindingSums | GradeSums | RiskSums | OutlineSums | MeasurementSums)
        counts = np.sum([noised.told(one) for one in each], axis=0)
        read = noised.settled(counts.astype(np.float64), of.task)
        cut_off = len(each) * 2**4 if of is NUMBERS else 0  # a patient's amount, below 2^-16; sums are told in 2^-20
        assert np.abs(found.to_vector() - read.to_vector()).max() <= cut_off
        assert found.records == sum(one.records for one in each)


def test_the_noise_of_a_hospital_is_that_of_the_gaussian_mechanism_at_the_stated_epsilon(tmp_path: Path) -> None:
    here, request = hospital(tmp_path), asked(LOCAL)
    here = replace(here, judged={})
    built = here.built
    networks.write_vector(built.network, built.layout, request.parameters)
    exact = told(sums_of(built.network, LOCAL, here.dataset.validation)) * ONE
    noise = [
        counted(replace(here, stream=insecure_stream(seed, "hospital")), request).total - exact for seed in range(40)
    ]
    assert np.std(noise) / ONE == pytest.approx(deviation(LOCAL, "validation"), rel=0.07)  # 1,360: 3.6 standard errors
    assert abs(np.mean(noise)) / ONE < 4 * deviation(LOCAL, "validation") / np.sqrt(1360)


def test_no_noise_of_a_hospital_is_added_to_two_sums(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their difference would be without: of two evaluations, or of the first round and what is summed up before it."""
    of = SHARES.but({"data.normalisation": "federation", "privacy.normalisation_epsilon": 2.0})
    seen: list[bytes] = []

    def noted(variance: int, count: int, stream: Stream) -> NDArray[np.int64]:
        seen.append(stream.child("what it begins with").words(2).tobytes())
        return discrete_gaussian(variance, count, stream)

    for module in (answering, local_work):
        monkeypatch.setattr(module, "discrete_gaussian", noted)
    memory, here = Memory(of, tmp_path), consortium()
    final = run_study(of, memory, quiet, None, here)
    assert judge_study(of, memory, final, here).test is not None
    assert len(seen) == len(memory.at) * 6  # before the first round, in two, after each, and of the test
    assert len(set(seen)) == len(seen)


def test_a_patient_with_many_images_moves_the_counts_no_more_than_one_with_one(tmp_path: Path) -> None:
    data = dataset(images_per_patient=5)
    of_one = replace(hospital(tmp_path / "a"), judged={})
    of_five = replace(hospital(tmp_path / "b", data=data), judged={})
    assert len(data.validation) == 5 * len(of_one.dataset.validation)
    few, many = (counted(here, asked(LOCAL)) for here in (of_one, of_five))
    assert abs(int(few.total.sum()) - int(many.total.sum())) <= cells_of(2)  # the same noise, and rounding of fifths


def test_a_model_that_gives_one_patient_no_finite_number_gets_an_answer_all_the_same(tmp_path: Path) -> None:
    """An error would tell for certain what the counts may not: that the patient is among them."""
    data = dataset()
    images = np.array(data.validation.kept)
    images[data.validation.rows[0]] = np.inf
    broken = replace(data, validation=replace(data.validation, kept=images), fingerprint="other")
    request = asked(LOCAL)
    answers = []
    for name, given in (("finite", data), ("broken", broken)):
        here = replace(hospital(tmp_path / name, data=given), judged={})
        answers.append(counted(here, request))
    lost = np.abs(answers[0].total - answers[1].total)
    assert sorted(lost.tolist())[-2:] == [0, ONE]  # the same noise, and one patient fewer
    with pytest.raises(ModelError):
        sums_of(here.built.network, LOCAL, broken.validation)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "shares"])
def test_whatever_the_task_a_patient_without_finite_numbers_is_as_one_who_is_not_there(kind: str) -> None:
    of = KINDS[kind]
    data = labelled(dataset(), of).validation
    images, others = np.array(data.kept), np.flatnonzero(data.patients != data.patients[0])
    images[data.rows[0]] = np.inf
    without = replace(
        data,
        rows=data.rows[others],
        targets=data.targets[others],
        patients=data.patients[others],
        places=data.lying(others),
    )
    network = build(of).network
    broken = counts_before_noise(of, patient_sums(network, of, replace(data, kept=images), finite=True))
    assert broken.tolist() == counts_before_noise(of, patient_sums(network, of, without, finite=True)).tolist()
    with pytest.raises(ModelError):
        sums_of(network, of, replace(data, kept=images))


def test_each_image_is_scored_by_itself_so_that_no_other_patient_changes_how_it_is_rounded(tmp_path: Path) -> None:
    """By a model that is made up to magnify rounding, a batch of another size would move everybody's counts."""
    here = replace(hospital(tmp_path, data=dataset(images_per_patient=2)), judged={})
    sizes: list[int] = []
    here.built.network.register_forward_pre_hook(lambda network, given: sizes.append(len(given[0])))
    counted(here, asked(LOCAL))
    assert sizes == [1] * len(here.dataset.validation)


def test_patients_are_charged_once_for_each_evaluation_and_answered_alike_after_a_restart(tmp_path: Path) -> None:
    one, again = (counted(hospital(tmp_path), asked(LOCAL)) for _ in range(2))
    assert one.total.tolist() == again.total.tolist()
    books = opened(tmp_path).books
    _, validation, test = parts_of(LOCAL.digest())
    event = evaluation_event(LOCAL, "validation")
    assert event is not None
    assert {key: charge.event for key, charge in books.charged.items()} == {(validation, 1): Event.of(event)}
    assert books.confirmed == {(validation, 1)}
    with pytest.raises(PrivacyError, match="answered before"):
        counted(hospital(tmp_path), asked(LOCAL, move=0.5))
    counted(hospital(tmp_path), asked(LOCAL, LOCAL.test_round, "test"))
    assert opened(tmp_path).books.rounds_of(test) == [LOCAL.test_round]
    patients = {digest: opened(tmp_path).cohort(books.approved[digest].cohort).size for digest in (validation, test)}
    assert patients == {validation: 4, test: 4}


def test_the_same_noise_is_not_added_a_second_time_in_another_size(tmp_path: Path) -> None:
    here = hospital(tmp_path, SHARES)
    assert noise_in_evaluation(SHARES, "validation", 4, 3) != noise_in_evaluation(SHARES, "validation", 6, 4)
    counted(here, asked(SHARES))
    with pytest.raises(PrivacyError, match="answered before"):
        counted(here, asked(SHARES), 6, 4)


def test_what_is_spent_on_all_evaluations_is_within_the_epsilon_and_within_caps(tmp_path: Path) -> None:
    here = hospital(tmp_path)
    for number in (1, 2, 3):
        counted(here, asked(LOCAL, number, move=number))
    with pytest.raises(MessageError, match="not one of the study's 3 rounds"):
        here.answer("evaluate", asked(LOCAL, 4).parts())
    told_of = {one.name: one for one in state_budget(opened(tmp_path), 1e-3, None).studies}
    validation = told_of["test (validation)"]
    assert (validation.state, validation.charged, validation.patients) == ("done", 3, 4)
    assert 1.97 < (validation.epsilon_spent or 0) <= 2.0
    assert told_of["test (test)"].epsilon_planned == pytest.approx(2.0, abs=0.03)
    hospital(tmp_path / "allowed", rules=policy(patient_epsilon=12, study_epsilon=12, require_noised_evaluation=True))
    with pytest.raises(PolicyError, match=r"would bring 4 patients to epsilon 2\.00"):
        hospital(tmp_path / "strict", rules=policy(patient_epsilon=1.5, study_epsilon=1.5, delta=1e-3))


def test_words_of_a_budget_count_evaluations_and_not_rounds_of_those_who_are_judged_on(tmp_path: Path) -> None:
    hospital(tmp_path)
    tight = policy(patient_epsilon=1.5, study_epsilon=1.5, delta=1e-3)
    with pytest.raises(PolicyError, match="at most 1 evaluation with this noise instead of 3") as refusal:
        hospital(tmp_path / "strict", rules=tight)
    assert "this study would bring 4 patients" in refusal.value.what
    with pytest.raises(PolicyError, match=r"reserved by 'test \(validation\)' \w+ \(0 of 3 evaluations charged\)"):
        hospital(tmp_path, LOCAL.but({"study.name": "second"}), policy(patient_epsilon=2.5, delta=1e-3))
    ledger = opened(tmp_path)
    (validation, _) = ask_judged(LOCAL, dataset(), ledger)
    with pytest.raises(PolicyError, match="the next evaluation would bring 4 patients"):
        Account(ledger, policy(patient_epsilon=0.5, delta=1e-3), validation).charge(1, "", insecure_stream(1, "any"))
    said = [said_of_charges(one) for one in state_budget(ledger, 1e-3, None).studies]
    assert said == ["0 of 3 evaluations", "0 of 1 evaluation", "0 of 3 rounds"]


def test_an_evaluation_that_the_study_does_not_plan_has_no_noise_and_gets_no_answer(tmp_path: Path) -> None:
    of = LOCAL.but({"evaluation.every": 2})
    here = hospital(tmp_path, of)
    assert of.evaluations == 2
    with pytest.raises(MessageError, match="judges no model in round 1"):
        here.answer("evaluate", asked(of, 1).parts())


def test_a_study_that_is_left_is_left_with_all_its_patients(tmp_path: Path) -> None:
    hospital(tmp_path)
    ledger = opened(tmp_path)
    assert known_to_ledger(ask(LOCAL, dataset(), ledger), ledger) == (0, 0)  # its own parts are no earlier studies
    leave(HospitalFolder(tmp_path), ledger, LOCAL.digest())
    assert opened(tmp_path).books.closed == set(parts_of(LOCAL.digest()))
    assert opened(tmp_path).books.planned() == {}


@pytest.mark.parametrize("part", [1, 2])
def test_of_a_part_that_is_closed_the_whole_study_is(tmp_path: Path, part: int) -> None:
    """A message of what is reserved names the part to be closed; without it the study could not go on either."""
    hospital(tmp_path)
    assert leave(HospitalFolder(tmp_path), opened(tmp_path), parts_of(LOCAL.digest())[part]) == "test"
    assert opened(tmp_path).books.closed == set(parts_of(LOCAL.digest()))


def test_a_study_that_was_approved_in_part_when_a_crash_came_is_released(tmp_path: Path) -> None:
    folder = Lived(tmp_path / "h").folder
    ledger = opened(folder.path, folder.identity())
    (validation, _) = ask_judged(LOCAL, dataset(), ledger)
    approve(validation, ledger, None)
    assert release(folder, LOCAL.digest())
    ledger.refresh()
    assert ledger.books.open_studies() == []
    assert not release(folder, LOCAL.digest())


def test_a_study_that_is_too_much_for_who_is_in_two_parts_under_one_name_reserves_nothing(tmp_path: Path) -> None:
    ledger, data = opened(tmp_path), dataset()
    parts = [replace(one, cohort=ledger.key.cohort(["shared"])) for one in ask_judged(LOCAL, data, ledger)]
    rules = policy(patient_epsilon=2.5, study_epsilon=2.5, delta=1e-3)
    with pytest.raises(PolicyError, match="the test patients: this study would bring 1 patient to epsilon"):
        approve_all(parts, ask(LOCAL, data, ledger), ledger, rules)
    assert opened(tmp_path).books.open_studies() == []


def test_a_delta_that_protects_nobody_among_those_who_judge_is_refused(tmp_path: Path) -> None:
    """Of training patients it is refused too; where many test and few train, theirs says nothing of the others."""
    of = LOCAL.but({"privacy.delta": 0.3})
    few = replace(dataset(), train=dataset(patients=5).train)
    ledger = opened(tmp_path)
    assert ask(of, few, ledger).patients == 3
    with pytest.raises(PrivacyError, match=r"delta = 0\.3 does not protect anybody among 4 validation patients"):
        ask_judged(of, few, ledger)
    (validation, _) = ask_judged(LOCAL, few, ledger)
    rules = policy(patient_epsilon=12, study_epsilon=12, delta=0.01)
    with pytest.raises(PolicyError, match=r"counts epsilon at delta 0\.01, which protects nobody among 100 patients"):
        approve(replace(validation, patients=100), ledger, rules)


def test_a_hospital_that_evaluated_and_lost_its_desk_takes_part_in_no_other_run(tmp_path: Path) -> None:
    counted(hospital(tmp_path), asked(LOCAL))  # asked before anything was trained
    here = hospital(tmp_path)
    assert here.desk is not None
    assert not here.desk.takes_part
    with pytest.raises(PrivacyError, match="what it kept of its secure sums is gone"):
        here.answer("prepare", PrepareRequest(LOCAL.digest(), send_parameters=False, run=RUN).parts())


def test_other_patients_need_another_approval_and_are_promised_the_same(tmp_path: Path) -> None:
    here = hospital(tmp_path)
    counted(here, asked(LOCAL))
    moved = dataset()
    part = moved.validation
    more = replace(
        moved, validation=replace(part, rows=part.rows[1:], targets=part.targets[1:], patients=part.patients[1:])
    )
    ledger = opened(tmp_path)
    (validation, _) = ask_judged(LOCAL, replace(more, fingerprint="other"), ledger)
    with pytest.raises(PrivacyError, match="not those with which this hospital approved"):
        Account(ledger, None, validation).check_approved()
    approve(validation, ledger, None)  # two evaluations are left, and one was answered: three in all, as promised


def test_hospitals_sign_no_list_with_too_little_noise(tmp_path: Path) -> None:
    of = study(**SHARES.model_dump() | {"aggregation": {"secure": True, "threshold": 4}})
    group = Group(tmp_path, "abcdef", of)
    gathering = group.gathering(1, "evaluate")
    for name in "abcd":
        gathering.add(name, group.upload(name, "evaluate", 1))
    with pytest.raises(MessageError, match="shorter than the study allows"):
        group.desk("a").confirm("evaluate", 1, gathering.close().question())


def test_with_fewer_survivors_than_noise_is_shared_out_for_nothing_is_opened(tmp_path: Path) -> None:
    def gone(who: str, what: str, said: Parts | Failure) -> Parts | Failure:
        return Failure("crashed") if who in "bc" and what == "evaluate" else said

    memory = Memory(SHARES, tmp_path, gone)
    final = run_study(SHARES, memory, quiet, None, consortium())
    assert final.chosen.validation is None or not final.chosen.validation.records
    evaluated = [place for place, (_, kind, _) in enumerate(memory.heard) if kind == "evaluate"]
    after = [kind for _, kind, _ in memory.heard[evaluated[-1] + 1 :]]
    assert "open" not in after
