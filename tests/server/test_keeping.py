"""Which round's model is kept: the same choice whether or not a run was interrupted, and what each rule means."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from test_rounds import Alter, Memory

from examples import study
from wardround_common.errors import StudyError
from wardround_common.messages.rounds import Failure, Parts
from wardround_common.metrics import ScoreSums
from wardround_common.results import RoundRecord
from wardround_common.study.file import Study
from wardround_server.rounds.checkpoint import read_checkpoint, write_checkpoint
from wardround_server.rounds.course import Event, RoundEnds, State, judge_study, run_study
from wardround_server.rounds.keeping import over

ROUNDS = 6


def of(**evaluation: Any) -> Study:
    return study(training={"rounds": ROUNDS}, model={"network": "tiny-cnn"}, evaluation=evaluation)


class StoppedError(Exception):
    """The run was killed."""


def falling(name: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
    """Make the model look best after the second round: this many findings of ten score above all other images."""
    if kind != "evaluate" or isinstance(answer, Failure):
        return answer
    above = {1: 7, 2: 9, 3: 9, 4: 8, 5: 6, 6: 5}[int(str(answer.fields["round"]))]
    labels = np.repeat([0, 1], 10)
    finding = np.array([0.5] * 10 + [0.8] * above + [0.2] * (10 - above), np.float32)
    sums = ScoreSums.of(labels, np.stack([1 - finding, finding], axis=1), np.ones(20))
    return Parts(answer.fields, {"sums": sums.to_vector()})


def as_it_is(name: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
    return answer


def run(which: Study, folder: Path, alter: Alter = as_it_is, *, stop_after: int = 0) -> tuple[State, list[State]]:
    """Run a study, from its checkpoint if there is one; give how it ends, and every state."""
    states: list[State] = []

    def watch(event: Event) -> None:
        if isinstance(event, RoundEnds):
            write_checkpoint(folder / "checkpoint", which, event.state)
            states.append(event.state)
            if event.record.number == stop_after:
                raise StoppedError

    there = folder / "checkpoint"
    before = read_checkpoint(there, which) if there.exists() else None
    return run_study(which, Memory(which, alter=alter), watch, before), states


@pytest.fixture(scope="module")
def last(tmp_path_factory: pytest.TempPathFactory) -> list[State]:
    """Return every state of the run that keeps its last model."""
    return run(of(), tmp_path_factory.mktemp("last"))[1]


def test_the_last_model_is_kept_unless_the_study_says_otherwise(last: list[State]) -> None:
    assert last[-1].kept is None
    assert last[-1].chosen.rounds == (ROUNDS,)
    assert last[-1].chosen.model.tobytes() == last[-1].parameters.tobytes()
    assert "keep" not in of().canonical().decode()


def test_the_best_on_validation_is_kept_the_first_of_equals_and_a_kill_changes_nothing(
    last: list[State], tmp_path: Path
) -> None:
    which = of(keep="best")
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    whole, _ = run(which, tmp_path / "whole", falling)
    assert whole.chosen.rounds == (2,)
    assert whole.chosen.model.tobytes() == last[1].parameters.tobytes()
    assert whole.parameters.tobytes() == last[-1].parameters.tobytes()  # training does not depend on what is kept
    with pytest.raises(StoppedError):
        run(which, tmp_path / "cut", falling, stop_after=4)
    resumed, _ = run(which, tmp_path / "cut", falling)
    assert resumed.chosen.rounds == whole.chosen.rounds
    assert resumed.chosen.model.tobytes() == whole.chosen.model.tobytes()
    assert resumed.chosen.validation is not None
    assert resumed.chosen.validation.to_vector().tolist() == whole.chosen.validation.to_vector().tolist()  # type: ignore[union-attr]


def test_the_test_patients_judge_the_model_that_is_kept(tmp_path: Path) -> None:
    which = of(keep="best")
    whole, _ = run(which, tmp_path, falling)
    judged = judge_study(which, Memory(which), whole)
    alone = judge_study(which, Memory(which), replace(whole, parameters=whole.chosen.model, kept=None))
    last = judge_study(which, Memory(which), replace(whole, kept=None))
    assert judged.test.to_vector().tolist() == alone.test.to_vector().tolist() != last.test.to_vector().tolist()


def test_the_mean_of_the_last_is_their_mean_and_is_what_the_last_evaluation_tries(
    last: list[State], tmp_path: Path
) -> None:
    which = of(keep="mean-of-last", average=3)
    with pytest.raises(StoppedError):
        run(which, tmp_path, stop_after=5)
    final, _ = run(which, tmp_path)
    mean = np.mean([state.parameters.astype(np.float64) for state in last[-3:]], axis=0).astype(np.float32)
    assert final.chosen.rounds == (4, 5, 6)
    np.testing.assert_allclose(final.chosen.model, mean, rtol=1e-6)
    assert final.chosen.validation is not None
    assert (
        final.history[-1].validation_loss == final.chosen.validation.mean_loss() != last[-1].history[-1].validation_loss
    )


def test_a_mean_of_rounds_that_were_all_refused_keeps_the_operating_point_of_the_model_that_stayed() -> None:
    which = study(
        training={"rounds": 3},
        model={"network": "tiny-cnn"},
        evaluation={"keep": "mean-of-last", "average": 2},
        aggregation={"vote_margin": 4.0},
    )

    def against(name: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        if kind != "vote" or isinstance(answer, Failure):
            return answer
        return Parts(answer.fields | {"worse": int(answer.fields["round"] != 1)}, answer.arrays)

    states: list[State] = []
    hospitals = Memory(which, alter=against)
    final = run_study(
        which, hospitals, lambda event: states.append(event.state) if isinstance(event, RoundEnds) else None
    )
    assert [bool(record.refused) for record in final.history] == [False, True, True]
    assert final.chosen.model.tobytes() == states[0].parameters.tobytes()
    assert final.chosen.validation is states[0].validation is not None
    assert hospitals.asked.count("evaluate") == 1  # judged again, with other hospitals, it would tell of one


def test_a_run_ends_early_when_patience_is_over_and_ends_there_when_it_is_resumed(
    tmp_path: Path,
) -> None:
    which = of(keep="best", patience=2)
    final, _ = run(which, tmp_path, falling)
    assert [record.number for record in final.history] == [1, 2, 3, 4]
    assert final.chosen.rounds == (2,)
    resumed, more = run(which, tmp_path, falling)
    assert more == []
    assert resumed.chosen.model.tobytes() == final.chosen.model.tobytes()


def test_rounds_without_a_value_do_not_try_patience(last: list[State]) -> None:
    def record(number: int, value: float | None) -> RoundRecord:
        headline = last[0].history[0].headline.model_copy(update={"value": value})
        return last[0].history[0].model_copy(update={"number": number, "headline": headline})

    which = of(keep="best", patience=2)
    assert not over(which, [record(1, 0.8), record(2, None), record(3, None), record(4, 0.7)])
    assert over(which, [record(1, 0.8), record(2, None), record(3, 0.8), record(4, 0.7)])


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ({"average": 3}, "only keep = 'mean-of-last' uses this key"),
        ({"patience": 3}, "only keep = 'best' uses this key"),
        ({"keep": "mean-of-last"}, "needs this key, such as average = 5"),
        ({"keep": "mean-of-last", "average": ROUNDS + 1}, "the study has 6 rounds"),
    ],
)
def test_keys_that_do_not_fit_are_named(keys: dict[str, Any], fault: str) -> None:
    tables = of().tables(nulls=False)
    tables["evaluation"] |= keys
    with pytest.raises(StudyError, match=fault):
        Study.of_tables(tables, where="study")
