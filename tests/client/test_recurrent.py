"""Images of a record that are read in their order: by what files state of it, and never by a guess."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pytest
import tomli_w
import torch
from test_bags import bags, of, small
from torch import nn

from models_made import model_folder
from tiny_dicom import tiny
from typed import command
from wardround_client import networks
from wardround_client.networks import FEATURES, weighing
from wardround_client.networks._recurrent import STATE, Recurrent
from wardround_client.prediction import pictures
from wardround_client.prediction.predicting import Done
from wardround_client.preparation.asking import cases_of
from wardround_client.preparation.dataset import Dataset, prepare, take_in
from wardround_client.preparation.order import NO_ORDER, SAME_PLACE, Said, in_order, order_of, said_in
from wardround_client.preparation.source import Source
from wardround_client.site_shift.head import tensors
from wardround_client.tasks.contract import Answer
from wardround_client.training.features import watching
from wardround_common.errors import ImageRefused
from wardround_common.results.model_folder import read_model_folder

AXIAL = [1, 0, 0, 0, 1, 0]


def test_what_is_kept_of_images_is_what_torchs_own_gru_keeps() -> None:
    own, theirs = Recurrent(FEATURES).double(), nn.GRU(FEATURES, STATE, batch_first=True).double()
    layers = {"weight_ih": own.given.weight, "weight_hh": own.kept.weight, "bias_ih": own.given.bias}
    for name, weight in (layers | {"bias_hh": own.kept.bias}).items():
        getattr(theirs, f"{name}_l0").data.copy_(weight.data)
    features = torch.randn(3, 5, FEATURES, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    there = torch.tensor([[True] * 5, [True] * 3 + [False] * 2, [True] + [False] * 4])
    lengths = there.sum(1)
    packed = nn.utils.rnn.pack_padded_sequence(features, lengths, batch_first=True)
    expected = theirs(packed)[1][0]
    state = own(features, there)
    torch.testing.assert_close(state, expected, rtol=0, atol=1e-14)
    own_ones = dict(own.named_parameters())
    names = {"given.weight": "weight_ih_l0", "kept.weight": "weight_hh_l0", "given.bias": "bias_ih_l0"}
    for name, other in (names | {"kept.bias": "bias_hh_l0"}).items():
        (ours,) = torch.autograd.grad(state.square().sum(), own_ones[name], retain_graph=True)
        (wanted,) = torch.autograd.grad(expected.square().sum(), getattr(theirs, other), retain_graph=True)
        torch.testing.assert_close(ours, wanted, rtol=0, atol=1e-13)


def test_what_is_read_of_a_record_depends_on_its_order_and_neither_on_padding_nor_on_its_neighbours() -> None:
    network, whole = small("recurrent"), bags()
    together = network(whole)
    torch.testing.assert_close(network(whole[1:2]), together[1:2])
    torch.testing.assert_close(network(whole[1:2, :, :2]), together[1:2])  # without its padding
    moved = whole[1:2, :, [0, 2, 3, 1]]  # the same images in the same order, with the padding between them
    torch.testing.assert_close(network(moved), together[1:2])
    other = whole.clone()
    other[[0, 2]] = 0.5
    torch.testing.assert_close(network(other)[1], together[1])
    assert (network(whole[:, :, [1, 0, 2, 3]]) - together).abs().amin() > 1e-9
    with weighing(network) as weights, watching(network) as seen:
        network(whole)
    assert not weights
    assert seen.take().shape == (3, STATE)


def images(*said: dict[str, Any]) -> list[Said]:
    return [
        said_in(tiny(**{"StudyInstanceUID": "1.2", "SeriesInstanceUID": "1.2.3"} | one), PurePath("a")) for one in said
    ]


def slices(*places: float, across: list[int] = AXIAL, **more: Any) -> list[Said]:
    axis = int(np.abs(np.cross(across[:3], across[3:])).argmax())
    found = []
    for number, place in enumerate(places):
        position = [0.0, 0.0, 0.0]
        position[axis] = place
        found.append(
            {"ImageOrientationPatient": across, "ImagePositionPatient": position, "InstanceNumber": number} | more
        )
    return images(*found)


FIRST, SECOND = (
    {"StudyInstanceUID": "1.9", "StudyDate": "20190304"},
    {"StudyInstanceUID": "1.8", "StudyDate": "20200101"},
)
ONE, OTHER = {"SeriesInstanceUID": "1.9"}, {"SeriesInstanceUID": "1.8"}
UPSIDE_DOWN = [1, 0, 0, 0, -1, 0]
ORDERS: dict[str, tuple[list[Said], list[int] | str]] = {
    "examinations by date": (images(SECOND, FIRST), [1, 0]),
    "those of one day by time": (
        images(FIRST | {"StudyTime": "1015"}, {"StudyDate": "20190304", "StudyTime": "093000.5"}),
        [1, 0],
    ),
    "of one day without a time": (images(FIRST, {"StudyDate": "20190304", "StudyTime": "0930"}), SAME_PLACE),
    "of one moment": (images(FIRST | {"StudyTime": "10"}, {"StudyDate": "20190304", "StudyTime": "1000"}), SAME_PLACE),
    "without a date": (images(FIRST, {}), NO_ORDER),
    "with a date that is none": (images(FIRST, {"StudyDate": "20191341"}), NO_ORDER),
    "one examination needs no date": (images({"InstanceNumber": 7}, {"InstanceNumber": 3}), [1, 0]),
    "series by number": (images(ONE | {"SeriesNumber": 11}, OTHER | {"SeriesNumber": 2}), [1, 0]),
    "those of one number by time": (
        images(
            ONE | {"SeriesNumber": 2, "SeriesDate": "20200102", "SeriesTime": "000100"},
            OTHER | {"SeriesNumber": 2, "SeriesDate": "20200101", "SeriesTime": "235900"},
        ),
        [1, 0],
    ),
    "series without a number": (images(ONE | {"SeriesNumber": 1}, OTHER), NO_ORDER),
    "slices by place and not by number": (slices(30.0, -10.0, 10.5), [1, 2, 0]),
    "slices whose rows run the other way": (slices(30.0, -10.0, 10.5, across=UPSIDE_DOWN), [1, 2, 0]),
    "coronal slices towards the back": (slices(30.0, -10.0, 10.5, across=[1, 0, 0, 0, 0, -1]), [1, 2, 0]),
    "images in one place by number": (slices(5.0, 0.0, 0.001), [1, 2, 0]),
    "images in one place of one number": (slices(5.0, 0.0, 0.0, InstanceNumber=4), SAME_PLACE),
    "one in another plane": (slices(0.0, -5.0) + slices(-9.0, across=[0, 1, 0, 0, 0, -1], InstanceNumber=9), [0, 1, 2]),
    "one without a place": (slices(5.0, 0.0) + images({"InstanceNumber": -1}), [2, 0, 1]),
    "neither place nor number": (images({"InstanceNumber": 1}, {}), NO_ORDER),
    "a number that is none": (images({"InstanceNumber": 1}, {"ImagePositionPatient": None}), NO_ORDER),
    "files by their last number": ([said_in(None, PurePath(f"p/t1/{n}")) for n in ("a-10.png", "b-9.png")], [1, 0]),
    "files of one number": ([said_in(None, PurePath(f"p/{n}")) for n in ("a-9.png", "b-09.png")], SAME_PLACE),
    "files without a number": ([said_in(None, PurePath(f"p/{n}")) for n in ("a.png", "b-9.png")], NO_ORDER),
    "files of two folders": ([said_in(None, PurePath(n)) for n in ("p/1/1.png", "p/2/2.png")], NO_ORDER),
    "a file beside DICOM": ([*images(FIRST), said_in(None, PurePath("p/2.png"))], NO_ORDER),
    "one image": ([said_in(None, PurePath("a.png"))], [0]),
}


@pytest.mark.parametrize("case", ORDERS)
def test_an_order_is_what_files_state_or_there_is_none(case: str) -> None:
    given, expected = ORDERS[case]
    assert in_order(given) == expected


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make five patients with two examinations of two slices, named against their order; one has no dates."""
    found, lines = tmp_path_factory.mktemp("hospital"), ["patient,label"]
    for patient in range(5):
        name = f"P{patient}"
        for at in range(4):
            pixels = np.zeros((16, 16), np.uint16)
            pixels[: 4 * at + 2] = 1000  # what is bright says where it is
            pixels[0, 0] = patient
            made = tiny(pixels, PatientID=name, PatientName=name, Modality="DX", SeriesInstanceUID=f"1.{patient + 1}")
            made.StudyInstanceUID = f"1.2.{patient + 1}.{at // 2}"
            if patient != 3:
                made.StudyDate = f"20{10 + at // 2}0{patient + 1}17"
            made.ImageOrientationPatient, made.ImagePositionPatient = AXIAL, [0.0, 0.0, at * 5.0]
            made.save_as(found / f"{name}-{9 - at}.dcm", enforce_file_format=True)
        lines.append(f"{name},{'finding' if patient % 2 else 'none'}")
    (found / "labels.csv").write_text("\n".join(lines) + "\n")
    return found


