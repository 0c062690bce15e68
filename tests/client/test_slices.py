"""A slice among others of its series: which images it is shown with, its place, and whose gradient it is."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from torch import nn

from examples import DP, study
from models_made import model_folder
from tiny_dicom import tiny
from wardround_client import networks
from wardround_client.maps.contract import Question
from wardround_client.maps.in_lesions import rehearse as rehearse_maps
from wardround_client.maps.known import known_methods
from wardround_client.maps.lesions import peak
from wardround_client.maps.registry import find
from wardround_client.networks import OWN, Slices, of_own_image
from wardround_client.networks._slices import ALIKE, SPREAD, WEIGHTS
from wardround_client.preparation.asking import cases_of
from wardround_client.preparation.bags import neighbours_of
from wardround_client.preparation.dataset import Dataset, prepare, take_in
from wardround_client.preparation.source import Source
from wardround_client.training.bookkeeping import BookKeeping, Way, clipping_factors
from wardround_client.training.features import features_of, in_short, watching
from wardround_client.training.network_probe import WAYS
from wardround_client.training.rehearsal import rehearse
from wardround_common.errors import ImageRefused, StudyError
from wardround_common.metrics.unlike import BINS, FEATURES, FeatureSums
from wardround_common.results.unlike import Unlike
from wardround_common.shell.cli import wardround
from wardround_common.study.file import Study
from wardround_common.study.words.describe import describe
from wardround_common.tasks import classification

AXIAL = [1, 0, 0, 0, 1, 0]
SLICES = study(data={"record": "slice"})
PATIENTS, PLACES = 5, 5


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make five patients with one series of five slices each, named against their order; one states no place.

    All series state one SeriesInstanceUID, as careless software writes it; a bright pixel says whose a slice is (row)
    and where (column).
    """
    found, lines = tmp_path_factory.mktemp("hospital"), ["file,label"]
    for patient in range(PATIENTS):
        for at in range(PLACES):
            pixels = np.zeros((16, 16), np.uint16)
            pixels[1 + patient, 1 + at] = 1000
            name = f"P{patient}"
            made = tiny(pixels, PatientID=name, PatientName=name, Modality="DX", SeriesInstanceUID="1.2.3")
            made.StudyInstanceUID = f"1.2.{patient + 1}"
            if patient != 3:
                made.ImageOrientationPatient, made.ImagePositionPatient = AXIAL, [0.0, 0.0, at * 5.0]
            file = f"{name}-{9 - at}.dcm"
            made.save_as(found / file, enforce_file_format=True)
            lines.append(f"{file},{'finding' if at % 2 else 'none'}")
    (found / "labels.csv").write_text("\n".join(lines) + "\n")
    return found


