"""The benchmarks speak of what people get: their studies are valid, and the defaults are those that were measured."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wardround_common.study.file import parse_study, read_study
from wardround_common.study.template import study_text

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.mark.parametrize("file", sorted((BENCHMARKS / "studies").glob("*.toml")), ids=lambda file: file.stem)
def test_a_benchmark_study_is_valid_and_named_like_its_file(file: Path) -> None:
    assert read_study(file).study.name == file.stem


@pytest.mark.parametrize(("name", "dp"), [("brain-mri", False), ("chest-xray-eps8", True)])
def test_a_new_study_begins_with_the_numbers_that_were_measured(name: str, dp: bool) -> None:
    measured, new = read_study(BENCHMARKS / "studies" / f"{name}.toml"), parse_study(study_text("new", dp=dp))
    assert (measured.model, measured.training, measured.privacy) == (new.model, new.training, new.privacy)


def test_a_new_distributed_study_begins_with_the_numbers_that_were_measured_and_one_colluder_more() -> None:
    measured = read_study(BENCHMARKS / "studies" / "brain-mri-distributed.toml")
    new = parse_study(study_text("new", distributed=True))
    assert (measured.model, measured.training) == (new.model, new.training)
    assert measured.privacy.model_copy(update={"colluders": 1}) == new.privacy


@pytest.mark.parametrize("file", sorted((BENCHMARKS / "results").glob("*.json")), ids=lambda file: file.stem)
def test_results_are_flat_numbers(file: Path) -> None:
    figures = json.loads(file.read_text())
    assert figures
    assert all(isinstance(value, int | float) for value in figures.values())
