"""Settings typed beside a study file: they hold in its place, and a wrong one is refused as the file's would be."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from examples import study
from wardround_common.errors import StudyError
from wardround_common.study.file import read_study
from wardround_common.study.settings import parse_grid, parse_seeds, parse_settings


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "one.toml"
    path.write_text(tomli_w.dumps(study().tables(nulls=False)))
    return path


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("training.rounds=5", "training.rounds", 5),
        ("training.learning_rate = 1e-3", "training.learning_rate", 0.001),
        ("aggregation.secure=false", "aggregation.secure", False),
        ("training.optimiser=sgd", "training.optimiser", "sgd"),
        ('training.optimiser="sgd"', "training.optimiser", "sgd"),
        ('training.augmentations=["flip"]', "training.augmentations", ["flip"]),
    ],
)
def test_a_setting_is_a_key_with_dots_and_a_toml_value_or_a_word(text: str, key: str, value: Any) -> None:
    assert parse_settings([text]) == {key: value}


def test_a_setting_holds_in_the_place_of_the_files(file: Path) -> None:
    settings = parse_settings(["training.rounds=7", "model.seed=3"])
    changed = read_study(file, settings)
    assert (changed.training.rounds, changed.model.seed) == (7, 3)
    assert changed.digest() != read_study(file).digest()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("training.roundz=5", "did you mean 'rounds'"),
        ("trainin.rounds=5", r"did you mean \[training\]"),
        ("training.rounds=many", "rounds"),
        ("training.rounds=0", "rounds"),
        ("study.name.first=x", "'name' is not a section"),
    ],
)
def test_a_wrong_key_or_value_is_refused_in_the_words_of_a_study_file(file: Path, text: str, says: str) -> None:
    with pytest.raises(StudyError, match=says) as error:
        read_study(file, parse_settings([text]))
    assert f"--set {text.split('=')[0]}" in str(error.value)  # the file may be right


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("rounds", "a setting is KEY=VALUE"),
        ("=5", "a setting is KEY=VALUE"),
        ("training.rounds=", "is not a value"),
        ("training.rounds=5\nb=6", "is not a value"),
        ("training.rounds=a b", "is not a value"),
    ],
)
def test_what_is_no_setting_says_how_one_is_written(text: str, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        parse_settings([text])


def test_a_key_that_is_given_twice_is_refused() -> None:
    with pytest.raises(StudyError, match="more than once"):
        parse_settings(["training.rounds=5", "training.rounds=6"])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("training.learning_rate=0.01,0.1", (0.01, 0.1)),
        ("training.optimiser=sgd,adamw", ("sgd", "adamw")),
        ('training.augmentations=[],["flip"]', ([], ["flip"])),
        ("training.rounds=5", (5,)),
    ],
)
def test_a_grid_has_several_values(text: str, values: tuple[Any, ...]) -> None:
    assert parse_grid(text)[1] == values


@pytest.mark.parametrize(
    ("text", "says"), [("training.rounds=", "without values"), ("training.rounds=1,1", "more than once")]
)
def test_a_grid_without_values_or_with_one_twice_is_refused(text: str, says: str) -> None:
    with pytest.raises(StudyError, match=says):
        parse_grid(text)


def test_seeds_are_a_range_or_a_list() -> None:
    assert parse_seeds("0..2") == (0, 1, 2)
    assert parse_seeds("7, 3..4") == (7, 3, 4)
    for wrong in ("", "a", "2..0", "1,1", "-1", "0..99999999"):
        with pytest.raises(StudyError, match="seed"):
            parse_seeds(wrong)
