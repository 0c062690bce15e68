"""Rounds over real hospitals whose sums are secure: the same model, and nobody's own number."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consortium import RUN, MemoryJournal, identity, roster, secure_study
from examples import DP, dataset, study
from wardround_client import networks
from wardround_client.hospital import answering as hospital_module
from wardround_client.hospital.answering import Hospital, build, join
from wardround_client.hospital.secure_desk import Desk
from wardround_client.training.local_work import LocalWork
from wardround_common.canonical import cut, joined
from wardround_common.errors import MessageError, PrivacyError, RoundError, VersionError, WardroundError
from wardround_common.messages.rounds import (
    SUMS_FORM,
    EvaluateRequest,
    Failure,
    Parts,
    PrepareRequest,
    TrainRequest,
    Update,
)
from wardround_common.randomness import insecure_stream
from wardround_common.secagg.terms import write_members
from wardround_common.study.file import Study
from wardround_common.study.sums import encoding_for
from wardround_server.rounds.course import Event, RoundBegins, RoundEnds, State, run_study
from wardround_server.rounds.secure_rounds import Consortium
from wardround_server.service.resuming import resuming

Alter = Callable[[str, str, Parts | Failure], Parts | Failure]
NAMES = "abcd"


class Memory:
    """An exchange with hospitals in this process; ``alter`` may change or drop what they answer."""

    def __init__(self, of: Study, folder: Path, alter: Alter | None = None) -> None:
        built = build(of)
        self.at: dict[str, Hospital] = {}
        for seed, name in enumerate(NAMES):
            desk = Desk(of, name, identity(name), roster(NAMES), folder / name, os.urandom)
            mine = desk if of.aggregation.secure else None
            self.at[name] = join(of, dataset(seed), insecure_stream(0, name), built, mine)
        self.alter = alter or (lambda name, kind, answer: answer)
        self.heard: list[tuple[str, str, Parts | Failure]] = []

    def hospitals(self) -> Sequence[str]:
        return list(self.at)

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        for name, question in questions.items():
            try:
                answer: Parts | Failure = self.at[name].answer(kind, question).parts()
            except WardroundError as error:
                answer = Failure(error.kind)
            answer = self.alter(name, kind, answer)
            self.heard.append((name, kind, answer))
            yield name, answer


def consortium() -> Consortium:
    return Consortium(RUN, roster(NAMES), MemoryJournal())


def quiet(event: Event) -> None:
    """Watch nothing."""


def silent(name: str, *kinds: str) -> Alter:
    return lambda who, what, answer: Failure("crashed") if who == name and what in kinds else answer


def fast(secure: bool = True, rounds: int = 2, **aggregation: Any) -> Study:
    tables = {"training": {"rounds": rounds}, "model": {"network": "tiny-cnn"}}
    return study(aggregation={"secure": secure} | aggregation, **tables)


def test_secure_sums_give_the_model_of_plain_ones_within_the_rounding(tmp_path: Path) -> None:
    of = fast()
    mine = run_study(of, Memory(of, tmp_path), quiet, None, consortium())
    other = fast(False)
    theirs = run_study(other, Memory(other, tmp_path), quiet)
    assert np.abs(mine.parameters - theirs.parameters).max() < 2e-3  # training multiplies what rounding began
    for ours, reference in zip(mine.history, theirs.history, strict=True):
        assert ours.headline.value == pytest.approx(reference.headline.value, abs=0.01)
        assert ours.training_loss == pytest.approx(reference.training_loss, abs=1e-3)
        assert ours.answered == reference.answered
        assert ours.clipped == 0.0


def test_the_mean_of_one_round_is_off_by_less_than_the_specification_states(tmp_path: Path) -> None:
    of, other = fast(True, rounds=1), fast(False, rounds=1)
    mine = run_study(of, Memory(of, tmp_path), quiet, None, consortium())
    theirs = run_study(other, Memory(other, tmp_path), quiet)
    level = 4.0 * 2**16 / ((2**31 - 1) // 4)
    assert 0 < np.abs(mine.parameters - theirs.parameters).max() < 4 * level / (4 * 12)  # section 4: n · level / W


def test_secure_sums_are_sums_of_the_rounded_updates_and_nothing_else(tmp_path: Path) -> None:
    """A replay in the clear: plain updates, rounded as an upload is and added as whole numbers, give the same bytes."""
    of, plain = fast(), fast(False)
    final = run_study(of, Memory(of, tmp_path), quiet, None, consortium())
    hospitals, encoding = Memory(plain, tmp_path).at, encoding_for(of.aggregation, len(NAMES))
    parameters = networks.read_vector(networks.build(of))
    for number in (1, 2):
        total, weight = np.zeros(len(parameters), np.int64), 0
        for hospital in hospitals.values():
            update = hospital.answer("train", TrainRequest(plain.digest(), number, parameters).parts())
            assert isinstance(update, Update)
            rounding = hospital.stream.child("rounding", number)
            total += encoding.encode(update.vector, update.examples, rounding).view("<i4")
            weight += update.examples
        parameters = (parameters + total.astype(np.float64) * encoding.level / weight).astype(np.float32)
    assert parameters.tobytes() == final.parameters.tobytes()


def test_evaluation_sums_are_those_of_plain_rounds_exactly(tmp_path: Path) -> None:
    from wardround_server.rounds import plain_rounds
    from wardround_server.rounds.exchange import Counted
    from wardround_server.rounds.secure_rounds import Rounds

    of, other = fast(), fast(False)
    memory, group = Memory(of, tmp_path), consortium()
    state = run_study(of, memory, quiet, None, group)
    members = {name: hospital.desk.join(RUN) for name, hospital in memory.at.items() if hospital.desk is not None}
    for hospital in memory.at.values():
        for kept in (tmp_path / hospital.desk.name).glob("evaluate.*"):  # type: ignore[union-attr]
            kept.unlink()
    group.journal.write("evaluate", b"")
    secretly = Rounds(of, Counted(memory), Consortium(RUN, roster(NAMES), MemoryJournal()), members).score(
        state.parameters, 2
    )
    plainly = plain_rounds.Rounds(other, Memory(other, tmp_path)).score(state.parameters, 2)
    assert not secretly.absent
    assert secretly.sums.to_vector().tolist() == plainly.sums.to_vector().tolist()


@pytest.mark.parametrize("form", [{}, {"sums": SUMS_FORM - 1}, {"sums": SUMS_FORM + 1}, {"sums": str(SUMS_FORM)}])
def test_versions_whose_secure_sums_have_another_form_refuse_one_another_and_say_so(
    tmp_path: Path, form: dict[str, int]
) -> None:
    """The first version named no form: its hospitals answer without, and its coordinators ask without."""

    def other_version(name: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        if kind != "prepare" or isinstance(answer, Failure):
            return answer
        return Parts({key: value for key, value in answer.fields.items() if key != "sums"} | form, answer.arrays)

    memory = Memory(fast(), tmp_path, other_version)
    with pytest.raises(RoundError, match="its version of Wardround makes secure sums in another form"):
        run_study(fast(), memory, quiet, None, consortium())
    asked = PrepareRequest(fast().digest(), False, RUN).parts()
    with pytest.raises(VersionError, match=r"the coordinator runs a version .* another form"):
        memory.at["a"].answer("prepare", other_version("", "prepare", asked))  # type: ignore[arg-type]


def test_a_hospital_that_is_upgraded_between_rounds_is_missing_for_its_version(tmp_path: Path) -> None:
    """Its upload has other bytes then: without the form they were one that the hospital should not have sent."""

    def upgraded(who: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        if (who, kind) != ("d", "train") or isinstance(answer, Failure):
            return answer
        envelope = np.append(answer.arrays["envelope"], np.uint8(0))
        return Parts({**answer.fields, "sums": SUMS_FORM + 1}, {**answer.arrays, "envelope": envelope})

    of = fast(rounds=1)
    record = run_study(of, Memory(of, tmp_path, upgraded), quiet, None, consortium()).history[0]
    assert record.answered == ("a", "b", "c")
    assert [(absent.hospital, absent.kind) for absent in record.absent] == [("d", "version")]


@pytest.mark.parametrize("kind", ["train", "evaluate"])
def test_a_hospital_trains_nothing_for_a_coordinator_whose_sums_have_another_form(tmp_path: Path, kind: str) -> None:
    of = fast(rounds=1)
    memory = Memory(of, tmp_path)
    run_study(of, memory, quiet, None, consortium())
    hospital = memory.at["a"]
    trained = files_of(tmp_path / "a")
    size = networks.read_vector(networks.build(of)).size
    asked: dict[str, TrainRequest | EvaluateRequest] = {
        "train": TrainRequest(of.digest(), 2, np.zeros(size, np.float32), b"a cohort of another form"),
        "evaluate": EvaluateRequest(of.digest(), 2, "test", np.zeros(size, np.float32), b"a cohort of another form"),
    }
    parts = asked[kind].parts()
    with pytest.raises(VersionError, match=r"the coordinator runs a version .* another form"):
        hospital.answer(kind, Parts({**parts.fields, "sums": SUMS_FORM + 1}, parts.arrays))
    assert files_of(tmp_path / "a") == trained


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_key_that_its_hospital_did_not_sign_is_in_no_cohort(tmp_path: Path) -> None:
    """Else all others would refuse the cohort, and one hospital could stop every round."""

    def alter(who: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        if (who, kind) != ("d", "prepare") or isinstance(answer, Failure):
            return answer
        agreement = answer.arrays["agreement"].copy()
        agreement[-1] ^= 1
        return Parts(answer.fields, {**answer.arrays, "agreement": agreement})

    of = fast(rounds=1)
    assert run_study(of, Memory(of, tmp_path, alter), quiet, None, consortium()).history[0].answered == ("a", "b", "c")


def test_no_hospitals_own_number_is_in_what_the_coordinator_hears(tmp_path: Path) -> None:
    of = fast()
    memory = Memory(of, tmp_path)
    run_study(of, memory, quiet, None, consortium())
    fields = {key for _, _, answer in memory.heard if isinstance(answer, Parts) for key in answer.fields}
    assert fields == {"study", "round", "names", "shapes", "parameters_digest", "sums"}
    updates = [answer.arrays["update"] for _, kind, answer in memory.heard if kind == "train"]  # type: ignore[union-attr]
    high = np.concatenate([update >> 28 for update in updates])  # an update in the clear has zeros or ones here
    assert np.bincount(high, minlength=16).max() < 1.1 * len(high) / 16


def test_a_resumed_run_ends_as_the_uninterrupted_one(tmp_path: Path) -> None:
    of = fast()
    states: list[State] = []

    def keep(event: Event) -> None:
        if isinstance(event, RoundEnds):
            states.append(event.state)

    group = consortium()
    whole = run_study(of, Memory(of, tmp_path / "whole"), keep, None, consortium())

    def stop(event: Event) -> None:
        if isinstance(event, RoundEnds) and event.record.number == 2:
            raise KeyboardInterrupt  # after round 2 was opened, before it was kept

    with pytest.raises(KeyboardInterrupt):
        run_study(of, Memory(of, tmp_path / "broken"), stop, None, group)
    resumed = run_study(of, Memory(of, tmp_path / "broken"), quiet, states[0], group)
    assert resumed.parameters.tobytes() == whole.parameters.tobytes()


def test_after_a_crash_the_sum_is_over_those_that_it_was_to_be_over(tmp_path: Path) -> None:
    of, group = fast(), consortium()

    def stop(event: Event) -> None:
        if isinstance(event, RoundEnds):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(of, Memory(of, tmp_path, silent("d", "train")), stop, None, group)
    record = run_study(of, Memory(of, tmp_path), quiet, None, group).history[0]  # d is back and could be added now
    assert record.answered == ("a", "b", "c")
    with pytest.raises(KeyboardInterrupt):
        run_study(of, Memory(of, tmp_path / "2"), stop, None, two := consortium())
    with pytest.raises(RoundError, match="was to be summed over a, b, c, d and not all of them"):
        run_study(of, Memory(of, tmp_path / "2", silent("d", "train")), quiet, None, two)


def interrupted(of: Study, folder: Path, group: Consortium, alter: Alter | None = None) -> list[Event]:
    """Begin a run that ends when its first round was opened and before it was kept."""
    seen: list[Event] = []

    def stop(event: Event) -> None:
        seen.append(event)
        if isinstance(event, RoundEnds):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(of, Memory(of, folder, alter), stop, None, group)
    return seen


def test_a_round_that_cannot_be_summed_again_is_given_up_when_that_is_asked_for(tmp_path: Path) -> None:
    of, group = fast(rounds=3), consortium()
    interrupted(of, tmp_path, group)
    memory = Memory(of, tmp_path)
    del memory.at["d"]  # gone for good
    with pytest.raises(RoundError, match="not all of them are there again") as failed:
        run_study(of, memory, quiet, None, group)
    assert "skip the round: COMMAND --give-up" in resuming(failed.value, "COMMAND")
    final = run_study(of, memory, quiet, None, replace(group, give_up=True))
    assert [record.number for record in final.history] == [1, 2, 3]
    assert [record.answered for record in final.history] == [(), ("a", "b", "c"), ("a", "b", "c")]
    assert [(a.hospital, a.kind) for a in final.history[0].absent] == [("d", "silent")]
    assert final.history[0].training_loss is None


def test_no_vector_of_a_round_that_was_given_up_is_opened_later(tmp_path: Path) -> None:
    of, group = fast(rounds=2), consortium()
    interrupted(of, tmp_path, group)
    memory = Memory(of, tmp_path)
    del memory.at["d"]
    run_study(of, memory, quiet, None, replace(group, give_up=True))
    desk = memory.at["a"].desk
    assert desk is not None
    for ask in (lambda: desk.confirm("train", 1, b""), lambda: desk.open("train", 1, b"", b"")):
        with pytest.raises(MessageError, match="round 1 is not the round of this hospital's last upload"):
            ask()


@pytest.mark.parametrize("form", range(1, SUMS_FORM))
def test_a_round_that_was_answered_before_an_upgrade_is_skipped_and_no_record_is_called_damaged(
    tmp_path: Path, form: int
) -> None:
    of, group = fast(rounds=2), consortium()
    interrupted(of, tmp_path, group)
    memory = Memory(of, tmp_path)
    for hospital in memory.at.values():
        answered_in(hospital.desk, form)  # type: ignore[arg-type]
    with pytest.raises(RoundError, match="0 hospitals are heard in round 1") as failed:
        run_study(of, memory, quiet, None, group)
    assert type(failed.value) is RoundError  # and none of files that cannot be read
    assert "a, b, c, d (outdated): it answered before it was upgraded" in failed.value.do
    assert "skip the round: COMMAND --give-up" in resuming(failed.value, "COMMAND")
    final = run_study(of, memory, quiet, None, replace(group, give_up=True))
    assert [record.answered for record in final.history] == [(), ("a", "b", "c", "d")]
    assert {one.kind for one in final.history[0].absent} == {"outdated"}


def answered_in(desk: Desk, form: int) -> None:
    """Let a hospital's kept upload be one of an earlier form, which is known by the digest of its terms."""
    kept, terms = desk.folder / "train.upload", desk._terms("train")
    assert terms is not None
    kept.write_bytes(joined(replace(terms, form=form).digest, *cut(kept.read_bytes())[1:]))


