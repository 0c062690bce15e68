"""A hospital's account in a study: charged before training, only as approved, within the policy."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from consortium import RUN, roster, secure_study
from consortium import identity as identity_of
from examples import DP, dataset, study
from ledgers import opened, policy, tamper
from wardround_client import networks
from wardround_client.hospital import answering as hospital_module
from wardround_client.hospital.answering import Built, Hospital, build, join
from wardround_client.hospital.secure_desk import Desk
from wardround_client.preparation.dataset import Dataset
from wardround_client.spending.account import Account, Ask, approve, ask
from wardround_client.spending.charge_note import Charge
from wardround_client.spending.ledger.entries import Event
from wardround_client.spending.ledger.told import Bound
from wardround_client.spending.lineage import lineage
from wardround_client.spending.policy import Policy
from wardround_client.spending.policy_check import check_kind, check_spending
from wardround_client.training.bookkeeping import BookKeeping
from wardround_common.errors import ApprovalError, DeviceError, MessageError, PolicyError, PrivacyError, StorageError
from wardround_common.messages.rounds import Parts, PrepareRequest, TrainRequest, Update
from wardround_common.privacy.accounting import epsilon_of
from wardround_common.randomness import Stream, insecure_stream
from wardround_common.secagg.messages import MaskedAnswer
from wardround_common.secagg.terms import write_members
from wardround_common.study.file import Study

STUDY = study(privacy=DP)
STREAM = insecure_stream(1, "hospital")
STUDY_PLAN = hospital_module.plan_privacy(STUDY, dataset().train.patient_count)
assert STUDY_PLAN is not None


@pytest.fixture(scope="module")
def built() -> Built:
    return build(STUDY)


def start(of: Study = STUDY) -> np.ndarray:
    return networks.read_vector(networks.build(of))


def hospital(
    folder: Path,
    built: Built,
    of: Study = STUDY,
    data: Dataset | None = None,
    stream: Stream = STREAM,
    rules: Policy | None = None,
    desk: Desk | None = None,
    *,
    approved: bool = True,
) -> Hospital:
    """Open a hospital as a process does that has just started."""
    data = data or dataset()
    ledger = opened(folder)
    asked = ask(of, data, ledger)
    if approved:
        approve(asked, ledger, rules)
    return join(of, data, stream, built, desk, Account(ledger, rules, asked))


def question(number: int, parameters: np.ndarray, of: Study = STUDY) -> Parts:
    return TrainRequest(of.digest(), number, parameters).parts()


def charges(folder: Path) -> list[tuple[int, Event]]:
    books = opened(folder).books
    return [(number, charge.event) for (_, number), charge in sorted(books.charged.items())]


def test_the_charge_is_on_the_disk_before_training_begins_and_confirmed_after(
    tmp_path: Path, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    real = hospital_module.train

    def watching(*arguments: Any) -> Any:
        books = opened(tmp_path).books
        seen.append(len(books.charged))
        assert not books.confirmed
        return real(*arguments)

    monkeypatch.setattr(hospital_module, "train", watching)
    hospital(tmp_path, built).answer("train", question(1, start()))
    assert seen == [1]
    assert opened(tmp_path).books.confirmed == {(STUDY.digest(), 1)}


def test_training_that_fails_stays_charged(tmp_path: Path, built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    def fall_over(*arguments: Any) -> Any:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(hospital_module, "train", fall_over)
        with pytest.raises(MemoryError):
            hospital(tmp_path, built).answer("train", question(1, start()))
    assert len(charges(tmp_path)) == 1
    hospital(tmp_path, built).answer("train", question(1, start()))
    assert len(charges(tmp_path)) == 1


@pytest.mark.parametrize("spoilt", ["entries", "cohorts", "head", "nothing readable"])
def test_a_ledger_that_cannot_be_trusted_is_never_trained_with(
    tmp_path: Path, built: Built, monkeypatch: pytest.MonkeyPatch, spoilt: str
) -> None:
    there = hospital(tmp_path, built)
    there.answer("train", question(1, start()))
    match spoilt:
        case "entries":
            tamper(tmp_path, ("DELETE FROM entries WHERE number = 4", ()))
        case "cohorts":
            tamper(tmp_path, ("DELETE FROM cohorts", ()))
        case "head":
            (tmp_path / "ledger.head").unlink()
        case _:
            (tmp_path / "ledger.sqlite").write_bytes(os.urandom(4096))
    monkeypatch.setattr(hospital_module, "train", lambda *arguments: pytest.fail("it trained"))
    if spoilt not in ("head",):  # an open ledger looks at what follows its last entry
        with pytest.raises(StorageError):
            there.answer("train", question(2, start()))
    with pytest.raises(StorageError):
        hospital(tmp_path, built, approved=spoilt != "cohorts").answer("train", question(2, start()))


def test_a_question_that_comes_again_gets_the_same_answer_and_no_second_charge(tmp_path: Path, built: Built) -> None:
    first = hospital(tmp_path, built).answer("train", question(1, start()))
    again = hospital(tmp_path, built).answer("train", question(1, start()))
    assert isinstance(first, Update)
    assert isinstance(again, Update)
    assert first.vector.tobytes() == again.vector.tobytes()
    assert len(charges(tmp_path)) == 1


def test_other_parameters_for_a_charged_round_would_share_its_noise_and_are_refused(
    tmp_path: Path, built: Built
) -> None:
    there = hospital(tmp_path, built)
    there.answer("train", question(2, start()))
    with pytest.raises(PrivacyError, match="answered before"):
        there.answer("train", question(2, start() + 1))
    assert len(charges(tmp_path)) == 1


def test_fresh_noise_for_a_charged_round_would_be_a_second_release_and_is_refused(tmp_path: Path, built: Built) -> None:
    hospital(tmp_path, built).answer("train", question(1, start()))
    with pytest.raises(PrivacyError, match="answered before"):
        hospital(tmp_path, built, stream=insecure_stream(2, "hospital")).answer("train", question(1, start()))


def test_nothing_in_a_message_changes_noise_rounds_or_clipping(tmp_path: Path, built: Built) -> None:
    plain = hospital(tmp_path / "plain", built).answer("train", question(1, start()))
    asked = question(1, start())
    wishes: dict[str, Any] = {
        "noise_multiplier": 0.0,
        "epsilon": 1000.0,
        "clip_norm": 1e6,
        "rounds": 1000,
        "steps": 1,
        "local_epochs": 50.0,
        "images_per_patient": 100,
        "privacy": "none",
        "fingerprint": "other data",
        "cohort": "everybody",
    }
    wishing = Parts(dict(asked.fields) | wishes, asked.arrays)
    wished = hospital(tmp_path / "wished", built).answer("train", wishing)
    assert isinstance(plain, Update)
    assert isinstance(wished, Update)
    assert plain.vector.tobytes() == wished.vector.tobytes()
    assert charges(tmp_path / "plain") == charges(tmp_path / "wished")


@pytest.mark.parametrize("number", [0, -1, 4, 1000])
def test_more_rounds_than_approved_are_refused_and_not_charged(tmp_path: Path, built: Built, number: int) -> None:
    asked = question(1, start())
    fields = dict(asked.fields) | {"round": number}
    with pytest.raises(MessageError):
        hospital(tmp_path, built).answer("train", Parts(fields, asked.arrays))
    assert charges(tmp_path) == []


@pytest.mark.parametrize(
    "wish",
    [
        {"privacy": DP | {"epsilon": 80.0}},
        {"privacy": DP | {"clip_norm": 100.0}},
        {"privacy": {"mechanism": "none"}},
        {"training": {"rounds": 30}},
    ],
)
def test_a_study_with_other_noise_clip_or_rounds_has_another_digest_and_is_refused(
    tmp_path: Path, built: Built, wish: dict[str, Any]
) -> None:
    other = study(**({"privacy": DP} | wish))
    with pytest.raises(MessageError, match="another study"):
        hospital(tmp_path, built).answer("train", question(1, start(), other))
    with pytest.raises(ApprovalError, match="has not approved"):
        hospital(tmp_path, built, other, approved=False)
    assert charges(tmp_path) == []


@pytest.mark.parametrize("change", ["fingerprint", "patients"])
def test_other_data_than_approved_need_a_new_approval(tmp_path: Path, built: Built, change: str) -> None:
    hospital(tmp_path, built).answer("train", question(1, start()))
    data = dataset()
    if change == "fingerprint":
        other = replace(data, fingerprint="other images")
    else:
        other = replace(data, identifiers=tuple(f"somebody else {number}" for number in range(20)))
    with pytest.raises(PrivacyError, match="not those with which this hospital approved"):
        hospital(tmp_path, built, data=other, approved=False)
    renewed = hospital(tmp_path, built, data=other)
    with pytest.raises(PrivacyError, match="answered before, for another question or other data"):
        renewed.answer("train", question(1, start()))  # the same noise on other images: what changed would be seen
    renewed.answer("train", question(2, start()))
    assert len(charges(tmp_path)) == 2


def test_patients_of_two_approvals_of_one_study_never_spend_more_than_it_promises(tmp_path: Path) -> None:
    """Two of five rounds on 300 patients and three on 31, each planned for epsilon 8, come to 8.11 together."""
    of = study(privacy=DP | {"epsilon": 8.0, "delta": 1e-4}, training={"rounds": 5, "batch_size": 30})
    ledger, event = opened(tmp_path), {}
    for patients in (300, 31):
        plan = hospital_module.plan_privacy(of, patients)
        assert plan is not None
        assert plan.epsilon_after(5) <= 8
        event[patients] = Event.of(plan.event(1))
    everybody, few = (ledger.key.cohort(map(str, range(count))) for count in (300, 31))
    approve(Ask(of, event[300], everybody, "data", 300), ledger, None)
    account = Account(ledger, None, Ask(of, event[300], everybody, "data", 300))
    for number in (1, 2):
        account.charge(number, "parameters", STREAM)
    later = Ask(of, event[31], few, "fewer data", 31)
    with pytest.raises(PrivacyError, match=r"to epsilon 8\.11 at delta 0\.0001, and it promises at most 8"):
        approve(later, ledger, None)
    others = ledger.key.cohort(f"new {number}" for number in range(31))
    approve(replace(later, cohort=others), ledger, None)  # nobody is in both
    approve(replace(later, event=event[300], cohort=few), ledger, None)


def test_patients_who_spent_elsewhere_are_not_said_to_start_at_nothing_by_what_a_study_says_of_its_model(
    tmp_path: Path,
) -> None:
    ledger = opened(tmp_path)

    def starting(*trained: str) -> str:
        listed = [{"study": one, "name": "first", "hospitals": ["h"], "epsilon": 8.0, "delta": 1e-3} for one in trained]
        start = {"name": "released", "model": "a" * 64, "weights": "b" * 64, "trained": listed}
        told = lineage(ask(study(privacy=DP, model={"start": start}), dataset(), ledger), ledger, 1e-3)
        assert told is not None
        return " ".join(told.sentences())

    nobody = "cost none of this hospital's 12 training patients anything, by the ledger"
    assert starting(STUDY.digest()).endswith(f"{nobody}.")
    asked = ask(STUDY, dataset(), ledger)
    approve(asked, ledger, None)
    Account(ledger, None, asked).charge(1, "parameters", STREAM)
    assert starting("c" * 64).endswith(f"{nobody}; other studies charged 12 of them.")  # a study that was left out
    assert "whose training cost 12 of these patients epsilon" in starting("c" * 64, STUDY.digest())


@pytest.mark.parametrize("part", ["event", "rounds", "before"])
def test_noise_or_rounds_that_are_not_those_of_the_approval_charge_nothing(tmp_path: Path, part: str) -> None:
    """As after an upgrade that plans otherwise, or where what was approved was changed in memory."""
    ledger = opened(tmp_path)
    asked = ask(STUDY, dataset(), ledger)
    less = asked.event.model_copy(update={"noise_multiplier": asked.event.noise_multiplier / 2})
    said: dict[str, Any] = {"rounds": 3, "event": asked.event, "before": None}
    said[part] = {"event": less, "rounds": 2, "before": less}[part]
    where = (asked.cohort, asked.data, lambda books: None)
    ledger.approve(STUDY.digest(), "test", said["rounds"], said["event"], *where, said["before"])
    account = Account(ledger, None, asked)
    for refused in (account.check_approved, lambda: account.charge(1, "parameters", STREAM)):
        with pytest.raises(PrivacyError, match="the noise or the rounds are not those that this hospital approved"):
            refused()
    assert charges(tmp_path) == []


def test_what_another_process_approved_and_closed_is_seen_before_the_next_charge(tmp_path: Path) -> None:
    """Once all that is planned is within the caps no round is checked again, until something else is approved."""
    ledger, rules = opened(tmp_path), policy(delta=1e-3, patient_epsilon=9.0)
    asked = ask(STUDY, dataset(), ledger)
    approve(asked, ledger, rules)
    account = Account(ledger, rules, asked)
    account.charge(1, "parameters", STREAM)
    other, second = opened(tmp_path), study(privacy=DP, study={"name": "second"})
    theirs = ask(second, dataset(), other)
    approve(theirs, other, None)  # by another policy
    for number in (1, 2, 3):
        other.charge(second.digest(), number, theirs.cohort.digest, theirs.event, "d" * 64, lambda books: None)
    with pytest.raises(PolicyError, match="the next round would bring 12 patients"):
        account.charge(2, "parameters", STREAM)
    other.close(STUDY.digest())
    with pytest.raises(ApprovalError, match="is closed at this hospital"):
        account.check_approved()
    assert len(charges(tmp_path)) == 4


def test_a_hospital_that_runs_sees_that_its_study_was_closed(tmp_path: Path, built: Built) -> None:
    there = hospital(tmp_path, built)
    there.answer("train", question(1, start()))
    opened(tmp_path).close(STUDY.digest())
    with pytest.raises(ApprovalError, match="is closed at this hospital"):  # the coordinator reads that it refused
        there.answer("train", question(2, start()))
    assert len(charges(tmp_path)) == 1


def test_a_study_without_dp_is_charged_as_one_that_nothing_bounds(tmp_path: Path) -> None:
    of = study()
    hospital(tmp_path, build(of), of).answer("train", question(1, start(of), of))
    assert [event.noise_multiplier for _, event in charges(tmp_path)] == [0.0]


def test_a_kept_upload_of_a_secure_sum_is_sent_again_without_the_ledger(
    tmp_path: Path, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    of = secure_study().model_copy(update={"privacy": STUDY.privacy})
    names = "abc"
    desks = {
        name: Desk(of, name, identity_of(name), roster(names), tmp_path / f"desk {name}", os.urandom) for name in names
    }
    members = [desks[name].join(RUN) for name in names]
    asked = TrainRequest(of.digest(), 1, start(of), write_members(members)).parts()
    there = hospital(tmp_path, build(of), of, desk=desks["a"])
    first = there.answer("train", asked)
    assert len(charges(tmp_path)) == 1
    monkeypatch.setattr(Account, "charge", lambda *arguments: pytest.fail("it was charged again"))
    again = there.answer("train", asked)
    assert isinstance(first, MaskedAnswer)
    assert isinstance(again, MaskedAnswer)
    assert first.upload.masked.update.tobytes() == again.upload.masked.update.tobytes()


def test_a_hospital_that_lost_its_half_of_secure_sums_joins_no_run_with_another_key(tmp_path: Path) -> None:
    """It would train as before, so that a second sum, over others, less the first would be one hospital's update."""
    of = secure_study().model_copy(update={"privacy": STUDY.privacy})
    names, made, prepare = "abc", build(of), PrepareRequest(of.digest(), False, RUN).parts()

    def there(place: str) -> Hospital:
        kept = Desk(of, "a", identity_of("a"), roster(names), tmp_path / place, os.urandom)
        return hospital(tmp_path, made, of, desk=kept)

    members = [there("desk").desk.join(RUN)]  # type: ignore[union-attr]
    members += [Desk(of, n, identity_of(n), roster(names), tmp_path / n, os.urandom).join(RUN) for n in "bc"]
    assert there("not charged yet").answer("prepare", prepare)
    there("desk").answer("train", TrainRequest(of.digest(), 1, start(of), write_members(members)).parts())
    assert there("desk").answer("prepare", prepare).agreement[:32] == members[0].agreement  # type: ignore[union-attr]
    with pytest.raises(PrivacyError, match="what it kept of its secure sums is gone") as lost:
        there("lost").answer("prepare", prepare)
    assert "wardround hospital close test" in lost.value.do


