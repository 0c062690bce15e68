"""A study that tracks its rounds: what may stand there, what its digest covers, and what hospitals are told."""

from __future__ import annotations

from typing import Any

import pytest

from examples import study as example
from wardround_common.errors import StudyError
from wardround_common.study.file import parse_canonical, parse_study
from wardround_common.study.template import study_text
from wardround_common.study.words.describe import describe

SERVER = "https://mlflow.example.org/team"


def tracked(**keys: Any) -> Any:
    return example() if not keys else example().model_validate(example().model_dump() | {"tracking": keys})


def words(study: Any) -> str:
    return " ".join(sentence for passage in describe(study) for sentence in passage.sentences)


def test_a_study_without_tracking_keeps_its_digest_and_so_does_one_that_turns_it_off() -> None:
    plain = example()
    assert b"tracking" not in plain.canonical()
    assert tracked(mlflow=False, tensorboard=False).digest() == plain.digest()
    assert parse_study(study_text("a").replace("[tracking]", "")).digest() == parse_study(study_text("a")).digest()


def test_where_figures_go_is_part_of_what_hospitals_approve() -> None:
    kinds = [
        tracked(),
        tracked(mlflow=True),
        tracked(tensorboard=True),
        tracked(mlflow=SERVER),
        tracked(mlflow=SERVER + "2"),
    ]
    assert len({study.digest() for study in kinds}) == len(kinds)
    for study in kinds:
        assert parse_canonical(study.canonical()) == study


@pytest.mark.parametrize(
    "place",
    [
        "mlflow",
        "file:///data/mlruns",
        "databricks",
        "sqlite:///mlflow.db",
        "https://",
        "https://user:secret@mlflow.example.org",
        "https://mlflow.example.org?token=secret",
        "https://mlflow.example.org#x",
        "https://mlflow.example.org:99999",
        "https://mlflow example.org",
        "https://[::1",
        "https://mlflow.example.org/" + "a" * 500,
        7,
        ["https://mlflow.example.org"],
    ],
)
def test_a_place_that_is_no_server_or_holds_a_secret_is_refused(
    place: Any,
) -> None:
    text = study_text("a").replace("# mlflow = true", f"mlflow = {place!r}")
    with pytest.raises(StudyError) as raised:
        parse_study(text)
    (fault,) = raised.value.faults
    assert fault.startswith("[tracking] mlflow = ")
    assert "MLFLOW_TRACKING_TOKEN" in fault


def test_a_misspelt_key_of_tracking_is_named() -> None:
    with pytest.raises(StudyError, match="did you mean 'tensorboard'"):
        parse_study(study_text("a").replace("[tracking]", "[tracking]\ntensorbord = true"))


def test_hospitals_are_told_where_pooled_figures_go() -> None:
    assert "MLflow" not in words(tracked())
    local = words(tracked(mlflow=True, tensorboard=True))
    assert "For MLflow and TensorBoard it keeps each round's figures over all hospitals together" in local
    assert "It sends them" not in local
    sent = "It sends them, with the study's name, digest and settings but no hospital's name, to the MLflow server at "
    assert f"{sent}{SERVER}." in words(tracked(mlflow=SERVER))


def test_hospitals_are_told_that_their_own_figures_are_kept_and_under_which_name() -> None:
    said = words(tracked(mlflow=SERVER, hospitals=True))
    assert "each hospital's own figures of each round, under its name" in said
    assert "No hospital's own number" not in said
    assert "but no hospital's name" not in said
    assert tracked(mlflow=SERVER, hospitals=True).digest() != tracked(mlflow=SERVER).digest()
    assert tracked(mlflow=SERVER, hospitals=False).digest() == tracked(mlflow=SERVER).digest()


def test_a_study_with_secure_sums_has_no_hospitals_own_figures_to_track() -> None:
    text = study_text("a").replace("# mlflow = true", "mlflow = true\nhospitals = true")
    with pytest.raises(StudyError) as raised:
        parse_study(text)
    (fault,) = raised.value.faults
    assert "the coordinator has sums over hospitals alone" in fault
    assert parse_study(text.replace("secure = true", "secure = false")).tracking.hospitals


def test_hospitals_own_figures_need_a_place() -> None:
    with pytest.raises(StudyError, match="nothing says where"):
        parse_study(study_text("a", dp=False).replace("[tracking]", "[tracking]\nhospitals = true"))
