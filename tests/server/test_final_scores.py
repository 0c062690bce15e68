"""A deployed run ends as a simulated one does: with how good the model is on test patients, in the results."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file
from test_runs import at_once, begin

from examples import DP, dataset
from wardround_client import networks
from wardround_client.hospital.answering import build, join
from wardround_client.training.evaluation import sums_of
from wardround_common.errors import FullDiskError, MessageError
from wardround_common.messages.rounds import EvaluateRequest, Failure, Parts
from wardround_common.metrics import ScoreSums
from wardround_common.metrics.score_bins import NOISED_EDGES, level_edge
from wardround_common.metrics.sum_intervals import of_fraction
from wardround_common.randomness import insecure_stream
from wardround_common.results import ALL, FEDERATED, Results, evaluate
from wardround_common.study.file import Study
from wardround_server.report.story import story, verdict
from wardround_server.rounds import muster
from wardround_server.rounds.checkpoint import read_checkpoint
from wardround_server.rounds.limits import Limits
from wards import NAMES, Wards, rostered

pytestmark = pytest.mark.usefixtures("undrawn")

__all__ = ["at_once"]  # the fixture that is used in every test of this file


def results(tmp_path: Path) -> Results:
    return Results.from_json((tmp_path / "runs/test/results.json").read_text())


def directly(tmp_path: Path, of: Study, names: str = NAMES) -> dict[str, ScoreSums]:
    """Sum up the scores of the model that was written, on each hospital's patients of both splits together."""
    arrays = load_file(tmp_path / "runs/test/model.safetensors")
    built = build(of)
    vector = np.concatenate([arrays[name].ravel() for name in built.layout.names]).astype(np.float32)
    networks.write_vector(built.network, built.layout, vector)
    total = {split: ScoreSums.empty(2) for split in ("validation", "test")}
    for name in names:
        data = dataset(ord(name))
        total["validation"] += sums_of(built.network, of, data.validation)
        total["test"] += sums_of(built.network, of, data.test)
    return total


@pytest.mark.parametrize("secure", [True, False])
def test_f10_the_results_of_a_run_are_filled_with_what_the_test_patients_say(tmp_path: Path, secure: bool) -> None:
    of = rostered(secure=secure)
    runs = begin(tmp_path)
    runs.begin(of)
    runs.wait()
    assert runs.standings()[0].stage == "done"
    found, expected = results(tmp_path), directly(tmp_path, of)
    assert set(found.evaluation) == {FEDERATED}
    assert set(found.evaluation[FEDERATED]) == {ALL}  # one hospital's own scores are nobody else's
    threshold = expected["validation"].operating_threshold(0.9)
    assert found.evaluation[FEDERATED][ALL] == evaluate(of.task, expected["test"], threshold)
    assert found.evaluation[FEDERATED][ALL].images == sum(len(dataset(ord(name)).test.rows) for name in NAMES)
    page = (tmp_path / "runs/test/report.html").read_text()
    assert "On the hospitals’ test patients together, which it never saw, its AUROC is" in page
    assert "not judged on test patients" not in page


def test_scores_that_are_counted_in_levels_leave_in_levels_and_are_judged_where_one_begins(tmp_path: Path) -> None:
    exactly = rostered(secure=True)
    runs = begin(tmp_path)
    runs.begin(exactly.but({"evaluation.levels": True}))
    runs.wait()
    expected = directly(tmp_path, exactly)
    validation, test = (expected[split].in_levels() for split in ("validation", "test"))
    assert not np.array_equal(test.histograms, expected["test"].histograms)
    kept = read_checkpoint(tmp_path / "runs/test/checkpoint", exactly.but({"evaluation.levels": True}))
    assert kept.validation is not None
    assert np.array_equal(kept.validation.to_vector(), validation.to_vector())
    point = level_edge(validation.operating_threshold(0.9) or 0.0)
    assert results(tmp_path).evaluation[FEDERATED][ALL] == evaluate(exactly.task, test, point)


def test_figures_of_noised_sums_are_those_that_the_counts_allow_with_intervals_that_hold_the_noise(
    tmp_path: Path,
) -> None:
    tables = rostered(secure=True).tables(nulls=False)
    of = Study.model_validate(tables | {"privacy": DP | {"evaluation_epsilon": 100.0}})
    runs = begin(tmp_path)
    runs.begin(of)
    runs.wait()
    found, expected = results(tmp_path), directly(tmp_path, of)
    site, exact = found.evaluation[FEDERATED][ALL], evaluate(of.task, expected["test"], None)
    assert any("Figures are of counts with noise ([privacy] evaluation_epsilon = 100)" in note for note in found.notes)
    assert site.threshold in NOISED_EDGES
    assert abs(site.images - exact.images) <= 4
    assert dict(verdict(found))["Private?"].startswith("a training patient was exposed by at most ε = 8")
    assert "judged have an ε of their own for the sums over them, of at most 100" in " ".join(story(found))
    low, high = site.metrics["accuracy"].low, site.metrics["accuracy"].high
    wilson = of_fraction(sum(site.confusion[at][at] for at in (0, 1)), site.images)
    assert low is not None
    assert high is not None
    assert low <= wilson[0] < wilson[1] <= high
    assert high - low > wilson[1] - wilson[0]


