"""A model says which images are unlike those of its training, by the same features as when they were summed."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from torch import nn

from examples import study
from models_made import model_folder
from outlined_hospitals import outlining, outlining_volumes, write_hospital
from tiny_dicom import save, tiny
from wardround_client import networks
from wardround_client.preparation.dataset import prepare, take_in
from wardround_client.preparation.source import Source
from wardround_client.training.features import features_of, in_short
from wardround_common.errors import StorageError
from wardround_common.metrics.unlike import BINS, FEATURES, FeatureSums
from wardround_common.results.model_folder import read_model_folder
from wardround_common.results.unlike import UNLIKE, Unlike, parse_unlike
from wardround_common.shell.cli import wardround
from wardround_common.study.file import Study


def known(features: np.ndarray, threshold_bin: int = 100) -> Unlike:
    histogram = np.zeros(BINS, np.int64)
    histogram[threshold_bin] = 40
    return Unlike(
        model="0" * 64,
        fraction=0.95,
        moments=tuple(FeatureSums.of(features).to_vector().tolist()),
        histogram=tuple(histogram.tolist()),
    )


def predicted(*words: str | Path) -> tuple[int, list[dict[str, Any]], str]:
    found = CliRunner().invoke(wardround, ["predict", *map(str, words), "--json"])
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.exit_code, [json.loads(line) for line in found.stdout.splitlines()], found.stderr


def prepared_features(of: Study, folder: Path, state: Path) -> np.ndarray:
    source = Source(folder, state)
    data = prepare(source, of, *take_in(source, of), trains=False)
    return features_of(networks.build(of), of, data.test)[0]


def write_images(folder: Path, count: int = 6) -> None:
    rng = np.random.default_rng(1)
    for number in range(count):
        values = rng.integers(0, 4000, (20, 20)).astype(np.uint16)
        made = tiny(values, Modality="DX", PatientID=f"P{number}", PatientName="", ImageType=["ORIGINAL", "PRIMARY"])
        save(made, folder / ("none" if number % 2 else "finding") / f"{number}.dcm")


def test_an_image_that_is_asked_about_has_the_features_that_it_had_in_training(tmp_path: Path) -> None:
    of, folder = study(), tmp_path / "images"
    write_images(folder)
    features = prepared_features(of, folder, tmp_path / "state")
    reference = known(features)
    model = model_folder(tmp_path / "model", of, reference)
    for batch in ("1", "64"):
        code, lines, said = predicted(model, folder, "--batch", batch, "-o", tmp_path / batch)
        assert code == 0
        distances = sorted(line["unlike"]["distance"] for line in lines)
        assert distances == pytest.approx(sorted(reference.usual.distances(features)), abs=2e-3)
        assert not any(line["unlike"]["unlike"] for line in lines)
        assert "unlike" not in said
    with (tmp_path / "64" / "predictions.csv").open(newline="") as table:
        assert [float(row["distance"]) for row in csv.DictReader(table)] == [
            line["unlike"]["distance"] for line in lines
        ]
    far = model_folder(tmp_path / "far", of, known(features, threshold_bin=1))
    code, lines, said = predicted(far, folder)
    assert code == 0  # it is said, and the image is answered
    assert [line["unlike"]["unlike"] for line in lines] == [True] * 6
    assert lines[0]["unlike"]["words"] == "further from the model's validation images than 95% of these are"
    assert "6 predicted that are unlike the model's training" in said
    assert all("unlike" not in line for line in predicted(model_folder(tmp_path / "none", of), folder)[1])


@pytest.mark.slow
@pytest.mark.parametrize("of", [outlining(), outlining_volumes()], ids=["slices", "volumes"])
def test_an_examination_has_the_features_that_it_had_in_training(tmp_path: Path, of: Study) -> None:
    write_hospital(tmp_path / "north", "north")
    features = prepared_features(of, tmp_path / "north", tmp_path / "state")
    assert len(features) == 5  # one of each examination
    reference = known(features)
    code, lines, _ = predicted(model_folder(tmp_path / "model", of, reference), tmp_path / "north")
    assert code == 0
    distances = sorted(line["unlike"]["distance"] for line in lines)
    assert distances == pytest.approx(sorted(reference.usual.distances(features)), abs=0.02)
    assert lines[0]["unlike"]["words"] == "no further from the model's validation examinations than 95% of these are"


def test_features_are_of_length_one_at_most_whatever_the_network_gives() -> None:
    for channels in (3, FEATURES, 500):
        given = np.random.default_rng(0).normal(size=(8, channels)) * 1e3
        given[0] = 0
        short = in_short(given, seed=1)
        assert short.shape == (8, FEATURES)
        assert np.linalg.norm(short, axis=1).max() <= 1 + 1e-9
        assert np.array_equal(short, in_short(given, seed=1))
        assert not short[0].any()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["wavelets", "small-cnn", "resnet18", "densenet121", "efficientnet-b0"])
def test_any_network_that_a_study_can_name_has_features(name: str, tmp_path: Path) -> None:
    of = study(model={"network": name}, data={"image_size": 64})
    write_images(tmp_path, 3)
    model = model_folder(tmp_path / "model", of, known(np.eye(FEATURES)[:25]))
    code, lines, _ = predicted(model, tmp_path / "none")
    assert (code, len(lines)) == (0, 1)
    assert lines[0]["unlike"]["distance"] > 0
    assert isinstance(networks.build(of), nn.Module)


@pytest.mark.parametrize("large", [2**62, 2**63])
def test_numbers_of_more_images_than_there_can_be_are_refused(large: int) -> None:
    said = json.loads(known(np.eye(FEATURES)).content())
    said["histogram"][:4] = [large] * 4  # of 2^62, four are 0 in 64 bits
    with pytest.raises(StorageError, match="does not say what images of the model are like"):
        parse_unlike(json.dumps(said).encode(), Path(UNLIKE))
    said = json.loads(known(np.eye(FEATURES)).content())
    said["moments"][0] = large
    with pytest.raises(StorageError, match="does not say what images of the model are like"):
        parse_unlike(json.dumps(said).encode(), Path(UNLIKE))


def test_a_model_folder_whose_file_says_nothing_of_its_images_is_refused(tmp_path: Path) -> None:
    folder = model_folder(tmp_path / "model", study(), known(np.eye(FEATURES)))
    assert read_model_folder(folder).unlike is not None
    (folder / UNLIKE).write_text("{}")
    with pytest.raises(StorageError, match="not the one that the model's card lists"):
        read_model_folder(folder)
    broken = known(np.eye(FEATURES)).model_copy(update={"moments": (1, 2)})
    with pytest.raises(StorageError, match="does not say what images"):
        read_model_folder(model_folder(tmp_path / "broken", study(), broken))
