"""What one hospital that lies inside the masks can do to a round, and what is said of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from consortium import MemoryJournal, roster
from liars import Lie, levels, lying, scores, training
from wardround_client import networks
from wardround_common.errors import RoundError
from wardround_common.messages.rounds import Failure, Parts
from wardround_common.metrics.score_bins import BINS
from wardround_common.metrics.sums import LOSS_LIMIT, UNIT
from wardround_common.results import Results
from wardround_common.secagg.encoding import COUNT_LIMIT, Encoding
from wardround_common.secagg.exchange import Masked
from wardround_common.study.file import Study
from wardround_server.rounds import approval
from wardround_server.rounds.attendance import gaps, untested
from wardround_server.rounds.course import Event, RoundEnds, State, judge_study, run_study
from wardround_server.rounds.secure_rounds import Consortium
from wardround_server.service.runs import Runs
from wards import Wards, rostered

from test_distributed_rounds import shared  # isort: skip
from test_secure_rounds import NAMES, Memory, consortium, fast, quiet  # isort: skip

pytestmark = pytest.mark.usefixtures("undrawn")


def with_liar(of: Study, folder: Path, lie: Lie, *, perjurer: bool = False) -> Memory:
    """Open the hospitals; b lies, if it is a perjurer in the vote too."""
    memory = Memory(of, folder)
    memory.at["b"] = lying(memory.at["b"], lie, perjurer=perjurer)
    return memory


def first(of: Study) -> np.ndarray:
    return networks.read_vector(networks.build(of))


EVERYBODY = "one of a, b, c, d sent what the study does not allow"


@pytest.mark.parametrize(
    ("lie", "said"),
    [
        (levels(lambda e: e.levels), "the mean update reaches 546"),
        (levels(lambda e: e.levels, weight=1), "the mean update reaches 708"),
        (levels(lambda e: -e.levels), "where update_clip allows 4"),
        (levels(lambda e: 2 ** (e.bits - 1) - 1), "where update_clip allows 4"),
        (training(0, 0), ""),
        (training(0, -20), ""),
        (training(0, -36), "the weights add up to 0 where those of 4 hospitals are 4 to 262144 (largest_weight)"),
        (training(0, -2000), "the weights add up to -1964 where"),
        (training(0, 2**18), "the weights add up to 262180 where those of 4 hospitals are 4 to 262144"),
        (training(0, 2**63), "the weights add up to"),
        (training(1, lambda e: 2**40 * 12 * 2**16), "the training loss adds up to"),
        (training(1, -(2**50)), "the training loss adds up to -"),
        (training(1, COUNT_LIMIT), "the training loss adds up to"),
        (training(2, 10**9), "numbers are said to be clipped where the updates have"),
        (training(2, -(10**6)), "-1000000 numbers are said to be clipped where"),
    ],
    ids=[
        "levels",
        "levels and weight",
        "negative levels",
        "whole ring",
        "no weight",
        "weights of others taken off",
        "no weight at all",
        "negative weights",
        "heavy",
        "heaviest",
        "loss",
        "negative loss",
        "loss beyond the ring's room",
        "clipped",
        "negative clipped",
    ],
)
def test_a_sum_beyond_what_the_study_allows_is_refused_and_moves_nothing(tmp_path: Path, lie: Lie, said: str) -> None:
    of = fast(rounds=1)
    memory = with_liar(of, tmp_path, lie)
    states: list[State] = []

    def keep(event: Event) -> None:
        if isinstance(event, RoundEnds):
            states.append(event.state)

    group = consortium()
    if not said:  # what could be honest is no lie that a sum shows; the mean stays within its bound all the same
        run_study(of, memory, keep, None, group)
        assert [record.refused for record in states[-1].history] == [""]
        return
    with pytest.raises(RoundError, match="nothing was trained"):
        run_study(of, memory, keep, None, group)
    for number, state in enumerate(states, start=1):
        record = state.history[-1]
        assert record.refused.startswith(f"the sum of round {number} is refused: ")
        assert said in record.refused
        assert record.refused.endswith(EVERYBODY)
        assert record.answered == tuple(NAMES)
        assert record.training_loss is None
        assert not record.counted
        assert state.parameters.tobytes() == first(of).tobytes()


def test_level_caps_and_claimed_weights_no_longer_move_the_mean_to_262100(tmp_path: Path) -> None:
    """A hospital that fills the ring and takes the others' weights off moved the mean so far."""
    of = fast(rounds=1)
    alone = levels(lambda e: 2**31 - 2**19)

    def lie(what: str, encoding: Encoding, masked: Masked) -> Masked:
        masked = alone(what, encoding, masked)
        if what == "train":
            masked.counts[0] = np.uint64((4 - 3 * 12) % 2**64)  # so that all weigh 4, one each
        return masked

    with pytest.raises(RoundError, match="nothing was trained"):
        run_study(of, with_liar(of, tmp_path, lie), watch := Kept(), None, consortium())
    (record,) = watch.last.history
    assert "the mean update reaches 262" in record.refused
    assert watch.last.parameters.tobytes() == first(of).tobytes()