RECURRENT = of(model={"pooling": "recurrent"})


@pytest.fixture(scope="module")
def taken(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Source, Dataset]:
    source = Source(folder, tmp_path_factory.mktemp("state"))
    return source, prepare(source, RECURRENT, *take_in(source, RECURRENT))


def bright(record: np.ndarray) -> list[int]:
    """Return how many rows of each image of a record (channels, images, rows, columns) are bright."""
    return [int(rows) for rows in (record[0, :, :, 1] > 0.5).sum(axis=1)]


def test_a_record_is_in_the_order_that_its_files_state_and_left_out_where_they_state_none(
    folder: Path, taken: tuple[Source, Dataset]
) -> None:
    _, data = taken
    assert data.intake.left_out == {"no-order": 4}
    assert "P3" not in data.identifiers
    cases = {case.name: case for case in cases_of(sorted(folder.glob("*.dcm")), RECURRENT, frozenset())}
    for split in (data.train, data.validation, data.test):
        for place, code in enumerate(split.patients):
            record = split.images(np.array([place]))
            assert bright(record[0]) == [2, 6, 10, 14]
            asked = cases[data.identifiers[code]].prepare()
            assert np.array_equal(asked.images, record)  # a model is asked in the order that it was trained in
            assert [Path(name).name[-5] for name in asked.members] == ["9", "8", "7", "6"]
    with pytest.raises(ImageRefused, match="do not say in which order") as refused:
        cases["P3"].prepare()
    assert refused.value.reason == "no-order"


