"""What every task keeps, whichever it is: those that are installed, and one that the tests bring."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, get_args

import numpy as np
import pytest
import torch

import share
from examples import STUDY
from wardround_client.tasks.contract import LocalTask
from wardround_client.tasks.registry import LOCAL_TASKS
from wardround_client.training.augmentation import augment
from wardround_common.errors import MessageError, StudyError
from wardround_common.randomness import insecure_stream
from wardround_common.study.file import Study, parse_study
from wardround_common.study.template import study_text, usual_keys
from wardround_common.study.training import Augmentation
from wardround_common.study.words.describe import describe
from wardround_common.tasks.registry import TASKS

RECORDS, SPACE = 12, (16, 16)
PATIENTS = np.arange(RECORDS) // 2


@pytest.fixture(autouse=True, params=sorted({*LOCAL_TASKS, "share"}))
def local(request: pytest.FixtureRequest) -> Iterator[LocalTask[Any, Any]]:
    with share.installed():
        yield LOCAL_TASKS[request.param]


def study_of(local: LocalTask[Any, Any]) -> Study:
    return Study.model_validate(STUDY | {"task": dict(usual_keys(local.task.name))})


def outputs_of(local: LocalTask[Any, Any], of: Study) -> tuple[torch.Tensor, torch.Tensor]:
    """Return what a network may have said of some records, and what it should have said."""
    space = SPACE if local.task.dense else ()
    outputs = torch.randn(RECORDS, of.outputs, *space, generator=torch.Generator().manual_seed(1))
    return outputs, local.noise(of.task, RECORDS, SPACE)


def sums_of(local: LocalTask[Any, Any], of: Study, rows: slice) -> Any:
    outputs, targets = outputs_of(local, of)
    return local.sums(of.task, outputs[rows], targets[rows], PATIENTS[rows], None)


def test_both_halves_are_installed_under_one_name(local: LocalTask[Any, Any]) -> None:
    assert TASKS[local.task.name] is local.task
    assert set(TASKS) == set(LOCAL_TASKS)


def test_sums_of_two_groups_of_patients_are_those_of_both(local: LocalTask[Any, Any]) -> None:
    of = study_of(local)
    parts = sums_of(local, of, slice(0, 4)) + sums_of(local, of, slice(4, None))
    whole = sums_of(local, of, slice(None))
    assert np.array_equal(parts.to_vector(), whole.to_vector())
    nothing = local.task.empty(of.task)
    assert np.array_equal((whole + nothing).to_vector(), whole.to_vector())
    assert (whole.records, nothing.records) == (RECORDS, 0)


def test_sums_survive_their_vector_whose_length_the_study_gives(local: LocalTask[Any, Any]) -> None:
    of = study_of(local)
    vector = sums_of(local, of, slice(None)).to_vector()
    assert (vector.dtype, len(vector)) == (np.int64, local.task.length(of.task))
    assert vector.min() >= 0
    for form in (vector, vector.astype(np.float64)):
        assert np.array_equal(local.task.read(form, of.task).to_vector(), vector)
    for wrong in (vector[:-1], vector - vector.max() - 1, vector + 0.5):
        with pytest.raises(MessageError):
            local.task.read(wrong, of.task)


def test_the_loss_of_a_batch_is_that_of_its_records_one_by_one(local: LocalTask[Any, Any]) -> None:
    of = study_of(local)
    loss, (outputs, targets) = local.loss(of.task, of.training, torch.device("cpu")), outputs_of(local, of)
    together = loss(outputs, targets)
    assert together.shape == (RECORDS,)
    alone = torch.cat([loss(outputs[[row]], targets[[row]]) for row in range(RECORDS)])
    torch.testing.assert_close(together, alone)
    assert together.min() >= 0


@pytest.mark.parametrize("augmentation", get_args(Augmentation))
def test_a_view_moves_an_image_and_its_target_by_one_geometry(local: LocalTask[Any, Any], augmentation: str) -> None:
    of = study_of(local)
    if augmentation == "elastic" and not local.task.bends:
        with pytest.raises(StudyError, match="cannot be bent with it"):
            of.but({"training.augmentations": ["elastic"]})
        return
    targets = local.noise(of.task, RECORDS, SPACE)
    pixels = local.task.dense and local.moved is None
    drawn = targets if pixels else torch.zeros(RECORDS, *SPACE)
    drawn = drawn.clone()
    if pixels:  # an image of its own mask
        drawn = (drawn > 0).to(targets.dtype)
        targets = drawn.clone()
    images, seen = augment(drawn.float()[:, None], targets, [augmentation], insecure_stream(3, "views"), local.moved)  # type: ignore[list-item]
    assert (seen.dtype, seen.shape) == (targets.dtype, targets.shape)
    if augmentation in ("intensity", "shading", "blur", "noise") or (local.moved is None and not local.task.dense):
        assert torch.equal(seen, targets)
    elif local.moved is not None:  # how, is the task's own test (test_detection.py)
        assert not torch.equal(seen, targets)
    else:
        sure = (images[:, 0] < 0.01) | (images[:, 0] > 0.99)  # between two pixels an edge is neither
        assert sure.any()
        assert torch.equal(images[:, 0].round().to(seen.dtype)[sure], seen[sure])
        assert not torch.equal(seen, targets)


def test_the_words_of_a_study_name_everything_in_the_sums(local: LocalTask[Any, Any]) -> None:
    of = study_of(local)
    sums = local.task.empty(of.task)
    assert is_dataclass(sums)
    assert {field.name for field in fields(sums) if field.metadata.get("of") != "study"} == set(local.task.summed)
    words = local.task.words(of.task)
    for secure in (False, True):
        tables = of.tables() | {"aggregation": {"min_hospitals": 2, "secure": secure}}
        said = " ".join(s for passage in describe(Study.model_validate(tables)) for s in passage.sentences)
        assert all(word in said for word in local.task.summed.values())
        assert words.purpose in said


def test_every_metric_has_a_value_or_a_reason(local: LocalTask[Any, Any]) -> None:
    of = study_of(local)
    assert len({metric.name for metric in local.task.metrics}) == len(local.task.metrics)
    assert local.task.metric(local.task.headline).label
    sums, nothing = sums_of(local, of, slice(None)), local.task.empty(of.task)
    point = local.task.point(sums, 0.9)
    for metric in local.task.metrics:
        value = metric.value(sums, point)
        assert value is None or np.isfinite(value)
        assert metric.value(nothing, point) is None
        assert local.task.undefined(nothing, metric.name)
    assert sums.mean_loss() > 0
    assert nothing.mean_loss() is None
    assert local.task.metric(local.task.headline).value(sums, point) is not None


def test_every_record_has_a_stratum_and_a_place_in_the_counts(local: LocalTask[Any, Any]) -> None:
    of = study_of(local)
    targets = local.noise(of.task, RECORDS, SPACE).numpy()
    assert local.strata(of.task, targets).shape == (RECORDS,)
    members = local.members(of.task, targets)
    assert (members.shape, members.dtype) == ((RECORDS, len(of.groups)), np.bool_)


def test_a_new_study_of_the_task_is_valid_and_says_what_each_key_means(local: LocalTask[Any, Any]) -> None:
    text = study_text("new", task=local.task.name)
    assert parse_study(text).task.name == local.task.name
    for field in local.task.section.model_fields.values():
        assert field.description
        assert f"# {field.description}" in text