def test_a_round_is_given_up_only_if_it_was_begun_before_and_another_one_can_be_summed(tmp_path: Path) -> None:
    of, group = fast(min_hospitals=3), replace(consortium(), give_up=True)
    fresh = Memory(of, tmp_path / "fresh", lambda who, what, answer: Failure("crashed") if what == "train" else answer)
    with pytest.raises(RoundError, match="0 hospitals are heard in round 1"):
        run_study(of, fresh, quiet, None, group)
    begun = replace(consortium(), give_up=True)
    interrupted(of, tmp_path / "begun", begun)
    memory = Memory(of, tmp_path / "begun")

    seen: list[Event] = []

    def leave(event: Event) -> None:
        seen.append(event)
        if isinstance(event, RoundBegins):
            memory.at.pop("c", None)
            memory.at.pop("d", None)

    with pytest.raises(RoundError, match="needs 3 to 10,000 hospitals, and there are 2"):
        run_study(of, memory, leave, None, begun)
    assert not any(isinstance(event, RoundEnds) for event in seen)  # it can still be summed when they are back


def test_a_study_that_another_coordinator_began_is_said_to_need_another_name(tmp_path: Path) -> None:
    of = fast()
    run_study(of, Memory(of, tmp_path), quiet, None, consortium())
    again = replace(consortium(), run=b"r" * len(consortium().run))  # its folder was lost
    with pytest.raises(RoundError, match="0 hospitals are ready for the study") as refused:
        run_study(of, Memory(of, tmp_path), quiet, None, again)
    assert "then run it under another name" in refused.value.do