def test_of_more_images_than_a_record_takes_those_are_taken_that_lie_at_equal_distances_in_the_order(
    folder: Path, taken: tuple[Source, Dataset]
) -> None:
    study = of(model={"pooling": "recurrent"}, data={"bag_size": 2})
    data = prepare(taken[0], study, *take_in(taken[0], study))
    assert [bright(one) for one in data.train.images(slice(None))] == [[6, 14]] * len(data.train)
    (asked,) = (case.prepare() for case in cases_of(sorted(folder.glob("P0*")), study, frozenset()))
    assert bright(asked.images[0]) == [6, 14]


def test_the_picture_of_a_record_that_is_read_in_order_says_of_how_many_images_the_answer_is(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    card = read_model_folder(model_folder(tmp_path, RECURRENT)).card
    written: list[str] = []
    as_it_is = pictures.with_lines

    def noted(shades: np.ndarray, lines: Sequence[pictures.Line]) -> np.ndarray:
        written.extend(text for text, _ in lines)
        return as_it_is(shades, lines)

    monkeypatch.setattr(pictures, "with_lines", noted)
    (case,) = cases_of(sorted(folder.glob("P0*")), RECURRENT, frozenset())
    answer = Answer({"class": "finding", "probabilities": {"none": 0.2, "finding": 0.8}, "calibrated": True})
    (picture,) = pictures.pictures_of(Done(case, case.prepare(), answer), card)
    assert picture
    assert "    of 4 images together, read in their order" in written


def test_no_other_patients_files_change_the_order_of_a_record(taken: tuple[Source, Dataset]) -> None:
    files = take_in(taken[0], RECURRENT)[0].accepted
    whole = order_of(taken[0], RECURRENT.data, files, {})
    for patient in ("P0", "P3"):
        own = [one for one in files if one.patient == patient]
        assert order_of(taken[0], RECURRENT.data, own, {}).items() <= whole.items()


def test_a_hospital_may_keep_the_head_behind_a_recurrent_unit_for_itself() -> None:
    study = of(model={"pooling": "recurrent"}, training={"personal": "head"})
    assert tensors(networks.build(study), study) == {"head.weight", "head.bias"}


def test_other_ways_to_read_a_record_need_no_order_and_keep_the_order_of_names(taken: tuple[Source, Dataset]) -> None:
    data = prepare(taken[0], of(), *take_in(taken[0], of()))
    assert data.intake.left_out == {}
    assert bright(data.train.images(np.array([0]))[0]) == [14, 10, 6, 2]
    assert data.fingerprint != taken[1].fingerprint


def test_no_date_of_a_file_is_kept_or_told(folder: Path, taken: tuple[Source, Dataset]) -> None:
    source, data = taken
    dates = [f"20{year}0{patient}17" for year in (10, 11) for patient in range(1, 6)]
    asked = [case.prepare() for case in cases_of(sorted(folder.glob("P[0124]*")), RECURRENT, frozenset())]
    told = repr([data.intake, data, asked, [one.about for one in asked], images(FIRST)]) + str(images(FIRST))
    assert not [date for date in [*dates, FIRST["StudyDate"]] if date in told]
    kept = [path for path in source.state.rglob("*") if path.is_file()]
    assert kept
    assert not [date for date in dates for path in kept if date.encode() in path.read_bytes()]


def test_a_scan_says_of_how_many_patients_the_order_is_not_known(
    folder: Path, taken: tuple[Source, Dataset], tmp_path: Path
) -> None:
    file = tmp_path / "study.toml"
    file.write_text(tomli_w.dumps(RECURRENT.tables(nulls=False)))
    words = ("scan", folder, "--study", file, "--state", taken[0].state)
    said = command(*words)
    assert "Order       1 patient left out (no-order: its files do not say in which order" in said
    assert json.loads(command(*words, "--json"))["without_order"] == {"no-order": 1}