def test_a_charged_round_is_not_answered_again_with_another_share_of_its_noise(tmp_path: Path) -> None:
    of = study(
        privacy=DP | {"trust": "distributed", "sampling_rate": 1.0, "dropouts": 0, "colluders": 0},
        training={"rounds": 2, "local_epochs": None, "batch_size": 18},
        aggregation={"secure": True, "min_hospitals": 3},
    )
    built = build(of)

    def answer(names: str, place: str) -> Any:
        desks = {
            name: Desk(of, name, identity_of(name), roster(names), tmp_path / place / name, os.urandom)
            for name in names
        }
        members = write_members([desks[name].join(RUN) for name in names])
        asked = TrainRequest(of.digest(), 1, start(of), members).parts()
        return hospital(tmp_path, built, of, desk=desks["a"]).answer("train", asked)

    answer("abc", "desks")
    assert isinstance(answer("abc", "lost, and made again"), MaskedAnswer)
    with pytest.raises(PrivacyError, match="answered before"):
        answer("abcdef", "lost once more")  # the same draw, smaller: the sums' difference would have too little noise
    assert len(charges(tmp_path)) == 1


# The policy

SHARED = study(
    privacy=DP | {"trust": "distributed", "sampling_rate": 1.0, "dropouts": 0, "colluders": 0},
    training={"local_epochs": None, "batch_size": 24},
    aggregation={"secure": True},
)