def test_a_run_whose_every_round_was_given_up_is_no_success(tmp_path: Path) -> None:
    of, group = fast(rounds=1), replace(consortium(), give_up=True)
    interrupted(of, tmp_path, group)
    memory = Memory(of, tmp_path)
    del memory.at["d"]
    with pytest.raises(RoundError, match="every round was given up"):
        run_study(of, memory, quiet, None, group)


def test_a_hospital_that_drops_out_is_named_and_the_others_are_summed(tmp_path: Path) -> None:
    of = fast()
    final = run_study(of, Memory(of, tmp_path, silent("b", "train")), quiet, None, consortium())
    assert [record.answered for record in final.history] == [("a", "c", "d")] * 2
    assert [(a.hospital, a.kind) for a in final.history[0].absent] == [("b", "crashed")]


@pytest.mark.parametrize("kinds", [("confirm",), ("open",), ("confirm", "open")])
def test_a_hospital_that_vanishes_after_its_upload_is_in_the_sum(tmp_path: Path, kinds: tuple[str, ...]) -> None:
    of = fast()
    final = run_study(of, Memory(of, tmp_path / "a", silent("b", *kinds)), quiet, None, consortium())
    whole = run_study(of, Memory(of, tmp_path / "b"), quiet, None, consortium())
    assert final.parameters.tobytes() == whole.parameters.tobytes()
    assert final.history[0].answered == tuple(NAMES)