@pytest.fixture(scope="module")
def taken(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    source = Source(folder, tmp_path_factory.mktemp("state"))
    return prepare(source, SLICES, *take_in(source, SLICES))


def shown(record: np.ndarray) -> list[tuple[int, int]]:
    """Return whose each image of a record (channels, images, rows, columns) is, and where it is in its series."""
    return [tuple(np.argwhere(image > 0.5)[0] - 1) for image in record[0, :-1]]


def test_the_ends_of_a_series_stand_for_what_is_beyond_them() -> None:
    rows, far = neighbours_of([7, 3, 5])
    assert rows[:, :3].tolist() == [[7, 7, 3], [7, 3, 5], [3, 5, 5]]
    assert rows[:, 3:].tolist() == [[7, 7, 7, 3, 3, 5, 5, 5]] * 3
    assert far.tolist() == [[1.0], [0.0], [1.0]]
    alone, middle = neighbours_of([4])
    assert (alone.tolist(), middle.tolist()) == ([[4] * 11], [[0.0]])


def test_a_slice_is_shown_among_its_own_series_alone_whatever_files_are_called_or_state_of_their_series(
    folder: Path, taken: Dataset
) -> None:
    assert taken.intake.left_out == {"no-order": PLACES}
    cases = {case.name: case for case in cases_of(sorted(folder.glob("*.dcm")), SLICES, frozenset())}
    for split in (taken.train, taken.validation, taken.test):
        for place, code in enumerate(split.patients):
            (record,) = split.images(np.array([place]))
            patient, at = int(taken.identifiers[code][1:]), shown(record)[1][1]
            through = [0, 0, 1, 2, 2, 3, 4, 4]
            wanted = [max(0, min(PLACES - 1, at + step)) for step in (-1, 0, 1)] + through
            assert shown(record) == [(patient, place) for place in wanted]
            assert record[0, -1, 0, 0] == abs(at - 2) / 2
            assert split.targets[place] == at % 2  # the label is the slice's own, not a neighbour's
            asked = cases[str(folder / f"P{patient}-{9 - at}.dcm")].prepare()
            assert np.array_equal(asked.images[0], record)  # a model is asked as it was trained
    with pytest.raises(ImageRefused) as refused:
        cases[str(folder / "P3-7.dcm")].prepare()
    assert refused.value.reason == "no-order"
    assert "StudyDate" not in refused.value.do  # which plays no part within a series


def test_a_slice_that_is_asked_about_again_keeps_no_other_one_of_its_series(folder: Path) -> None:
    """A gallery asks about all images, and then again about the worst of each series."""
    of = study(data={"record": "slice", "image_size": 64})
    cases = [*cases_of(sorted(folder.glob("P[01]-*.dcm")), of, frozenset())]
    for case in cases:
        case.prepare()
    tracemalloc.start()
    try:
        record = cases[0].prepare().images
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 2 * record.nbytes


def small() -> Slices:
    with networks.seeded(1):
        encoder = nn.Sequential(
            nn.Conv2d(1, 4, 3, stride=2), nn.GroupNorm(2, 4), nn.Tanh(), nn.Flatten(), nn.Linear(36, 2)
        )
        network = Slices(encoder, 2).double()
    nn.init.ones_(network.place.weight[:1])
    return network


def slices() -> torch.Tensor:
    found = torch.rand(3, 1, 6, 8, 8, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    found[:, 0, 5] = torch.tensor([0.0, 0.5, 1.0])[:, None, None]
    return found


def test_what_is_said_is_that_of_three_images_less_what_is_said_of_the_series_and_what_the_place_adds() -> None:
    network, given = small(), slices()
    each = torch.stack([network.encoder(given[:, :, place]) for place in range(5)])
    wanted = sum(weight * said for weight, said in zip(WEIGHTS, each[:3], strict=True)) - ALIKE * each[3:].mean(0)
    added = torch.tensor([[-SPREAD / 2, 0], [0, 0], [SPREAD / 2, 0]])
    torch.testing.assert_close(network(given), wanted + added)


@pytest.mark.parametrize("way", WAYS)
def test_a_patients_gradient_is_that_of_the_patients_slices_and_clipped_as_one(way: Way) -> None:
    network, given = small(), slices()
    labels, counts = torch.tensor([0, 1, 1]), [2, 1]

    def losses(of: torch.Tensor, to: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(network(of), to, reduction="none")

    alone = []
    for some in (slice(0, 2), slice(2, 3)):
        network.zero_grad()
        losses(given[some], labels[some]).sum().backward()
        alone.append([weight.grad.clone() for weight in network.parameters() if weight.grad is not None])
    norms = torch.stack([torch.stack([one.norm() for one in patient]).norm() for patient in alone])
    clip = float(norms.min()) / 2
    with BookKeeping(network, way) as books:
        found = books.clipped_sum(losses(given, labels), counts, clip)
    for place, total in enumerate(found):
        expected = sum(factor * own[place] for factor, own in zip(clipping_factors(norms, clip), alone, strict=True))
        torch.testing.assert_close(total, expected, rtol=1e-6, atol=1e-12)


def test_with_the_head_alone_the_place_is_trained_beside_it_and_nothing_else() -> None:
    of = study(model={"network": "halves", "train": "head"}, data={"record": "slice"})
    assert networks.layout_of(networks.build(of)).shapes == ((2, 16), (2,), (2, 1))


@pytest.mark.slow
def test_slices_are_trained_privately_by_any_network() -> None:
    of = study(data={"record": "slice"}, model={"network": "tiny-cnn"}, privacy=DP)
    assert rehearse(of).endswith("the gradient of each image is its own")


def test_the_study_says_that_the_model_is_told_the_place() -> None:
    assert "how far from the middle of the series it is" in " ".join(map(str, describe(SLICES)))
    assert "slice" not in study().model_dump_json()


def test_one_scale_for_all_hospitals_is_refused_with_the_reason_that_slices_have() -> None:
    tables = SLICES.tables()
    with pytest.raises(StudyError, match="the place of a slice would count as pixels"):
        Study.of_tables(tables | {"data": tables["data"] | {"normalisation": "federation"}}, where="a")


@pytest.mark.parametrize("name", ["small-cnn", "halves"])
def test_a_slice_has_the_features_of_its_own_image_and_of_no_other_one(taken: Dataset, name: str) -> None:
    of = study(data={"record": "slice"}, model={"network": name})
    alone = networks.build(study(model={"network": name})).eval()  # of the same seed: the same weights
    found, patients = features_of(networks.build(of), of, taken.train)
    assert found.shape == (len(taken.train), FEATURES)
    assert np.array_equal(patients, taken.train.patients)
    with torch.no_grad(), watching(alone) as seen:
        alone(torch.from_numpy(taken.train.images(slice(None))[:, :, OWN]))
    np.testing.assert_allclose(found, in_short(seen.take(), of.model.seed), atol=1e-6)


class OnePixel(nn.Module):
    """Says 'finding' the more, the brighter one pixel of an image is."""

    ROW, COLUMN = 4, 10

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(1, 1, 1, bias=False)
        nn.init.ones_(self.convolution.weight)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        grey = self.convolution(images)[:, :, self.ROW, self.COLUMN]
        return torch.cat([torch.zeros_like(grey), 10 * grey], 1)


def spotted(*places: int) -> torch.Tensor:
    """Make a record of black images, of which those at these places are bright where it matters."""
    record = torch.zeros(1, 1, 12, 16, 16)
    record[:, :, list(places), OnePixel.ROW, OnePixel.COLUMN] = 1
    return record


@pytest.mark.parametrize("name", [name for name in known_methods() if name != "views"])
def test_the_map_of_a_slice_is_of_its_own_image_and_shows_nothing_of_its_neighbours(name: str) -> None:
    network, method = Slices(OnePixel(), 2).eval(), find(name, classification.TASK)[1]
    for record in (spotted(OWN), spotted(0, 2, *range(3, 11))):
        asked, image = of_own_image(network, record)
        torch.testing.assert_close(asked(image), network(record))  # it is the same answer that is explained
        heat = method.explain(Question(asked, 1), image)[0].numpy()
        if image.any():
            row, column = peak(heat) or (-1, -1)
            assert (row // 2, column // 2) == (OnePixel.ROW // 2, OnePixel.COLUMN // 2)
        else:  # the neighbours have what the answer hangs on, and a map of them would be drawn on this slice
            assert abs(heat).max() < 1e-4


def test_a_study_of_slices_may_ask_for_sums_over_maps_and_one_of_bags_may_not() -> None:
    asked = {"method": "occlusion", "lesions": []}
    of = study(data={"record": "slice"}, evaluation={"maps": asked})
    assert rehearse_maps(of) == "occlusion explained an image of noise"
    with pytest.raises(ValueError, match="the network says nothing of a single image"):
        study(data={"record": "series"}, evaluation={"maps": asked})


def asked_of(command: str, *words: str | Path) -> tuple[int, list[dict[str, Any]]]:
    found = CliRunner().invoke(wardround, [command, *map(str, words), "--json"])
    if found.exception and not isinstance(found.exception, SystemExit):
        raise found.exception
    return found.exit_code, [json.loads(line) for line in found.stdout.splitlines()]


@pytest.mark.slow
def test_slices_are_explained_and_told_apart_from_those_of_the_training_one_by_one_or_together(
    folder: Path, taken: Dataset, tmp_path: Path
) -> None:
    features, _ = features_of(networks.build(SLICES), SLICES, taken.train)
    histogram = [0] * BINS
    histogram[100] = 40
    moments = tuple(FeatureSums.of(features).to_vector().tolist())
    unlike = Unlike(model="0" * 64, fraction=0.95, moments=moments, histogram=tuple(histogram))
    model, series = model_folder(tmp_path / "model", SLICES, unlike), tmp_path / "series"
    series.mkdir()
    for file in folder.glob("P[03]-*.dcm"):
        (series / file.name).write_bytes(file.read_bytes())
    said = []
    for batch in ("1", "64"):
        code, lines = asked_of("predict", model, series, "--batch", batch)
        assert code == 4  # the series that states no place is refused
        said.append([(line["class"], line["unlike"]["distance"]) for line in lines if "class" in line])
    assert len(said[0]) == PLACES
    assert said[0] == [(word, pytest.approx(distance, abs=2e-3)) for word, distance in said[1]]
    code, lines = asked_of("explain", model, series, "--method", "occlusion", "--out", tmp_path / "maps")
    assert code == 4
    assert len([*(tmp_path / "maps").glob("P0-*.png")]) == PLACES