class Kept:
    """Keeps the state after the last round."""

    last: State

    def __call__(self, event: Event) -> None:
        if isinstance(event, RoundEnds):
            self.last = event.state


@pytest.mark.parametrize("weight", [12, 2**16])
def test_within_the_bound_one_hospital_moves_no_number_of_the_mean_beyond_the_clip(tmp_path: Path, weight: int) -> None:
    of = fast(rounds=1, update_clip=0.05)
    liar = levels(lambda e: e.levels * weight // e.largest_weight, weight=weight)
    honest = run_study(of, Memory(of, tmp_path / "honest"), quiet, None, consortium())
    moved = run_study(of, with_liar(of, tmp_path / "moved", liar), quiet, None, consortium())
    assert np.abs(moved.parameters - first(of)).max() <= 0.05 + 1e-6
    assert np.abs(moved.parameters - honest.parameters).max() <= 2 * 0.05
    assert np.abs(moved.parameters - honest.parameters).max() > 0.01


@pytest.mark.parametrize("tight", [{}, {"ring_bits": 16, "update_clip": 0.02, "largest_weight": 12}])
def test_honest_hospitals_are_never_refused_also_where_every_number_is_clipped(
    tmp_path: Path, tight: dict[str, Any]
) -> None:
    of = fast(rounds=2, **(tight or {"update_clip": 1e-7}))
    final = run_study(of, Memory(of, tmp_path), quiet, None, consortium())
    assert all(record.counted for record in final.history)


def test_a_noisy_sum_that_is_longer_than_patients_and_noise_is_refused(tmp_path: Path) -> None:
    of = shared(training={"rounds": 2})
    size = len(first(of))
    reach = lambda e: 2**29 // int(np.sqrt(size)) * 8  # noqa: E731  # in each number far less than the ring holds
    with pytest.raises(RoundError, match="nothing was trained"):
        run_study(of, with_liar(of, tmp_path, levels(reach)), watch := Kept(), None, consortium())
    record = watch.last.history[0]
    assert "the sum of clipped gradients has a norm of" in record.refused
    assert "where 112 patients, clipped to 1, and the noise have at most" in record.refused
    assert record.refused.endswith(EVERYBODY)
    assert watch.last.parameters.tobytes() == first(of).tobytes()


@pytest.mark.slow
def test_honest_noise_is_never_refused(tmp_path: Path) -> None:
    of = shared({"sampling_rate": 1e-3}, {"rounds": 2})  # nobody is drawn: nothing but noise
    assert all(record.counted for record in run_study(of, Memory(of, tmp_path), quiet, None, consortium()).history)


def test_three_refused_rounds_in_a_row_stop_the_run_and_it_can_go_on(tmp_path: Path) -> None:
    of, group = fast(rounds=6), consortium()
    lie, watch = {"on": False}, Kept()

    def sometimes(what: str, encoding: Encoding, masked: Masked) -> Masked:
        return levels(lambda e: e.levels)(what, encoding, masked) if lie["on"] else masked

    memory = with_liar(of, tmp_path, sometimes)

    def begin(event: Event) -> None:
        watch(event)
        if isinstance(event, RoundEnds):
            lie["on"] = True

    with pytest.raises(RoundError, match=r"rounds 2 to 4 were refused.* the model is that of round 1\. "):
        run_study(of, memory, begin, None, group)
    stopped = watch.last
    assert [bool(record.refused) for record in stopped.history] == [False, True, True, True]
    with pytest.raises(RoundError, match="rounds 3 to 5 were refused"):  # nothing was mended
        run_study(of, memory, watch, stopped, group)
    lie["on"] = False
    final = run_study(of, memory, watch, stopped := watch.last, group)
    assert [record.counted for record in final.history] == [True, False, False, False, False, True]
    assert final.parameters.tobytes() != stopped.parameters.tobytes()


def test_a_refused_round_is_refused_again_after_a_crash(tmp_path: Path) -> None:
    of, group = fast(rounds=1), consortium()

    def crash(event: Event) -> None:
        if isinstance(event, RoundEnds):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(of, with_liar(of, tmp_path, levels(lambda e: e.levels)), crash, None, group)
    with pytest.raises(RoundError, match="nothing was trained"):
        run_study(of, Memory(of, tmp_path), watch := Kept(), None, group)  # what b sent is on its disk
    assert "where update_clip allows 4" in watch.last.history[0].refused


IMPOSSIBLE = {
    "loss": (scores((-2, int(LOSS_LIMIT / UNIT) * 17)), "the loss of 16 images adds up to"),
    "negative loss": (scores((-2, -(2**40))), "a sum of counts is not possible"),
    "squared error": (scores((-1, 2**30)), "the squared error of 16 images adds up to"),
    "histogram": (scores((0, 5000)), "the sums contradict one another"),
    "negative count": (scores((0, -5000)), "a sum of counts is not possible"),
    "too many images": (scores((0, 2**36), (2 * BINS, 2**36)), "images are said to be scored where 4 hospitals have"),
}


@pytest.mark.parametrize("name", IMPOSSIBLE)
def test_an_impossible_evaluation_is_refused_with_a_note_and_the_round_counts(tmp_path: Path, name: str) -> None:
    of, (lie, said) = fast(rounds=1), IMPOSSIBLE[name]
    final = run_study(of, with_liar(of, tmp_path, lie), quiet, None, consortium())
    (record,) = final.history
    assert record.counted
    assert record.validation_loss is None
    assert record.scores_refused.startswith("the evaluation of round 1 is refused: ")
    assert said in record.scores_refused
    assert record.scores_refused.endswith(EVERYBODY)
    assert record.scores_refused in gaps(final.history)


def test_an_impossible_final_judgement_is_refused_with_a_note(tmp_path: Path) -> None:
    of, group = fast(rounds=1), consortium()
    state = run_study(of, Memory(of, tmp_path), quiet, None, group)
    memory = with_liar(of, tmp_path, scores((-2, 2**55)))
    judged = judge_study(of, memory, state, Consortium(group.run, roster(NAMES), MemoryJournal()))
    assert judged.test.records == 0
    assert judged.refused.startswith("the test patients' judgement is refused: the loss of")
    assert untested(judged) == f"the model was not judged on test patients: {judged.refused}"


class Lying(Wards):
    """Hospitals of a coordinator that serves, of which b lies while ``lie`` is set."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.lie: Lie | None = None

    def _answer(self, name: str, kind: str, question: Parts) -> Parts | Failure:
        key = (name, str(question.fields.get("study", "")))
        if name == "b" and key in self._open:
            self._open[key] = lying(self._open[key], self.lie or (lambda what, encoding, masked: masked))
        return super()._answer(name, kind, question)


def test_a_deployed_run_says_why_a_round_was_refused_stops_after_three_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(approval, "ASK_AGAIN_S", 0.01)
    wards = Lying(tmp_path / "wards")
    wards.lie = levels(lambda e: e.levels)
    runs = Runs(tmp_path / "runs", lambda run: wards)
    runs.begin(rostered(rounds=4))
    runs.wait()
    (standing,) = runs.standings()
    assert (standing.stage, standing.round) == ("failed", 3)
    refused = "rounds 1 to 3 were refused, one after the other; the model is the one that the study started from"
    assert refused in standing.said
    assert "where update_clip allows 4; one of a, b, c sent what the study does not allow" in standing.said
    assert runs.tally.refused() == {"test": 3}
    wards.lie = None
    runs.resume("test")
    runs.wait()
    (standing,) = runs.standings()
    assert (standing.stage, standing.round) == ("incomplete", 4)
    assert standing.said.count("is refused: the mean update reaches") == 3
    found = Results.from_json((tmp_path / "runs/test/results.json").read_text())
    assert [record.counted for record in found.rounds] == [False, False, False, True]
    assert found.notes[0].startswith("The sum of round 1 is refused: the mean update reaches")
    assert "is refused: the mean update reaches" in (tmp_path / "runs/test/report.html").read_text()


LIMITS = {"update_clip": 0.01, "largest_weight": 10}


def test_in_the_clear_a_hospital_beyond_the_studys_limits_is_left_out_by_name(tmp_path: Path) -> None:
    of = fast(False, rounds=1, **LIMITS)
    for name, field_, value in (("update", "update", 0.02), ("weight", "examples", 11)):

        def lie(who: str, kind: str, answer: Parts | Failure, field: str = field_, value: float = value) -> Any:
            if who != "b" or kind != "train" or not isinstance(answer, Parts):
                return answer
            if field == "update":
                return Parts(answer.fields, {"update": np.full_like(answer.arrays["update"], value)})
            return Parts(dict(answer.fields) | {field: value}, answer.arrays)

        (record,) = run_study(of, Memory(of, tmp_path / name, lie), quiet).history
        assert record.answered == ("a", "c", "d")
        assert [(absent.hospital, absent.kind) for absent in record.absent] == [("b", "message")]


def test_in_the_clear_honest_hospitals_keep_to_the_limits(tmp_path: Path) -> None:
    of = fast(False, rounds=1, **LIMITS)
    memory = Memory(of, tmp_path)
    (record,) = run_study(of, memory, quiet).history
    assert record.answered == tuple(NAMES)
    answers = [answer for _, kind, answer in memory.heard if kind == "train" and isinstance(answer, Parts)]
    assert {answer.fields["examples"] for answer in answers} == {10}
    assert max(np.abs(answer.arrays["update"]).max() for answer in answers) == np.float32(0.01)


def test_in_the_clear_an_impossible_loss_or_score_is_left_out_by_name(tmp_path: Path) -> None:
    of = fast(False, rounds=1)

    def lie(who: str, kind: str, answer: Parts | Failure) -> Parts | Failure:
        if who == "b" and kind == "evaluate" and isinstance(answer, Parts):
            sums = answer.arrays["sums"].copy()
            sums[-2] = 2**60
            return Parts(answer.fields, {"sums": sums})
        if who == "c" and kind == "train" and isinstance(answer, Parts):
            return Parts(dict(answer.fields) | {"mean_loss": 1e9}, answer.arrays)
        return answer

    (record,) = run_study(of, Memory(of, tmp_path, lie), quiet).history
    assert [(absent.hospital, absent.kind) for absent in record.absent] == [("b", "message"), ("c", "message")]
    assert record.validation_loss is not None
    assert record.validation_loss < 10