@pytest.mark.parametrize("kind", ["evaluate", "confirm", "open"])
def test_an_evaluation_that_cannot_be_opened_is_left_out_and_names_who_was_missing(tmp_path: Path, kind: str) -> None:
    trained: list[str] = []

    def alter(who: str, what: str, answer: Parts | Failure) -> Parts | Failure:
        if what == "evaluate":
            trained.append(who)
        return Failure("crashed") if who in "bd" and what == kind and (trained or what == "evaluate") else answer

    of = fast(rounds=1)
    (record,) = run_study(of, Memory(of, tmp_path, alter), quiet, None, consortium()).history
    assert record.answered == tuple(NAMES)  # the training's sum was opened
    assert record.headline.value is None
    assert [(a.hospital, a.kind) for a in record.absent] == [("b", "crashed"), ("d", "crashed")]


def test_too_few_survivors_abandon_the_round_and_nothing_was_opened(tmp_path: Path) -> None:
    of = fast(min_hospitals=4)
    memory = Memory(of, tmp_path, silent("b", "train"))
    with pytest.raises(RoundError, match=r"3 hospitals are heard in round 1 .* needs 4; missing: b \(crashed\)"):
        run_study(of, memory, quiet, None, consortium())
    assert {kind for _, kind, _ in memory.heard} == {"prepare", "train"}