@pytest.mark.slow
def test_a_run_that_was_cut_off_before_the_test_patients_were_asked_is_judged_when_it_goes_on(tmp_path: Path) -> None:
    whole = begin(tmp_path / "whole")
    whole.begin(rostered())
    whole.wait()
    wards = Wards(tmp_path / "cut" / "wards")
    runs = begin(tmp_path / "cut", wards)

    class PowerCut(BaseException):
        pass

    def cut(name: str, kind: str) -> bool:
        if runs.standings()[0].stage == "testing" and name == "c":
            raise PowerCut
        return False

    wards.fail = cut
    threading.excepthook, before = (lambda args: None), threading.excepthook
    try:
        runs.begin(rostered())
        runs.wait()
    finally:
        threading.excepthook = before
    restarted = Wards(tmp_path / "cut" / "wards")
    restarted._studies = wards._studies
    again = begin(tmp_path / "cut", restarted)
    again.go_on()
    again.wait()
    assert again.standings()[0].stage == "done"
    assert results(tmp_path / "cut").evaluation == results(tmp_path / "whole").evaluation


def test_a_run_without_the_test_patients_of_a_hospital_is_no_success_and_says_so(tmp_path: Path) -> None:
    wards = Wards(tmp_path / "wards")
    runs = begin(tmp_path, wards)
    wards.fail = lambda name, kind: name == "b" and runs.standings()[0].stage == "testing" and kind == "evaluate"
    of = rostered()
    runs.begin(of)
    runs.wait()
    (standing,) = runs.standings()
    assert standing.stage == "incomplete"
    assert standing.said == "the test patients of these hospitals did not judge the model: b (failed: crashed)"
    assert results(tmp_path).evaluation[FEDERATED][ALL].confusion == (
        evaluate(
            of.task, directly(tmp_path, of, "ac")["test"], directly(tmp_path, of)["validation"].operating_threshold(0.9)
        ).confusion
    )
    assert any("did not judge the model: b" in note for note in results(tmp_path).notes)


def test_a_model_that_too_few_could_judge_is_there_and_called_unjudged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(muster, "LOOK_S", 0.01)
    monkeypatch.setattr(Limits, "of", classmethod(lambda cls, study: Limits(0.1, 0.05)))
    wards = Wards(tmp_path / "wards")
    runs = begin(tmp_path, wards)
    wards.hospitals = lambda: list(NAMES) if runs.standings()[0].stage != "testing" else ["a"]  # type: ignore[method-assign]
    runs.begin(rostered())
    runs.wait()
    (standing,) = runs.standings()
    assert standing.stage == "incomplete"
    why = "too few hospitals for a round: 1 of 3; away: b, c"
    assert standing.said == f"the model was not judged on test patients: {why}"
    assert results(tmp_path).evaluation == {}
    assert (tmp_path / "runs/test/model.safetensors").exists()


def test_a_model_that_stays_unjudged_is_not_said_to_miss_hospitals_that_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(muster, "LOOK_S", 0.01)
    wards = Wards(tmp_path / "wards")
    runs = begin(tmp_path, wards)
    wards.fail = lambda name, kind: name == "c" and kind == "prepare" and runs.standings()[0].stage == "testing"
    runs.begin(rostered(min_hospitals=3))
    runs.wait()
    (standing,) = runs.standings()
    assert standing.stage == "incomplete"
    assert "2 hospitals are ready for the study where the study needs 3; missing: c (crashed)" in standing.said
    assert "away" not in standing.said


def test_a_model_is_judged_when_a_disk_that_was_full_has_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(muster, "LOOK_S", 0.01)
    wards = Wards(tmp_path / "wards")
    runs = begin(tmp_path, wards)

    def full(name: str, kind: str, question: Parts) -> Parts | Failure:
        if name == "c" and kind == "prepare" and runs.standings()[0].stage == "testing":
            return Failure(FullDiskError.kind)
        return answer(name, kind, question)

    answer = wards._answer
    monkeypatch.setattr(wards, "_answer", full)
    runs.begin(rostered(min_hospitals=3))
    runs.wait()
    (standing,) = runs.standings()
    assert standing.stage == "failed"
    assert "the disk is full at c" in standing.said
    monkeypatch.setattr(wards, "_answer", answer)
    runs.resume("test")
    runs.wait()
    assert runs.standings()[0].stage == "done"
    assert results(tmp_path).evaluation[FEDERATED][ALL]


def test_test_patients_judge_no_model_but_the_last_and_validation_patients_never_that_late() -> None:
    of = rostered(secure=False)
    hospital = join(of, dataset(), insecure_stream(0, "a"), build(of))
    vector = networks.read_vector(networks.build(of))
    for number, split in ((1, "test"), (of.training.rounds, "test"), (of.test_round, "validation")):
        question = EvaluateRequest(of.digest(), number, split, vector)  # type: ignore[arg-type]
        with pytest.raises(MessageError, match=r"after the last round|is not one of the study's 2 rounds"):
            hospital.answer("evaluate", question.parts())
    hospital.answer("evaluate", EvaluateRequest(of.digest(), of.test_round, "test", vector).parts())