def needs(tmp_path: Path, of: Study = STUDY, data: Dataset | None = None, **changes: Any) -> str:
    ledger = opened(tmp_path)
    with pytest.raises(PrivacyError) as refusal:
        approve(ask(of, data or dataset(), ledger), ledger, policy(**changes))
    assert opened(tmp_path).books.approved == {}
    return str(refusal.value)


def test_a_study_within_the_policy_is_approved_and_its_spending_said_in_advance(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    levels = approve(ask(STUDY, dataset(), ledger), ledger, policy(delta=1e-3))
    (level,) = levels
    assert (level.patients, level.before, level.composed) == (dataset().train.patient_count, 0.0, True)
    assert 7.5 < level.after <= 8.0


def test_a_study_beyond_the_cap_is_refused_with_what_would_be_needed(tmp_path: Path) -> None:
    two, three = (float(STUDY_PLAN.epsilon_after(number)) for number in (2, 3))
    said = needs(tmp_path, delta=1e-3, patient_epsilon=(two + three) / 2)
    assert f"this study would bring 12 patients to epsilon {three:.2f} (at delta 0.001)" in said
    assert f"where the policy's cap over all studies is {(two + three) / 2:g}" in said
    assert (
        f"Needed: a cap of {math.ceil(three * 100) / 100:.2f}, or at most 2 rounds with this noise instead of 3" in said
    )


def test_the_policys_delta_counts_and_not_the_studys(tmp_path: Path) -> None:
    # epsilon 8 at delta 1e-3 is more than 8 at 1e-5.
    assert "cap over one study is 8" in needs(tmp_path, delta=1e-5)


def test_a_hospital_that_allows_studies_without_noise_counts_those_with_little(tmp_path: Path) -> None:
    little = study(privacy=DP | {"epsilon": 80.0})
    assert ask(little, dataset(), opened(tmp_path)).event.noise_multiplier < 1
    said = needs(tmp_path, little, delta=1e-3, require_dp=False)
    assert "would bring 12 patients to epsilon 79." in said
    assert "cap over one study is 8" in said


@pytest.mark.parametrize(
    ("of", "changes", "says"),
    [
        (study(), {}, "needed: [privacy] mechanism = 'dp-sgd'"),
        (STUDY, {"require_secure": True}, "needed: [aggregation] secure = true"),
        (STUDY, {"require_noised_evaluation": True}, "needed: [privacy] evaluation_epsilon"),
        (STUDY, {"smallest_cohort": 13}, "it would train on 12 patients; needed: 13"),
        (STUDY, {"tasks": ["segmentation"]}, "its task is classification; needed: one of segmentation"),
        (STUDY, {"networks": ["resnet18"]}, "its network is small-cnn; needed: one of resnet18"),
        (SHARED, {"require_local": True}, "it relies on other hospitals' noise (trust = 'distributed')"),
    ],
)
def test_what_the_policy_requires_is_named(tmp_path: Path, of: Study, changes: dict[str, Any], says: str) -> None:
    assert says in needs(tmp_path, of, delta=1e-3, **changes)


def test_a_cohort_of_just_the_smallest_size_is_large_enough() -> None:
    check_kind(policy(smallest_cohort=12), STUDY, 12)


def test_a_policy_that_counts_at_a_delta_of_one_in_its_patients_is_refused(tmp_path: Path) -> None:
    """A cap at such a delta would permit publishing a patient outright, whatever the study's own delta is."""
    rules = policy(delta=1e-2)
    check_kind(rules, STUDY, 99)
    with pytest.raises(PolicyError, match=r"counts epsilon at delta 0\.01, which protects nobody among 100 patients"):
        check_kind(rules, STUDY, 100)
    check_kind(rules, STUDY, 100, trains=False)  # nobody spends anything there
    check_kind(policy(delta=1e-2, require_dp=False), study(), 100)  # nor does any cap count a study without noise


def test_a_cap_says_which_study_reserves_how_much_and_how_to_free_it(tmp_path: Path) -> None:
    ledger, rules = opened(tmp_path), policy(delta=1e-3, patient_epsilon=9.0)
    approve(ask(STUDY, dataset(), ledger), ledger, rules)
    second = study(privacy=DP, study={"name": "second"})
    asked = ask(second, dataset(), ledger)
    reserved = float(STUDY_PLAN.epsilon_after(3))
    how = {STUDY.digest(): "its run failed"}
    for ended, said in (({}, ""), (how, ", and its run failed")):
        with pytest.raises(PolicyError) as refusal:
            check_spending(rules, ledger, second.digest(), "second", 3, asked.event, asked.cohort, ended)
        name = STUDY.study.name
        digest = STUDY.digest()[:12]  # a study that was put right has the same name
        assert f"{reserved:.2f} is reserved by '{name}' {digest} (0 of 3 rounds charged{said})" in refusal.value.what
        assert f"To free what is reserved: wardround hospital close {digest}. Otherwise needed" in refusal.value.do
    ledger.close(STUDY.digest())
    check_spending(rules, ledger, second.digest(), "second", 3, asked.event, asked.cohort)


def test_what_open_studies_may_still_take_is_reserved(tmp_path: Path) -> None:
    ledger, rules = opened(tmp_path), policy(delta=1e-3, patient_epsilon=9.0)
    approve(ask(STUDY, dataset(), ledger), ledger, rules)
    second = study(privacy=DP, study={"name": "second"})
    with pytest.raises(PrivacyError, match="cap over all studies is 9"):
        approve(ask(second, dataset(), ledger), ledger, rules)
    others = replace(dataset(), identifiers=tuple(f"somebody else {number}" for number in range(20)))
    approve(ask(second, others, ledger), ledger, rules)
    ledger.close(STUDY.digest())
    approve(ask(second, dataset(), ledger), ledger, rules)


def test_what_a_study_spent_before_it_was_approved_anew_counts_for_its_cap(tmp_path: Path) -> None:
    """As with other data and so other noise: what is left is less, and what was charged stays."""
    ledger = opened(tmp_path)
    asked = ask(STUDY, dataset(), ledger)
    less = asked.event.model_copy(update={"noise_multiplier": asked.event.noise_multiplier / 2})
    digest, cohort = STUDY.digest(), asked.cohort
    ledger.approve(digest, "test", 3, less, cohort, "other data", lambda books: None)
    for number in (1, 2):
        ledger.charge(digest, number, cohort.digest, less, "d" * 64, lambda books: None)
    with pytest.raises(PolicyError, match="cap over one study is 8") as refusal:
        approve(asked, ledger, policy(delta=1e-3, patient_epsilon=100.0))
    together = epsilon_of((less.times(2), asked.event.times(1)), 1e-3)
    assert refusal.value.what.startswith("this study would bring 12 patients")
    assert f"to epsilon {together:.2f} " in refusal.value.what


def test_what_closed_studies_spent_stays_spent_for_the_cap_over_all(tmp_path: Path) -> None:
    ledger, second = opened(tmp_path), study(privacy=DP, study={"name": "second"})
    asked, both = ask(STUDY, dataset(), ledger), policy(delta=1e-3, patient_epsilon=9.0)
    approve(asked, ledger, both)
    for number in (1, 2, 3):
        ledger.charge(STUDY.digest(), number, asked.cohort.digest, asked.event, "d" * 64, lambda books: None)
    ledger.close(STUDY.digest())
    with pytest.raises(PolicyError, match="cap over all studies is 9") as refusal:
        approve(ask(second, dataset(), ledger), ledger, both)
    assert f"to epsilon {epsilon_of(asked.event.times(6), 1e-3):.2f} " in refusal.value.what


@pytest.mark.parametrize(
    ("caps", "says"),
    [
        ({"study_epsilon": 1.0, "patient_epsilon": 100.0}, "cap over one study is 1"),
        ({"study_epsilon": 100.0, "patient_epsilon": 1.0}, "cap over all studies is 1"),
    ],
)
def test_caps_that_were_lowered_after_the_approval_hold_for_the_next_round(
    tmp_path: Path, caps: dict[str, float], says: str
) -> None:
    ledger = opened(tmp_path)
    asked = ask(STUDY, dataset(), ledger)
    approve(asked, ledger, policy(delta=1e-3))
    with pytest.raises(PolicyError, match=f"the next round would bring 12 patients .*{says}"):
        Account(ledger, policy(delta=1e-3, **caps), asked).charge(1, "parameters", STREAM)
    assert charges(tmp_path) == []


def test_what_a_rebuilt_ledger_carries_over_counts_for_the_cap_over_all_and_not_for_one_study(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.carry(Bound(5.0, 1e-3), [], [])
    asked = ask(STUDY, dataset(), ledger)
    needed = STUDY_PLAN.epsilon_after(3) + 5.0  # of what was carried only a bound is known: it is added
    with pytest.raises(PolicyError, match=r"cap over all studies is 12\.9") as refusal:
        approve(asked, ledger, policy(delta=1e-3, patient_epsilon=12.9))
    assert f"to epsilon {needed:.2f}, 5.00 of it carried over" in refusal.value.what
    assert "(at delta 0.002), where" in refusal.value.what  # deltas are added, too
    (level,) = approve(asked, ledger, policy(delta=1e-3, patient_epsilon=13.0))
    assert (level.before, level.after) == (5.0, needed)
    told: list[Charge] = []  # for the audit log, on which the next ledger would be rebuilt
    Account(ledger, policy(delta=1e-3, patient_epsilon=13.0), asked, told.append).charge(1, "parameters", STREAM)
    assert [(one.before, one.after, one.delta) for one in told] == [(5.0, 5.0 + STUDY_PLAN.epsilon_after(1), 2e-3)]
    with pytest.raises(PolicyError, match=r"cap over one study is 0\.5") as refusal:
        approve(
            ask(study(privacy=DP, study={"name": "second"}), dataset(), ledger),
            ledger,
            policy(delta=1e-3, study_epsilon=0.5),
        )
    assert "(at delta 0.001), where" in refusal.value.what


def test_where_nothing_bounds_what_was_spent_before_a_rebuilt_ledger_nothing_is_approved(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    ledger.carry(Bound(math.inf, 1e-3), [], [])
    assert ledger.books.carried_epsilon == math.inf
    asked = ask(STUDY, dataset(), ledger)
    for rules in (policy(delta=1e-3), policy(delta=1e-3, patient_epsilon=1000.0, require_dp=False)):
        with pytest.raises(PolicyError, match="nothing bounds what the audit log records from before"):
            approve(asked, ledger, rules)


def test_a_study_is_closed_once_and_only_where_it_was_approved(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    with pytest.raises(PrivacyError, match="does not take part in this study"):
        ledger.close(STUDY.digest())
    approve(ask(STUDY, dataset(), ledger), ledger, None)
    ledger.close(STUDY.digest())
    terms = ledger.books.terms
    with pytest.raises(PrivacyError, match="does not take part in this study"):
        ledger.close(STUDY.digest())
    assert ledger.books.terms == terms


def test_what_comes_before_the_first_round_is_reserved_until_then_and_not_charged_after_it(tmp_path: Path) -> None:
    """One that joined late, after the sum before the first round, never spends its part of it."""
    ledger = opened(tmp_path)
    before = Event(noise_multiplier=4.0, sampling_rate=1.0, steps=1)
    asked = replace(ask(STUDY, dataset(), ledger), before=before)
    digest, cohort, event = STUDY.digest(), asked.cohort, asked.event
    ledger.approve(digest, "test", 3, event, cohort, asked.data, lambda books: None, before)
    assert ledger.books.left(digest) == {cohort.digest: {event: 3, before: 1}}
    early = opened(tmp_path / "early")
    early.approve(digest, "test", 3, event, cohort, asked.data, lambda books: None, before)
    Account(early, None, asked).charge(0, "parameters", STREAM)
    assert early.books.left(digest) == {cohort.digest: {event: 3}}
    account = Account(ledger, None, asked)
    account.charge(1, "parameters", STREAM)
    assert ledger.books.left(digest) == {cohort.digest: {event: 2}}
    with pytest.raises(PrivacyError, match="nothing is added up before it any more"):
        account.charge(0, "parameters", STREAM)
    assert charges(tmp_path) == [(1, event)]


def test_only_the_patients_of_the_study_count_for_its_caps(tmp_path: Path) -> None:
    ledger = opened(tmp_path)
    everybody = dataset()
    approve(ask(study(), everybody, ledger), ledger, policy(require_dp=False))
    ledger.charge(study().digest(), 1, ledger.key.cohort(everybody.charged(everybody.train)).digest, *unprotected())
    others = replace(everybody, identifiers=tuple(f"somebody else {number}" for number in range(20)))
    approve(ask(STUDY, others, ledger), ledger, policy(delta=1e-3))
    with pytest.raises(PrivacyError, match="12 patients took part in a study without differential privacy"):
        approve(ask(STUDY, everybody, ledger), ledger, policy(delta=1e-3))
    approve(ask(STUDY, everybody, ledger), ledger, policy(delta=1e-3, require_dp=False))


def unprotected() -> tuple[Event, str, Any]:
    return Event(noise_multiplier=0.0, sampling_rate=1.0, steps=1), "d" * 64, lambda books: None


def test_the_next_round_that_would_exceed_a_lowered_cap_is_refused_before_training(
    tmp_path: Path, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    hospital(tmp_path, built, rules=policy(delta=1e-3)).answer("train", question(1, start()))
    spent_after = [float(STUDY_PLAN.epsilon_after(number)) for number in (1, 2, 3)]
    lowered = policy(delta=1e-3, patient_epsilon=(spent_after[1] + spent_after[2]) / 2)
    there = hospital(tmp_path, built, rules=lowered, approved=False)
    there.answer("train", question(2, start()))
    monkeypatch.setattr(hospital_module, "train", lambda *arguments: pytest.fail("it trained"))
    with pytest.raises(PrivacyError, match="the next round would bring 12 patients to epsilon"):
        there.answer("train", question(3, start()))
    assert len(charges(tmp_path)) == 2


def test_a_round_of_an_approved_study_is_charged_without_composing_anything(
    tmp_path: Path, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wardround_client.spending import policy_check

    there = hospital(tmp_path, built, rules=policy(delta=1e-3))
    there.answer("train", question(1, start()))
    monkeypatch.setattr(policy_check, "cost", lambda *arguments, **named: pytest.fail("it composed"))
    there.answer("train", question(2, start()))
    assert len(charges(tmp_path)) == 2


def test_a_round_for_which_the_card_had_no_memory_is_charged_once_and_can_be_asked_again(
    tmp_path: Path, built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = question(1, start())

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    with monkeypatch.context() as patch:
        patch.setattr(BookKeeping, "clipped_sum", full)
        with pytest.raises(DeviceError, match="too little free memory"):
            hospital(tmp_path, built).answer("train", asked)
        assert len(charges(tmp_path)) == 1  # patients were drawn and looked at
    answered = hospital(tmp_path, built).answer("train", asked)
    again = hospital(tmp_path / "other", built).answer("train", asked)
    assert isinstance(answered, Update)
    assert isinstance(again, Update)
    assert answered.vector.tobytes() == again.vector.tobytes()  # the same noise, on the same sum
    assert len(charges(tmp_path)) == 1