def test_a_hospital_sends_no_update_in_the_clear_however_it_is_asked(tmp_path: Path) -> None:
    of = fast()
    memory = Memory(of, tmp_path)
    hospital = memory.at["a"]
    hospital.desk.join(RUN)  # type: ignore[union-attr]
    parameters = np.zeros(hospital.built.layout.size, np.float32)
    with pytest.raises(MessageError, match="named no cohort"):
        hospital.answer("train", TrainRequest(of.digest(), 1, parameters).parts())
    with pytest.raises(PrivacyError, match="no key for them"):
        join(of, hospital.dataset, hospital.stream, hospital.built)


def test_one_hospital_is_no_sum() -> None:
    from wardround_common.secagg.thresholds import threshold_of

    with pytest.raises(RoundError, match="needs 2 to 10,000 hospitals, and there are 1"):
        threshold_of(1)
    with pytest.raises(ValueError, match="a sum over one is that hospital's own"):
        secure_study(min_hospitals=1)
    with pytest.raises(ValueError, match="only secure = true uses this key"):
        study(aggregation={"threshold": 3})
    with pytest.raises(RoundError, match="a threshold of 3 is not possible with 6 hospitals"):
        threshold_of(6, stated=3)


def private(secure: bool, rounds: int = 1) -> Study:
    """Return a study of one private step a round."""
    tables = {"training": {"rounds": rounds, "local_epochs": 0.5}, "model": {"network": "tiny-cnn"}}
    return study(aggregation={"secure": secure}, privacy=DP, **tables)


