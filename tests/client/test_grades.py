"""Ordered grades: a step is never likelier than one below it, and kappa from counts is that of the pairs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from examples import DP, STUDY
from wardround_client.tasks import grades
from wardround_client.tasks.contract import Asked, Case, Chosen
from wardround_client.tasks.grades import decided, loss_of_steps, steps
from wardround_client.training.rehearsal import rehearse
from wardround_common.errors import MessageError
from wardround_common.metrics.grades import GradeSums
from wardround_common.results.evaluation import evaluate
from wardround_common.study.file import Study
from wardround_common.study.template import usual_keys
from wardround_common.tasks.grades import TASK, Grades

SECTION = Grades(name="grades", classes=("none", "mild", "moderate", "severe"))


def some(seed: int, records: int = 200) -> tuple[np.ndarray, np.ndarray, GradeSums]:
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 4, records)
    said = np.clip(true + rng.integers(-1, 3, records), 0, 3)
    return true, said, GradeSums.of(true, said, np.ones(records), 4)


def test_figures_from_counts_are_those_of_the_pairs() -> None:
    true, said, sums = some(1)
    figures, apart = sums.figures(), said - true
    # Squared distances of the pairs, over those of each one's true grade and each other's said one.
    chance = np.square(said[:, None] - true[None, :]).mean()
    assert figures == pytest.approx(
        {
            "kappa": 1 - np.square(apart).mean() / chance,
            "mae": np.abs(apart).mean(),
            "bias": apart.mean(),
            "accuracy": (apart == 0).mean(),
            "within_one": (np.abs(apart) <= 1).mean(),
        }
    )
    assert {metric.name for metric in TASK.metrics} == set(figures)
    of_last = true == 3
    assert sums.by_grade()[3].figures["bias"] == pytest.approx(apart[of_last].mean())
    assert GradeSums.of(true, true, np.zeros(200), 4).figures()["kappa"] == 1
    assert GradeSums.of(np.zeros(3, int), np.zeros(3, int), np.zeros(3), 4).figures()["kappa"] is None


def test_a_grade_that_is_never_decided_for_is_counted_so_that_a_report_can_warn() -> None:
    true, said, _ = some(2)
    site = evaluate(SECTION, GradeSums.of(true, np.minimum(said, 2), np.ones(200), 4), None)
    assert site.by_group[3].records
    assert (site.by_group[3].decided, site.by_group[3].found) == (0, 0)


def test_a_higher_grade_is_never_more_likely_reached_than_a_lower_one() -> None:
    outputs = 3 * torch.randn(200, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    reached = steps(outputs)
    assert (reached.diff(dim=1) <= 0).all()
    assert torch.equal(torch.from_numpy(decided(outputs)), (reached > 0).sum(dim=1))
    chance, loss = reached.sigmoid(), loss_of_steps(outputs, torch.full((200,), 2))
    torch.testing.assert_close(loss, -(chance[:, 0].log() + chance[:, 1].log() + (1 - chance[:, 2]).log()) / 3)


def test_sums_of_grades_that_no_records_can_have_are_refused() -> None:
    for place, value in ((0, 2**50), (-1, 2**62)):
        vector = some(3)[2].to_vector()
        vector[place] = value
        with pytest.raises(MessageError):
            TASK.read(vector, SECTION)


def test_a_new_image_is_told_its_grade_and_how_likely_each_is() -> None:
    assert grades.TASK.asking is not None
    asked, case = Asked(np.zeros((1, 1, 8, 8), np.float32)), Case("image", (), lambda: asked)
    answer = grades.TASK.asking.answer(SECTION, torch.tensor([[1.0, 0.0, 3.0]]), asked, case, Chosen(None, None))
    assert answer.facts["class"] == "moderate"
    assert sum(answer.facts["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert json.loads(json.dumps(answer.facts)) == answer.facts
    assert "severe 0." in grades.TASK.asking.said(answer.facts)


@pytest.mark.parametrize("task", ["grades", "measurement"])
def test_maps_are_added_up_of_outputs_for_classes_alone(task: str) -> None:
    tables = STUDY | {"task": dict(usual_keys(task)), "evaluation": STUDY["evaluation"] | {"maps": {}}}
    with pytest.raises(ValueError, match="maps: they are of what speaks for a class"):
        Study.model_validate(tables)


@pytest.mark.parametrize("classes", [["low", "high"], ["0", "1", "1"]])
def test_fewer_than_three_grades_or_one_twice_are_refused(classes: list[str]) -> None:
    with pytest.raises(ValueError, match=r"at least 3|more than once"):
        Study.model_validate(STUDY | {"task": {"name": "grades", "classes": classes}})


@pytest.mark.slow
def test_grades_are_learnt_with_a_gradient_for_each_patient() -> None:
    tables = STUDY | {"task": SECTION.model_dump(), "model": {"network": "wavelets"}, "privacy": DP}
    assert rehearse(Study.model_validate(tables)).endswith("the gradient of each image is its own")
