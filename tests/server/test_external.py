"""Hospitals that only evaluate: nobody is trained on there, and their figures stand apart or not at all."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from test_runs import at_once

from examples import DP, untrained
from examples import study as example_study
from wardround_client import networks
from wardround_client.hospital.answering import build, join
from wardround_client.training.local_work import plan_privacy
from wardround_common.errors import MessageError, PrivacyError, StudyError
from wardround_common.messages.rounds import EvaluateRequest, TrainRequest
from wardround_common.randomness import insecure_stream
from wardround_common.results import ALL, EXTERNAL, FEDERATED, TRAINED, Results
from wardround_common.study.file import Study
from wardround_common.study.words.describe import describe
from wardround_server.service.runs import Runs
from wards import Wards, rostered

pytestmark = pytest.mark.usefixtures("undrawn")

__all__ = ["at_once"]  # the fixture that is used in every test of this file


def run(folder: Path, of: Study, wards: Wards | None = None) -> tuple[Results, list[tuple[str, str, Any]], str]:
    """Run a study; give its results, who was asked what of which round, and what is said of the run in the end."""
    wards = wards or Wards(folder / "wards", "".join(one.name for one in of.roster))
    asked: list[tuple[str, str, Any]] = []
    answer = wards._answer

    def heard(name: str, kind: str, question: Any) -> Any:
        asked.append((name, kind, question.fields.get("round")))
        return answer(name, kind, question)

    wards._answer = heard  # type: ignore[method-assign]
    runs = Runs(folder / "runs", lambda name: wards)
    runs.begin(of)
    runs.wait()
    (standing,) = runs.standings()
    return Results.from_json((folder / "runs/test/results.json").read_text()), asked, standing.said


@pytest.mark.slow
def test_enough_of_them_are_summed_apart_and_each_hospital_is_in_one_sum(tmp_path: Path) -> None:
    of = rostered(names="abcde", external="de", min_hospitals=2)
    found, asked, said = run(tmp_path, of)
    assert said == ""
    sites = found.evaluation[FEDERATED]
    assert set(sites) == {ALL, TRAINED, EXTERNAL}
    assert (sites[TRAINED].images, sites[EXTERNAL].images, sites[ALL].images) == (3 * 4, 2 * 20, 3 * 4 + 2 * 20)
    assert {name for name, kind, _ in asked if kind == "train"} == set("abc")
    evaluated = [(name, number) for name, kind, number in asked if kind == "evaluate"]
    assert [one for one in evaluated if one[0] in "de"] == [("d", of.external_round), ("e", of.external_round)]
    assert [one for one in evaluated if one[1] == of.test_round] == [(name, of.test_round) for name in "abc"]
    page = (tmp_path / "runs/test/report.html").read_text()
    assert "3 hospitals trained one model together" in page
    assert "It was also tried at d and e, which did not train." in page
    assert "At hospitals that did not train it is" in page
    assert "What is decided where nobody trained" in page


@pytest.mark.slow
def test_one_alone_is_summed_with_all_others_and_why_is_said(tmp_path: Path) -> None:
    of = rostered(names="abcd", external="d", min_hospitals=2)
    found, asked, _ = run(tmp_path, of)
    assert set(found.evaluation[FEDERATED]) == {ALL}
    assert found.evaluation[FEDERATED][ALL].images == 3 * 4 + 20
    assert [number for name, kind, number in asked if (name, kind) == ("d", "evaluate")] == [of.test_round]
    assert any("a secure sum over these hospitals alone would be over too few" in note for note in found.notes)
    assert any("too much of one" in sentence for passage in describe(of) for sentence in passage.sentences)


@pytest.mark.slow
def test_in_the_clear_even_one_has_its_own_figures(tmp_path: Path) -> None:
    found, _, _ = run(tmp_path, rostered(names="abc", external="c", secure=False))
    assert found.evaluation[FEDERATED][EXTERNAL].images == 20


@pytest.mark.slow
def test_too_few_that_answer_leave_the_others_judged(tmp_path: Path) -> None:
    of = rostered(names="abcde", external="de", min_hospitals=2)
    wards = Wards(tmp_path / "wards", "abcde")
    wards.fail = lambda name, kind: (name, kind) == ("e", "evaluate")
    found, _, said = run(tmp_path, of, wards)
    assert set(found.evaluation[FEDERATED]) == {ALL, TRAINED}
    assert "e (failed: crashed)" in said
    assert any("too few of these hospitals answered for a sum of their own" in note for note in found.notes)


@pytest.mark.slow
def test_a_cut_between_the_two_sums_gives_the_same_figures_when_it_goes_on(tmp_path: Path) -> None:
    of = rostered(names="abcde", external="de", min_hospitals=2)
    whole, _, _ = run(tmp_path / "whole", of)
    wards = Wards(tmp_path / "cut/wards", "abcde")
    runs = Runs(tmp_path / "cut/runs", lambda name: wards)

    class PowerCut(BaseException):
        pass

    def cut(name: str, kind: str) -> bool:
        if (name, kind) == ("e", "open"):
            raise PowerCut
        return False

    wards.fail = cut
    threading.excepthook, before = (lambda args: None), threading.excepthook
    try:
        runs.begin(of)
        runs.wait()
    finally:
        threading.excepthook = before
    again = Wards(tmp_path / "cut/wards", "abcde")
    again._studies = wards._studies
    resumed = Runs(tmp_path / "cut/runs", lambda name: again)
    resumed.go_on()
    resumed.wait()
    found = Results.from_json((tmp_path / "cut/runs/test/results.json").read_text())
    assert found.evaluation == whole.evaluation


@pytest.mark.slow
def test_one_of_another_version_stops_nobody_else(tmp_path: Path) -> None:
    of = rostered(names="abcd", external="d", secure=False)
    wards = Wards(tmp_path / "wards", "abcd")
    answer = wards._answer

    def other_layout(name: str, kind: str, question: Any) -> Any:
        given = answer(name, kind, question)
        if (name, kind) == ("d", "prepare"):
            given.fields["parameters_digest"] = "0" * 64
        return given

    wards._answer = other_layout  # type: ignore[method-assign]
    found, _, said = run(tmp_path, of, wards)
    assert found.evaluation[FEDERATED][ALL].images == 3 * 4
    assert "d (failed: model)" in said


def test_it_answers_no_question_but_that_of_the_test_and_that_once() -> None:
    of = example_study(evaluation={"external": ["d", "e"]}, privacy=DP)
    hospital = join(of, untrained(), insecure_stream(0, "d"), build(of))
    assert hospital.plan is None
    vector = networks.read_vector(hospital.built.network)
    for kind, question in (
        ("train", TrainRequest(of.digest(), 1, vector)),
        ("evaluate", EvaluateRequest(of.digest(), 1, "validation", vector)),
        ("evaluate", EvaluateRequest(of.digest(), of.test_round, "test", vector)),
    ):
        with pytest.raises(MessageError, match=r"only evaluates|judge the model once"):
            hospital.answer(kind, question.parts())
    hospital.answer("evaluate", EvaluateRequest(of.digest(), of.external_round, "test", vector).parts())


def test_there_is_no_noise_to_plan_without_training_patients() -> None:
    with pytest.raises(PrivacyError, match="without training patients"):
        plan_privacy(example_study(privacy=DP), 0)


@pytest.mark.parametrize(
    ("names", "external", "keys", "fault"),
    [
        ("abc", "d", {}, "the roster does not list d"),
        ("abc", "bc", {"min_hospitals": 2}, "the roster lists 1 hospital that train"),
        ("abcdef", "ef", {"min_hospitals": 2}, ""),
        ("abcdef", "ef", {"min_hospitals": 2, "threshold": 3}, "a threshold of 3 is not possible with 6 hospitals"),
    ],
)
def test_a_study_says_at_once_which_sums_it_cannot_make(
    names: str, external: str, keys: dict[str, Any], fault: str
) -> None:
    tables = rostered(names=names).tables(nulls=False)
    tables["aggregation"] |= keys
    tables["evaluation"] = dict(tables["evaluation"]) | {"external": list(external)}
    if not fault:
        assert Study.of_tables(tables, where="study").trains("a")
        return
    with pytest.raises(StudyError, match=fault):
        Study.of_tables(tables, where="study")


def test_their_order_is_not_part_of_the_digest_and_none_leaves_it_as_it_was() -> None:
    assert rostered(names="abcde", external="ed").digest() == rostered(names="abcde", external="de").digest()
    assert "external" not in rostered().canonical().decode()