def test_secure_sums_of_noised_updates_are_the_plain_ones_within_the_rounding(tmp_path: Path) -> None:
    of, other = private(True), private(False)
    memory = Memory(of, tmp_path)
    mine = run_study(of, memory, quiet, None, consortium())
    plain = Memory(other, tmp_path)
    theirs = run_study(other, plain, quiet)
    assert {hospital.plan.steps_a_round for hospital in memory.at.values() if hospital.plan} == {1}
    level = 4.0 * 2**16 / ((2**31 - 1) // 4)
    bound = 4 * level / (4 * 12)  # section 4: n · level / W
    assert 0 < np.abs(mine.parameters - theirs.parameters).max() < bound
    start = networks.read_vector(networks.build(of))
    assert np.abs(mine.parameters - start).max() > 50 * bound  # a step was taken, noise and all


def test_under_secure_sums_no_epsilon_and_no_loss_is_sent(tmp_path: Path) -> None:
    """Both would say how many patients a hospital has; the hospital knows its own epsilon."""
    of = private(True)
    memory = Memory(of, tmp_path)
    (record,) = run_study(of, memory, quiet, None, consortium()).history
    assert record.epsilons == {}
    assert record.training_loss is None
    fields = {key for _, kind, a in memory.heard if kind == "train" and isinstance(a, Parts) for key in a.fields}
    assert fields == {"study", "round", "sums"}
    plain = Memory(private(False), tmp_path)
    (other,) = run_study(private(False), plain, quiet).history
    assert other.epsilons
    assert other.epsilons.keys() == set(NAMES)
    for name, epsilon in other.epsilons.items():
        plan = memory.at[name].plan
        assert plan is not None
        assert plan.epsilon_after(1) == epsilon


@pytest.mark.parametrize("number", [np.nan, np.inf])
def test_a_hospital_whose_update_is_not_finite_sends_nothing_and_the_others_are_summed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: float
) -> None:
    of = fast(rounds=1)
    memory = Memory(of, tmp_path)
    honest = hospital_module.train
    broken = memory.at["b"].dataset.train

    def train(*arguments: Any) -> LocalWork:
        work = honest(*arguments)
        return replace(work, update=np.full_like(work.update, number)) if arguments[0].examples is broken else work

    monkeypatch.setattr(hospital_module, "train", train)
    (record,) = run_study(of, memory, quiet, None, consortium()).history
    assert record.answered == ("a", "c", "d")
    assert [(a.hospital, a.kind) for a in record.absent] == [("b", "model")]
    assert not (tmp_path / "b" / "train.terms").exists()


def test_half_the_bytes_with_a_tight_ring_learn_as_well(tmp_path: Path) -> None:
    tight = {"ring_bits": 16, "update_clip": 0.2, "largest_weight": 12}
    of = fast(**tight)
    memory = Memory(of, tmp_path)
    small = run_study(of, memory, quiet, None, consortium())
    other = fast()
    large = run_study(other, Memory(other, tmp_path / "32"), quiet, None, consortium())
    update = next(answer for _, kind, answer in memory.heard if kind == "train").arrays["update"]  # type: ignore[union-attr]
    assert update.nbytes == 2 * len(small.parameters)
    assert np.abs(small.parameters - large.parameters).max() < 3e-3


