"""A model's folder is read whole or not at all: what was changed, is missing or is of another version is named."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from examples import study
from outlined_hospitals import outlining
from wardround_common.documents.exported_run import study_toml
from wardround_common.errors import StorageError, StudyError
from wardround_common.results.model_folder import CARD, MODEL, STUDY, Card, read_model_folder
from wardround_common.study.file import Study, parse_study


def written(folder: Path, of: Study | None = None, **changes: Any) -> Path:
    of = of or study()
    contents = {MODEL: b"weights", STUDY: study_toml(of).encode()}
    card = Card(
        name="test",
        wardround="0.1.0",
        engine="in-process",
        task=of.task.name,
        classes=of.groups,
        study_digest=of.digest(),
        rounds=(3,),
        point=0.25,
        temperature=1.5,
        validation_images=12,
        privacy=None,
        judgement=None,
        files={name: hashlib.sha256(content).hexdigest() for name, content in contents.items()},
    )
    folder.mkdir(exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    (folder / CARD).write_text(json.dumps(json.loads(card.content()) | changes))
    return folder


def test_a_folder_that_was_written_reads_back_with_its_study_and_weights(tmp_path: Path) -> None:
    found = read_model_folder(written(tmp_path))
    assert (found.study.digest(), found.weights) == (study().digest(), b"weights")
    assert (found.card.point, found.card.temperature, found.card.rounds) == (0.25, 1.5, (3,))


@pytest.mark.parametrize("name", [MODEL, STUDY])
def test_a_changed_or_missing_file_is_named(name: str, tmp_path: Path) -> None:
    folder = written(tmp_path)
    (folder / name).write_bytes((folder / name).read_bytes() + b" ")
    with pytest.raises(StorageError, match=f"{name}: this file is not the one that the model's card lists"):
        read_model_folder(folder)
    (folder / name).unlink()
    with pytest.raises(StorageError, match=f"the model's {name} cannot be read"):
        read_model_folder(folder)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"format": "wardround model folder 2"}, "of the format 'wardround model folder 2'"),
        ({"extra": 1}, "the model's card is broken: extra"),
        ({"temperature": 0}, "the model's card is broken: temperature"),
        ({"classes": ["one", "two"]}, "the card names other classes than the study"),
        ({"study_digest": "0" * 64}, "the study is not the one that the card names"),
        ({"files": {}}, "the card does not list model.safetensors"),
        ({"files": {MODEL: "0" * 64, STUDY: "0" * 64, "../secret": "0" * 64}}, "a file outside its folder"),
    ],
)
def test_a_card_of_another_version_or_that_contradicts_its_folder_is_refused(
    changes: dict[str, Any], said: str, tmp_path: Path
) -> None:
    with pytest.raises(StorageError, match=said):
        read_model_folder(written(tmp_path, **changes))


def test_what_is_no_card_is_said(tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_text("weights")
    for wrong, said in (
        ("model.pt", "this is a file, and a model is a folder"),
        ("nowhere", "there is no such folder"),
    ):
        with pytest.raises(StorageError, match=said) as error:
            read_model_folder(tmp_path / wrong)
        assert "wardround export RUN" in error.value.do
    with pytest.raises(StorageError, match="there is no model here"):
        read_model_folder(tmp_path)
    (tmp_path / CARD).write_text("{")
    with pytest.raises(StorageError, match="the model's card is broken: all"):
        read_model_folder(tmp_path)


def test_a_study_of_a_later_version_says_with_which_it_can_be_read(tmp_path: Path) -> None:
    folder = written(tmp_path)
    later = (folder / STUDY).read_text().replace("[model]", "[model]\nlater = 1")
    (folder / STUDY).write_text(later)
    card = json.loads((folder / CARD).read_text())
    card["files"][STUDY] = hashlib.sha256(later.encode()).hexdigest()
    (folder / CARD).write_text(json.dumps(card))
    with pytest.raises(StudyError, match="later"):
        read_model_folder(folder)


def test_a_study_with_series_is_written_as_a_file_that_reads_back() -> None:
    of = outlining()
    assert parse_study(study_toml(of)).digest() == of.digest()
