"""Rounds over real hospitals in memory: who is missing, who lies, what is resumed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest

from examples import DP, dataset, study
from wardround_client.hospital.answering import Hospital, build, join
from wardround_common.errors import RoundError, WardroundError
from wardround_common.messages.rounds import Evaluated, EvaluateRequest, Failure, Parts, TrainRequest
from wardround_common.metrics.shapes import LEAST_RECORDS
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study
from wardround_server.rounds.course import Event, RoundEnds, State, run_study
from wardround_server.rounds.heard import form_of

Alter = Callable[[str, str, Parts | Failure], Parts | Failure]


class Memory:
    """An exchange with hospitals in this process; ``alter`` may change or drop what they answer."""

    def __init__(self, of: Study, names: Sequence[str] = "abc", alter: Alter | None = None, patients: int = 20) -> None:
        built = build(of)
        self.at: dict[str, Hospital] = {
            name: join(of, dataset(seed, patients), insecure_stream(0, name), built) for seed, name in enumerate(names)
        }
        self.alter = alter or (lambda name, kind, answer: answer)
        self.asked: list[str] = []

    def hospitals(self) -> Sequence[str]:
        return list(self.at)

    def ask(self, kind: str, questions: Mapping[str, Parts]) -> Iterator[tuple[str, Parts | Failure]]:
        self.asked.append(kind)
        for name, question in questions.items():
            try:
                answer: Parts | Failure = self.at[name].answer(kind, question).parts()
            except WardroundError as error:
                answer = Failure(error.kind)
            yield name, self.alter(name, kind, answer)


def quiet(event: Event) -> None:
    """Watch nothing."""


def failing(reasons: Mapping[str, str], kind: str) -> Alter:
    return lambda who, what, answer: Failure(reasons[who]) if what == kind and who in reasons else answer


def silent(name: str, kind: str) -> Alter:
    return failing({name: "crashed"}, kind)


def test_a_federation_learns_what_no_round_has_told_it() -> None:
    of = study(training={"rounds": 8, "learning_rate": 0.1})
    history = run_study(of, Memory(of), quiet).history
    assert [record.number for record in history] == list(range(1, 9))
    assert history[-1].headline.value == 1.0
    assert (history[-1].validation_loss or 9) < (history[0].validation_loss or 0)


def test_one_hospital_alone_is_its_own_training() -> None:
    of = study(aggregation={"min_hospitals": 1}, training={"rounds": 1})
    memory = Memory(of, "a")
    first = run_study(of, memory, quiet)
    hospital = memory.at["a"]
    from wardround_client.networks import build as network
    from wardround_client.networks import read_vector
    from wardround_client.training.local_work import train

    start = read_vector(network(of))
    work = train(hospital._run(), start, 1)
    assert np.abs(first.parameters - (start + work.update)).max() < 1e-7


def test_a_resumed_run_ends_as_the_uninterrupted_one() -> None:
    of = study(
        privacy=DP,
        training={"strategy": "fedyogi", "server_learning_rate": 0.01, "beta_1": 0.9, "beta_2": 0.99, "tau": 1e-3},
    )
    states: list[State] = []

    def keep(event: Event) -> None:
        if isinstance(event, RoundEnds):
            states.append(event.state)

    whole = run_study(of, Memory(of), keep)
    resumed = run_study(of, Memory(of), quiet, before=states[0])
    assert resumed.parameters.tobytes() == whole.parameters.tobytes()
    assert [replace_time(r) for r in resumed.history] == [replace_time(r) for r in whole.history]


def replace_time(record: object) -> object:
    return record.model_copy(update={"seconds": 0.0})  # type: ignore[attr-defined]


TRACKED = {"tensorboard": True, "hospitals": True}


def test_each_hospitals_own_figures_are_on_record_where_the_study_tracks_them_and_nowhere_else() -> None:
    told: dict[tuple[int, str], Evaluated] = {}

    def note(name: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        if kind == EvaluateRequest.kind and isinstance(answer, Parts):
            told[Evaluated.parse(answer).round, name] = Evaluated.parse(answer)
        return answer

    of = study(tracking=TRACKED, training={"rounds": 2})
    tracked = run_study(of, Memory(of, alter=note, patients=30), quiet)
    for record in tracked.history:
        assert set(record.by_hospital) == set(record.answered) == set("abc")
        for name, own in record.by_hospital.items():
            sums = form_of(of, "validation").read(told[record.number, name].sums)
            assert own.validation_loss == sums.mean_loss()
            assert own.headline == sums.auroc()
        losses = [own.training_loss or 0 for own in record.by_hospital.values()]
        assert min(losses) < (record.training_loss or 0) < max(losses)
    pooled = study(training={"rounds": 2})
    without = run_study(pooled, Memory(pooled, patients=30), quiet)
    assert not any(record.by_hospital for record in without.history)
    assert without.parameters.tobytes() == tracked.parameters.tobytes()


def test_a_hospital_of_few_images_has_no_figures_of_its_own() -> None:
    def few(name: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        if name != "b" or not isinstance(answer, Parts):
            return answer
        if kind == TrainRequest.kind:
            return replace(answer, fields=answer.fields | {"examples": LEAST_RECORDS - 1})
        if kind == EvaluateRequest.kind:
            return replace(Evaluated.parse(answer), sums=form_of(of, "validation").empty().to_vector()).parts()
        return answer

    of = study(tracking=TRACKED, training={"rounds": 1}, privacy={"mechanism": "none"})
    (record,) = run_study(of, Memory(of, alter=few, patients=30), quiet).history
    assert record.answered == ("a", "b", "c")
    assert set(record.by_hospital) == {"a", "c"}


def test_a_private_study_has_no_training_loss_of_a_hospital() -> None:
    of = study(tracking=TRACKED, training={"rounds": 1}, privacy=DP)
    (record,) = run_study(of, Memory(of, patients=30), quiet).history
    assert {name: own.training_loss for name, own in record.by_hospital.items()} == dict.fromkeys("abc")
    assert all(own.validation_loss for own in record.by_hospital.values())


def test_a_hospital_that_crashes_in_a_round_is_named_and_the_round_goes_on() -> None:
    of = study()
    final = run_study(of, Memory(of, alter=silent("b", "train")), quiet)
    assert [record.answered for record in final.history] == [("a", "c")] * 3
    assert [(a.hospital, a.kind) for a in final.history[0].absent] == [("b", "crashed")]


def test_a_round_with_too_few_hospitals_is_abandoned_and_says_who_is_missing() -> None:
    of = study(aggregation={"min_hospitals": 3})
    with pytest.raises(RoundError, match=r"2 hospitals are heard in round 1 .* needs 3; missing: b \(crashed\)"):
        run_study(of, Memory(of, alter=silent("b", "train")), quiet)


def test_a_hospital_that_is_missing_is_no_reason_to_lower_the_learning_rate() -> None:
    of = study(aggregation={"min_hospitals": 3})
    for word, remedy in {
        "away": "it is not connected",
        "privacy": "its ledger does not allow the round",
        "data": "its images or labels cannot be used",
        "crashed": "its process was ended",
        "some-other-word": "its people read why with 'wardround hospital status'",
    }.items():
        with pytest.raises(RoundError) as failed:
            run_study(of, Memory(of, alter=failing({"b": word}, "train")), quiet)
        assert f"b ({word}): {remedy}" in failed.value.do
        assert "learning rate" not in failed.value.do
    with pytest.raises(RoundError) as failed:
        run_study(of, Memory(of, alter=failing({"b": "model"}, "train")), quiet)
    assert "lower the learning rate" in failed.value.do


def test_what_hospitals_report_as_storage_is_storage_and_not_training_that_diverged() -> None:
    of = study(aggregation={"min_hospitals": 3})
    alter = failing({"a": "disk-full", "c": "storage"}, "train")
    with pytest.raises(RoundError) as failed:
        run_study(of, Memory(of, alter=alter), quiet)
    assert failed.value.exit_code == 7
    assert "the disk is full at a; files cannot be written or read at c: 1 hospital is heard" in failed.value.what
    assert "learning rate" not in failed.value.do


def test_a_full_disk_that_is_not_why_a_round_failed_is_not_named_as_its_cause() -> None:
    of = study(aggregation={"min_hospitals": 3})
    alter = failing({"a": "disk-full", "b": "model", "c": "model"}, "train")
    with pytest.raises(RoundError, match="0 hospitals are heard") as failed:
        run_study(of, Memory(of, alter=alter), quiet)
    assert failed.value.exit_code == 6


def test_a_study_does_not_begin_with_too_few_hospitals() -> None:
    of = study(aggregation={"min_hospitals": 3})
    memory = Memory(of, alter=silent("c", "prepare"))
    with pytest.raises(RoundError, match=r"ready for the study .* missing: c"):
        run_study(of, memory, quiet)
    assert set(memory.asked) == {"prepare"}


def test_if_the_first_hospital_cannot_send_the_parameters_another_one_does() -> None:
    of = study()
    final = run_study(of, Memory(of, alter=silent("a", "prepare")), quiet)
    assert len(final.history) == 3


def test_hospitals_that_build_different_models_do_not_begin() -> None:
    of = study()

    def other(name: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        if name == "b" and kind == "prepare" and isinstance(answer, Parts):
            return replace(answer, fields={**answer.fields, "parameters_digest": "0" * 64})
        return answer

    with pytest.raises(RoundError, match="do not build the same model"):
        run_study(of, Memory(of, alter=other), quiet)


def test_first_parameters_that_the_seed_does_not_give_are_refused() -> None:
    of = study()

    def crafted(name: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        if kind == "prepare" and isinstance(answer, Parts) and "parameters" in answer.arrays:
            return replace(answer, arrays={"parameters": answer.arrays["parameters"] * np.float32(2)})
        return answer

    with pytest.raises(RoundError, match="no hospital sent the initial parameters that all of them built"):
        run_study(of, Memory(of, alter=crafted), quiet)


def test_a_hospital_refuses_a_first_round_from_parameters_that_were_made_up() -> None:
    of = study()
    memory = Memory(of)
    first = run_study(of, memory, quiet, None)
    made_up = TrainRequest(of.digest(), 1, first.parameters).parts()
    answers = dict(memory.ask("train", dict.fromkeys("abc", made_up)))
    assert answers == dict.fromkeys("abc", Failure("message"))


def test_hospitals_that_never_send_the_first_parameters_end_the_study_and_do_not_hang_it() -> None:
    of = study()

    def withhold(name: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        return replace(answer, arrays={}) if kind == "prepare" and isinstance(answer, Parts) else answer

    memory = Memory(of, alter=withhold)
    with pytest.raises(RoundError, match="no hospital sent"):
        run_study(of, memory, quiet)
    assert memory.asked == ["prepare"] * 3


@pytest.mark.parametrize("word", ["-", "é", "CAPITALS", "two words", "x" * 40, "", "a\nb"])
def test_a_word_that_no_hospital_should_say_is_not_repeated(word: str) -> None:
    of = study(training={"rounds": 1})

    def say(name: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        return Failure(word) if (name, kind) == ("b", "train") else answer

    record = run_study(of, Memory(of, alter=say), quiet).history[0]
    assert [absence.kind for absence in record.absent] == ["error"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("round", 2),
        ("study", "0" * 64),
        ("examples", 0),
        ("examples", -5),
        ("epsilon", -1.0),
        ("mean_loss", float("nan")),
    ],
)
def test_an_update_that_answers_another_question_is_left_out(field: str, value: object) -> None:
    of = study(training={"rounds": 1})

    def lie(name: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        if (name, kind) == ("b", "train") and isinstance(answer, Parts):
            return replace(answer, fields={**answer.fields, field: value})  # type: ignore[dict-item]
        return answer

    record = run_study(of, Memory(of, alter=lie), quiet).history[0]
    assert record.answered == ("a", "c")
    assert record.absent[0].kind == "message"


def test_an_update_with_a_number_that_is_not_finite_is_left_out() -> None:
    of = study(training={"rounds": 1})

    def spoil(name: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        if (name, kind) == ("b", "train") and isinstance(answer, Parts):
            vector = answer.arrays["update"].copy()
            vector[7] = np.inf
            return replace(answer, arrays={"update": vector})
        return answer

    final = run_study(of, Memory(of, alter=spoil), quiet)
    assert final.history[0].answered == ("a", "c")
    assert np.isfinite(final.parameters).all()


def test_epsilon_is_told_by_hospital_and_round() -> None:
    of = study(privacy=DP)
    history = run_study(of, Memory(of), quiet).history
    assert set(history[0].epsilons) == set("abc")
    assert history[0].epsilon < history[1].epsilon < history[2].epsilon <= 8.0  # type: ignore[operator]
    assert history[0].training_loss is None


def test_bytes_of_a_round_count_the_model_both_ways() -> None:
    of = study(training={"rounds": 1})
    memory = Memory(of)
    record = run_study(of, memory, quiet).history[0]
    model = 4 * memory.at["a"].built.layout.size
    assert 2 * 3 * model < record.bytes_to_hospitals < 2.1 * 3 * model  # to train and to evaluate
    assert 3 * model < record.bytes_from_hospitals < 1.2 * 3 * model
