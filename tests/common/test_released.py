"""A released model to start from: what the study must say of it, and every way in which the two do not fit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples import STUDY, study
from in_process import run as command
from models_made import model_folder
from wardround_common.errors import ModelError, StorageError, StudyError
from wardround_common.keys.identity import Identity
from wardround_common.messages.parameters import Layout, weights_digest
from wardround_common.results import DEPLOYED
from wardround_common.results.model_folder import PrivacyClaim
from wardround_common.results.released import (
    Released,
    check_start,
    first_vector,
    prepared_otherwise,
    read_released,
    start_toml,
)
from wardround_common.study.file import Study, parse_study
from wardround_common.study.roster import Listed
from wardround_common.study.start import Start, Trained
from wardround_common.study.template import toml_value
from wardround_common.study.words.describe import describe

CLAIM = PrivacyClaim(epsilon=3.0, delta=1e-3, trust="local", statement="No patient spent more.")


def started(released: Released, **sections: dict[str, Any]) -> Study:
    tables = study(**sections).tables(nulls=False)
    tables["model"]["start"] = released.start.model_dump(mode="json", exclude_none=True)
    return Study.model_validate(tables)


def text_of(tables: dict[str, dict[str, Any]]) -> str:
    return "\n".join(
        f"[{section}]\n" + "".join(f"{key} = {toml_value(value)}\n" for key, value in table.items())
        for section, table in tables.items()
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("released")
    return model_folder(made, study(), name="first", privacy=CLAIM, engine=DEPLOYED, trainers=("a", "b"))


def test_the_command_prints_what_the_study_must_say(folder: Path) -> None:
    released = read_released(folder)
    said = command("study", "start", folder).stdout
    assert said == start_toml(released.start)
    assert parse_study(text_of(STUDY) + said).model.start == released.start
    card = json.loads((folder / "model.json").read_text())
    assert released.start.model == card["files"]["model.safetensors"]
    assert released.start.cost == (3.0, 1e-3)
    assert check_start(started(released), released, where="model") == (folder / "model.safetensors").read_bytes()


def test_who_paid_for_a_model_is_who_took_part_and_not_who_was_listed(tmp_path: Path) -> None:
    """A hospital that never approved has no ledger of it, and would be refused for having lost one."""
    roster = [Listed.of(name, Identity(name.encode() * 32).public).model_dump() for name in "abc"]
    made = model_folder(tmp_path, study(roster=roster), engine=DEPLOYED, trainers=("a", "b"))
    assert read_released(made).start.trained[0].hospitals == ("a", "b")


def test_a_model_whose_name_could_write_lines_of_its_own_is_none_to_start_from(tmp_path: Path) -> None:
    made = model_folder(tmp_path, study(), name="first\x1b[2J\nIt costs nothing.")
    with pytest.raises(StudyError, match=r"no study can start from this model: name: .* no control character"):
        read_released(made)


def test_a_study_without_a_start_has_the_digest_that_it_had_and_one_with_it_another(folder: Path) -> None:
    assert b"start" not in study().canonical()
    assert started(read_released(folder)).digest() != study().digest()


def test_a_study_says_in_words_where_its_weights_came_from_and_what_they_cost(folder: Path) -> None:
    released = read_released(folder)
    said = " ".join(sentence for passage in describe(started(released)) for sentence in passage.sentences)
    assert "It starts from the released model 'first'" in said
    assert released.start.model in said
    assert "cost a patient at most epsilon 3 (delta 0.001), which stays spent" in said
    assert "their first values" not in said
    bare = released.start.model_copy(update={"trained": (Trained(study="0" * 64, name="bare"),)})
    tables = started(released).tables(nulls=False)
    tables["model"]["start"] = bare.model_dump(exclude_none=True)
    said = " ".join(s for passage in describe(Study.model_validate(tables)) for s in passage.sentences)
    assert "was trained without differential privacy (bare): it may remember patients" in said


DIFFERENT: dict[str, tuple[dict[str, dict[str, Any]], str]] = {
    "a new class": ({"task": {"classes": ["none", "finding", "other"]}}, "new: other"),
    "a class less": ({"task": {"classes": ["none", "other"]}}, "new: other; missing: finding"),
    "another order": ({"task": {"classes": ["finding", "none"]}}, "another order"),
    "other channels": ({"data": {"channels": 3}}, "the study has 3, and the model 1"),
    "another network": ({"model": {"network": "tiny-cnn"}}, "the model has 'small-cnn'"),
    "another norm": ({"model": {"norm": "instance"}}, "the model has 'group'"),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_a_study_that_differs_in_what_weights_mean_is_refused_with_the_reason(folder: Path, what: str) -> None:
    changes, why = DIFFERENT[what]
    released = read_released(folder)
    with pytest.raises(StudyError, match="cannot start from the model 'first'") as caught:
        check_start(started(released, **changes), released, where="model")
    assert why in str(caught.value)


def test_other_steps_than_those_of_the_models_training_are_said() -> None:
    median = {"step": "median", "size": 3}
    said = list(prepared_otherwise(study(data={"steps": [median]}), study()))
    assert said == ["steps are: each pixel becomes the median of 3 × 3 pixels around it, and were: none"]
    assert not list(prepared_otherwise(study(data={"steps": [median]}), study(data={"steps": [median]})))


def test_another_model_than_the_one_that_was_approved_is_refused(folder: Path, tmp_path: Path) -> None:
    released, other = read_released(folder), read_released(model_folder(tmp_path / "m", study(model={"seed": 1})))
    with pytest.raises(StudyError, match=r"starts from the model 'first' .* \(name, model, weights, trained differ"):
        check_start(started(released), other, where="model")
    with pytest.raises(StudyError, match="does not say that it starts from a model") as caught:
        check_start(study(), released, where="model")
    assert "wardround study start model >> STUDY.toml" in str(caught.value)


def test_a_changed_file_gives_no_first_parameters(folder: Path) -> None:
    released = read_released(folder)
    content = bytearray(released.content)
    content[-1] ^= 1
    layout = Layout(("a",), ((1,),))
    with pytest.raises(ModelError, match="not the file that the study starts from"):
        first_vector(bytes(content), released.start, layout)
    with pytest.raises(ModelError, match="other tensors"):
        first_vector(released.content, released.start, layout)
    pinned = released.start.model_copy(update={"model": hashlib.sha256(bytes(content)).hexdigest()})
    with pytest.raises(ModelError, match="the weights are not those"):
        first_vector(bytes(content), pinned, layout)


def test_the_digest_of_weights_is_of_names_shapes_and_values_and_not_of_their_order() -> None:
    a, b = np.arange(4, dtype=np.float32), np.ones((2, 2), np.float32)
    digest = weights_digest({"a": a, "b": b})
    assert digest == weights_digest({"b": b, "a": a})
    for other in ({"a": b, "b": a}, {"a": a.reshape(2, 2), "b": b}, {"a": a + 1, "b": b}, {"a": a}):
        assert weights_digest(other) != digest


@pytest.mark.parametrize("what", ["nowhere", "empty", "a file", "half"])
def test_what_is_no_released_model_is_said_with_what_to_do(folder: Path, tmp_path: Path, what: str) -> None:
    place = tmp_path / what
    if what == "a file":
        place.write_text("[model]")
    elif what != "nowhere":
        place.mkdir()
    if what == "half":
        (place / "model.json").write_bytes((folder / "model.json").read_bytes())
    ended = command("study", "start", place)
    assert ended.returncode not in (0, 1)
    assert "→" in ended.stderr
    with pytest.raises(StorageError):
        read_released(place)


def test_a_chain_names_each_study_once_and_its_cost_whole() -> None:
    one = {"study": "0" * 64, "name": "first", "hospitals": ["a"], "epsilon": 2.0, "delta": 1e-5}
    start = {"name": "x", "model": "1" * 64, "weights": "2" * 64}
    with pytest.raises(ValueError, match="more than once"):
        Start.model_validate(start | {"trained": [one, one]})
    with pytest.raises(ValueError, match="go together"):
        Start.model_validate(start | {"trained": [{"study": "0" * 64, "name": "first", "epsilon": 2.0}]})
    unbound = {"study": "3" * 64, "name": "before"}
    assert Start.model_validate(start | {"trained": [one, unbound]}).cost is None
    second = {"study": "4" * 64, "name": "second", "hospitals": ["b"], "epsilon": 3.0, "delta": 1e-5}
    assert Start.model_validate(start | {"trained": [second, one]}).cost == (5.0, 2e-5)


def test_no_epsilon_bounds_a_training_that_was_simulated(tmp_path: Path) -> None:
    """Its noise came from the seed, which its study states: whoever has both can take the noise away."""
    released = read_released(model_folder(tmp_path, study(), name="first", privacy=CLAIM, engine="in-process"))
    assert released.start.cost is None
    said = " ".join(sentence for passage in describe(started(released)) for sentence in passage.sentences)
    assert "in a simulation, whose noise comes from a seed and protects nobody (first): it may remember" in said
    assert "at most epsilon 3" not in said
