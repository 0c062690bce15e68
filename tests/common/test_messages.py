"""Messages come back as they were, and nothing else is taken for one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from wardround_common.errors import MessageError
from wardround_common.messages.parameters import Layout
from wardround_common.messages.rounds import (
    Evaluated,
    EvaluateRequest,
    Parts,
    Prepared,
    PrepareRequest,
    TrainRequest,
    Update,
)

STUDY = "0123456789abcdef" * 4
VECTOR = np.arange(6, dtype=np.float32)
LAYOUT = Layout(("w", "scale"), ((2, 2), (2,)))
UPDATE = Update(STUDY, 3, VECTOR, examples=10, steps=4, mean_loss=0.5, epsilon=1.25)


def same(one: Parts, two: Parts) -> bool:
    return dict(one.fields) == dict(two.fields) and all(
        one.arrays[name].tobytes() == two.arrays[name].tobytes() for name in {*one.arrays, *two.arrays}
    )


def test_every_message_comes_back_as_it_was() -> None:
    for message in (PrepareRequest(STUDY, True), PrepareRequest(STUDY, False)):
        assert PrepareRequest.parse(message.parts()) == message
    for prepared in (Prepared(STUDY, LAYOUT, "d", VECTOR), Prepared(STUDY, LAYOUT, "d", None)):
        assert same(Prepared.parse(prepared.parts()).parts(), prepared.parts())
    train = TrainRequest(STUDY, 3, VECTOR)
    assert same(TrainRequest.parse(train.parts(), 6).parts(), train.parts())
    for update in (UPDATE, replace(UPDATE, mean_loss=None, epsilon=None)):
        assert same(Update.parse(update.parts(), 6).parts(), update.parts())
    evaluate = EvaluateRequest(STUDY, 3, "test", VECTOR)
    assert same(EvaluateRequest.parse(evaluate.parts(), 6).parts(), evaluate.parts())
    evaluated = Evaluated(STUDY, 3, np.arange(5))
    assert same(Evaluated.parse(evaluated.parts()).parts(), evaluated.parts())


def changed(parts: Parts, name: str, value: Any) -> Parts:
    return Parts({**parts.fields, name: value}, parts.arrays)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("study", "short"),
        ("study", "G" * 64),
        ("study", 5),
        ("round", -1),
        ("round", "3"),
        ("round", True),
        ("examples", 0),
        ("examples", 2**40),
        ("examples", 2.0),
        ("steps", -1),
        ("mean_loss", float("inf")),
        ("mean_loss", "low"),
        ("mean_loss", 10**400),
        ("epsilon", float("nan")),
        ("epsilon", -0.1),
    ],
)
def test_an_update_with_an_impossible_field_is_refused(name: str, value: Any) -> None:
    with pytest.raises(MessageError):
        Update.parse(changed(UPDATE.parts(), name, value), 6)


@pytest.mark.parametrize(
    "vector",
    [
        VECTOR[:5],
        VECTOR.reshape(2, 3),
        VECTOR.astype(np.float64),
        np.array([0, 0, 0, 0, 0, np.nan], np.float32),
        np.array([0, 0, 0, 0, 0, -np.inf], np.float32),
    ],
)
def test_parameters_of_another_form_or_not_finite_are_refused(vector: Any) -> None:
    with pytest.raises(MessageError):
        TrainRequest.parse(Parts(TrainRequest(STUDY, 1, VECTOR).parts().fields, {"parameters": vector}), 6)


@pytest.mark.parametrize("missing", ["study", "round", "examples", "steps"])
def test_an_update_without_one_of_its_fields_is_refused(missing: str) -> None:
    parts = UPDATE.parts()
    with pytest.raises(MessageError):
        Update.parse(Parts({name: v for name, v in parts.fields.items() if name != missing}, parts.arrays), 6)


@pytest.mark.parametrize(
    ("names", "shapes"), [(["w"], ["2 2", "2"]), (["w", "b"], ["2 x", "2"]), (["w"], ["-1 4"]), ("w", "4")]
)
def test_a_layout_that_is_none_is_refused(names: Any, shapes: Any) -> None:
    parts = Prepared(STUDY, LAYOUT, "d", None).parts()
    with pytest.raises(MessageError):
        Prepared.parse(changed(changed(parts, "names", names), "shapes", shapes))


def test_a_split_that_nobody_evaluates_is_refused() -> None:
    parts = EvaluateRequest(STUDY, 1, "test", VECTOR).parts()
    with pytest.raises(MessageError, match="no split 'train'"):
        EvaluateRequest.parse(changed(parts, "split", "train"), 6)


def test_vectors_and_tensors_are_two_views_of_one_thing() -> None:
    tensors = LAYOUT.tensors(VECTOR)
    assert tensors["w"].tolist() == [[0, 1], [2, 3]]
    assert LAYOUT.vector(tensors).tobytes() == VECTOR.tobytes()
