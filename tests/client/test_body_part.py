"""Another body part is told from an unknown one, however a file states it, in training and when a model is asked."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from examples import study
from models_made import model_folder
from outlined_hospitals import outlining
from series_made import slices, written
from tiny_dicom import item, save, tiny
from wardround_client.images.body_part import body_parts_of, is_other
from wardround_client.preparation.dataset import prepare, take_in
from wardround_client.preparation.source import Source
from wardround_common.shell.cli import wardround

BRAIN = ("BRAIN", "HEAD")


def region(value: str, scheme: str, meaning: str) -> Any:
    return item(CodeValue=value, CodingSchemeDesignator=scheme, CodeMeaning=meaning)


@pytest.mark.parametrize(
    ("stated", "found"),
    [
        ({"BodyPartExamined": "Brain "}, ("BRAIN",)),
        ({"BodyPartExamined": "C SPINE"}, ("CSPINE",)),
        ({"AnatomicRegionSequence": [region("12738006", "SCT", "Brain structure")]}, ("BRAIN",)),
        ({"AnatomicRegionSequence": [region("T-A0100", "SRT", "Brain")]}, ("BRAIN",)),  # as older scanners code it
        ({"AnatomicRegionSequence": [region("1", "99MAKER", "Head")]}, ("HEAD",)),
        (
            {"SharedFunctionalGroupsSequence": [
                item(FrameAnatomySequence=[item(AnatomicRegionSequence=[region("69536005", "SCT", "Head")])])
            ]},
            ("HEAD",),
        ),
        ({"BodyPartExamined": ""}, ()),
        ({}, ()),
    ],
)  # fmt: skip
def test_a_body_part_is_read_wherever_a_file_states_it(stated: dict[str, Any], found: tuple[str, ...]) -> None:
    made = tiny(np.zeros((4, 4), np.uint16), **stated)
    assert body_parts_of(made) == found
    assert not is_other(found, BRAIN) or found == ("CSPINE",)
    assert not is_other(found, ())


def predicted(*words: str | Path) -> tuple[int, list[dict[str, Any]], str]:
    found = CliRunner().invoke(wardround, ["predict", *map(str, words), "--json"])
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.exit_code, [json.loads(line) for line in found.stdout.splitlines()], found.stderr


def test_a_model_refuses_another_body_part_and_says_of_which_images_it_is_unknown(tmp_path: Path) -> None:
    model, folder = model_folder(tmp_path / "model", study(data={"body_parts": BRAIN})), tmp_path / "images"
    for number, part in enumerate(("HEAD", "CHEST", None)):
        stated = {"Modality": "DX", "ImageType": ["ORIGINAL", "PRIMARY"]} | ({"BodyPartExamined": part} if part else {})
        save(tiny(np.arange(400, dtype=np.uint16).reshape(20, 20), **stated), folder / f"{number}.dcm")
    code, lines, said = predicted(model, folder, "-o", tmp_path / "out")
    assert code == 4
    found = [line.get("refused") or line["body_part"] for line in lines]
    assert found == ["HEAD", "other-body-part", "unknown"]
    assert "the body part CHEST, and the model was trained with BRAIN, HEAD" in said
    assert "2 predicted, 1 refused, 1 predicted whose body part is not stated" in said
    with (tmp_path / "out" / "predictions.csv").open(newline="") as table:
        assert [row["body_part"] for row in csv.DictReader(table)] == ["HEAD", "", "unknown"]


def test_an_examination_of_another_body_part_is_refused_before_its_series_are_told_apart(tmp_path: Path) -> None:
    model = model_folder(tmp_path / "model", outlining(data={"body_parts": BRAIN}))
    flair = {"Modality": "MR", "SeriesDescription": "FLAIR"}
    written(slices(3, BodyPartExamined="KNEE", **flair), tmp_path / "images" / "knee")
    written(slices(3, StudyInstanceUID="1.2.3", **flair), tmp_path / "images" / "unknown")
    code, lines, _ = predicted(model, tmp_path / "images")
    assert (code, sorted(line.get("refused") or line["body_part"] for line in lines)) == (
        4,
        ["other-body-part", "unknown"],
    )


def test_training_leaves_another_body_part_out_and_counts_it(tmp_path: Path) -> None:
    folder = tmp_path / "hospital"
    for number in range(12):
        part = {0: "CHEST", 1: ""}.get(number, "BRAIN")
        made = tiny(
            np.random.default_rng(number).integers(0, 4000, (20, 20)).astype(np.uint16),
            Modality="DX",
            PatientID=f"P{number}",
            PatientName="",
            BodyPartExamined=part,
        )
        save(made, folder / ("none" if number % 2 else "finding") / f"{number}.dcm")
    of, source = study(data={"body_parts": BRAIN}), Source(folder, tmp_path / "state")
    data = prepare(source, of, *take_in(source, of))
    assert data.intake.left_out == {"other-body-part": 1}
    assert sum(map(len, (data.train, data.validation, data.test))) == 11  # unknown is not another one