# The same model over other survivors


class Repeats(Memory):
    """A coordinator that evaluates one model again and again, now over all hospitals, now without one."""

    def first_model(self, parameters: np.ndarray, number: int, without: str = "") -> None:
        from wardround_server.rounds.exchange import Counted
        from wardround_server.rounds.secure_rounds import Rounds

        members = {name: hospital.desk.join(RUN) for name, hospital in self.at.items() if hospital.desk is not None}
        self.alter = silent(without, "evaluate") if without else lambda name, kind, answer: answer
        rounds = Rounds(fast(), Counted(self), consortium(), members)
        scored = rounds.score(parameters, number)
        self.sums, self.missing = scored.sums, scored.absent


def test_the_same_model_is_evaluated_in_one_round_only_also_after_a_restart(tmp_path: Path) -> None:
    """Else the sum with a hospital less the sum without it would be that hospital's own, exactly (section 10)."""
    of = fast()
    size = Memory(of, tmp_path / "size").at["a"].built.layout.size
    parameters = np.linspace(-0.1, 0.1, size, dtype=np.float32)
    coordinator = Repeats(of, tmp_path)
    coordinator.first_model(parameters, 1)
    assert coordinator.sums.records > 0
    restarted = Repeats(of, tmp_path)
    restarted.first_model(parameters, 2, without="d")
    assert restarted.sums.records == 0
    assert [(a.hospital, a.kind) for a in restarted.missing if a.hospital != "d"] == [(n, "message") for n in "abc"]
    restarted.first_model(parameters + np.float32(0.01), 2)  # another model is another question
    assert restarted.sums.records == coordinator.sums.records


def test_an_evaluation_that_is_repeated_in_its_own_round_gets_the_same_bytes(tmp_path: Path) -> None:
    of = fast()
    size = Memory(of, tmp_path / "size").at["a"].built.layout.size
    parameters = np.zeros(size, np.float32)
    heard = []
    for _ in range(2):
        again = Repeats(of, tmp_path)
        again.first_model(parameters, 1)
        heard.append([a.arrays["counts"].tobytes() for _, k, a in again.heard if k == "evaluate"])  # type: ignore[union-attr]
    assert heard[0] == heard[1]


def test_a_question_that_could_not_be_answered_is_asked_again_by_no_other_parameters(tmp_path: Path) -> None:
    """Whether some validation patient's numbers overflow is one bit; bit after bit it is the largest of a feature."""
    of = fast()
    memory = Memory(of, tmp_path)
    cohort = write_members([hospital.desk.join(RUN) for hospital in memory.at.values() if hospital.desk is not None])
    built = memory.at["a"].built
    begun = networks.read_vector(networks.build(of))

    def asked(size: float, number: int = 1) -> str:
        parameters = begun.copy()
        for name, shape, part in built.layout.slices():
            if name == "classify.weight":
                parameters[part] = np.full(np.prod(shape), size)
        question = EvaluateRequest(of.digest(), number, "validation", parameters, cohort).parts()
        (_, answer) = next(memory.ask("evaluate", {"a": question}))
        return answer.reason if isinstance(answer, Failure) else "answers"

    assert asked(1e38) == "model"  # too large for somebody
    assert asked(1e38) == "model"
    assert asked(1e37) == "message"
    memory.at["a"] = Memory(of, tmp_path).at["a"]  # started anew
    assert asked(1e30) == "message"
    assert asked(1e30, 2) == "answers"
    assert asked(1e30, 1) == "message"


def test_a_crash_before_the_evaluation_left_does_not_forbid_it(tmp_path: Path) -> None:
    of = fast()
    memory = Repeats(of, tmp_path)
    parameters = np.zeros(memory.at["a"].built.layout.size, np.float32)
    memory.first_model(parameters, 1)
    for name in NAMES:
        (tmp_path / name / "evaluate.terms").unlink()  # written last: until then the upload did not leave
        (tmp_path / name / "evaluate.confirmed").unlink()
    again = Repeats(of, tmp_path)
    again.first_model(parameters, 1)
    assert again.sums.to_vector().tolist() == memory.sums.to_vector().tolist()
