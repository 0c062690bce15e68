"""Patients are split, never images; images are prepared once; what is left out is counted."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from examples import study
from tiny_dicom import save, tiny
from wardround_client.images import Image, read_image
from wardround_client.preparation import kept_images
from wardround_client.preparation.dataset import Dataset, prepare, take_in
from wardround_client.preparation.preprocessing import to_network_form
from wardround_client.preparation.source import Source
from wardround_client.preparation.splitting import split_patients
from wardround_common.errors import DataError, ImageRefused, StorageError
from wardround_common.study.file import Study

MR = {"modalities": ["MR"], "image_size": 16}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Hold two images of each of ten patients, every second one with a finding, and one CT."""
    lines = ["file,label"]
    rng = np.random.default_rng(0)
    for patient in range(10):
        for number in range(2):
            name = f"{patient}-{number}.dcm"
            made = tiny(rng.integers(0, 4000, (20, 24), dtype=np.uint16), PatientID=f"P{patient}", PatientName="")
            save(made, tmp_path / "images" / name)
            lines.append(f"{name},{'finding' if patient % 2 else 'none'}")
    save(tiny(rng.integers(0, 4000, (20, 24), dtype=np.uint16), Modality="CT"), tmp_path / "images" / "ct.dcm")
    save(tiny(rng.integers(0, 4000, (20, 24), dtype=np.uint16)), tmp_path / "images" / "unlabelled.dcm")
    (tmp_path / "images" / "labels.csv").write_text("\n".join([*lines, "ct.dcm,none"]) + "\n")
    return tmp_path / "images"


def open_data(folder: Path, of: Study, *, trains: bool = True, **more: object) -> Dataset:
    source = Source(folder, folder.parent / "state", **more)  # type: ignore[arg-type]
    return prepare(source, of, *take_in(source, of), trains=trains)


@given(
    st.lists(st.integers(0, 2), min_size=3, max_size=200),
    st.floats(0.05, 0.4),
    st.floats(0.05, 0.4),
    st.integers(0, 2**32 - 1),
)
def test_every_patient_is_in_one_split_and_each_split_has_its_part(
    classes: list[int], validation: float, test: float, seed: int
) -> None:
    of = study(model={"seed": seed}, evaluation={"validation": validation, "test": test})
    count = len(classes)
    part_of = split_patients(np.arange(count), np.array(classes), of)
    assert part_of is not None
    assert len(part_of) == count
    for part, fraction in ((1, validation), (2, test)):
        assert abs((part_of == part).sum() - fraction * count) <= 1.5
    assert set(part_of) == {0, 1, 2}
    again = split_patients(np.arange(count), np.array(classes), of)
    assert again is not None
    assert again.tolist() == part_of.tolist()


@given(st.integers(40, 200), st.integers(0, 2**32 - 1))
def test_a_rare_class_is_dealt_to_every_split(count: int, seed: int) -> None:
    of = study(model={"seed": seed}, evaluation={"validation": 0.2, "test": 0.2})
    classes = np.zeros(count, np.int64)
    classes[:12] = 1
    part_of = split_patients(np.arange(count), classes, of)
    assert part_of is not None
    assert all((part_of[:12] == part).sum() >= 1 for part in range(3))


def test_images_of_a_patient_stay_together(folder: Path) -> None:
    data = open_data(folder, study(data=MR))
    groups = [set(part.patients) for part in (data.train, data.validation, data.test)]
    assert sum(map(len, groups)) == len(set.union(*groups)) == 10
    assert all(len(places) == 2 for places in data.train.places_by_patient())


def test_what_a_study_does_not_use_is_counted(folder: Path) -> None:
    assert open_data(folder, study(data=MR)).intake.left_out == {"other-modality": 1, "no-label": 1}


def test_images_are_prepared_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    of = study(data=MR)
    first = open_data(folder, of)
    monkeypatch.setattr(kept_images, "read_image", None)  # a second preparation would have to read
    again = open_data(folder, of)
    assert again.fingerprint == first.fingerprint
    everything = slice(None)
    assert again.train.images(everything).tobytes() == first.train.images(everything).tobytes()


@pytest.mark.parametrize(("reason", "read_again"), [("permission", True), ("window", False)])
def test_an_image_that_could_not_be_read_for_a_time_is_prepared_when_it_can(
    folder: Path, monkeypatch: pytest.MonkeyPatch, reason: str, read_again: bool
) -> None:
    of = study(data=MR)

    def refuse(path: Path, *, voi: bool) -> Image:
        if path.name == "0-0.dcm":
            raise ImageRefused(reason, "not now")
        return read_image(path, voi=voi)

    monkeypatch.setattr(kept_images, "read_image", refuse)
    monkeypatch.setattr(kept_images.kept_pixels, "read", lambda *_, **__: None)  # nor is there anything kept
    assert open_data(folder, of).intake.left_out[reason] == 1
    monkeypatch.undo()
    assert (reason not in open_data(folder, of).intake.left_out) == read_again


def test_another_form_another_image_or_another_label_is_another_fingerprint(folder: Path) -> None:
    prints = {open_data(folder, study(data=MR)).fingerprint}
    prints.add(open_data(folder, study(data=MR | {"image_size": 24})).fingerprint)
    prints.add(open_data(folder, study(data=MR, model={"seed": 9})).fingerprint)
    labels = folder / "labels.csv"
    labels.write_text(labels.read_text().replace("0-0.dcm,none", "0-0.dcm,finding"))
    prints.add(open_data(folder, study(data=MR)).fingerprint)
    save(tiny(np.arange(480, dtype=np.uint16).reshape(20, 24), PatientID="P0", PatientName=""), folder / "0-0.dcm")
    prints.add(open_data(folder, study(data=MR)).fingerprint)
    assert len(prints) == 5


@pytest.mark.parametrize("trains", [True, False], ids=["trains", "only evaluates"])
def test_test_patients_in_another_subgroup_are_another_fingerprint_where_the_study_tells_by_subgroup(
    folder: Path, trains: bool
) -> None:
    """The sums over a subgroup are exact: asked again, the difference would be those of the patients who left it."""
    evaluation = {"test": 0.6, "smallest_subgroup": 5}
    told = study(data=MR, evaluation=evaluation | {"subgroups": [{"by": "age", "bands": [40]}]})
    table = folder / "labels.csv"
    rows = table.read_text().splitlines()[1:]

    def prints(of: Study) -> set[str]:
        found = set()
        for age in (30, 50):
            table.write_text("\n".join(["file,label,age", *(f"{row},{age}" for row in rows)]) + "\n")
            found.add(open_data(folder, of, trains=trains).fingerprint)
        return found

    assert len(prints(told)) == 2
    assert len(prints(study(data=MR, evaluation=evaluation))) == 1


def test_other_patients_are_another_fingerprint_where_a_hospital_only_evaluates(folder: Path) -> None:
    prints = [open_data(folder, study(data=MR), trains=False).fingerprint]
    image = pydicom.dcmread(folder / "9-1.dcm")
    image.PatientID = "P8"  # all pixels and labels stay what they are
    image.save_as(folder / "9-1.dcm")
    prints.append(open_data(folder, study(data=MR), trains=False).fingerprint)
    assert prints[0] != prints[1]


def test_a_preparation_that_was_killed_is_made_again(folder: Path) -> None:
    of = study(data=MR)
    whole = open_data(folder, of)
    kept = next((folder.parent / "state" / "prepared").iterdir())
    half = kept.with_name(f"{kept.name}.123.making")
    shutil.copytree(kept, half)
    (kept / "done.json").unlink()
    (kept / "images.f32").write_bytes(b"half")
    shutil.rmtree(kept)
    assert open_data(folder, of).fingerprint == whole.fingerprint


def test_volumes_are_left_out_and_counted(tmp_path: Path) -> None:
    lines = ["file,label"]
    for patient in range(4):
        made = tiny(np.full((20, 24), patient, np.uint16) + np.arange(24, dtype=np.uint16), PatientID=f"P{patient}")
        made.PatientName = ""
        save(made, tmp_path / "images" / f"{patient}.dcm")
        lines.append(f"{patient}.dcm,none")
    volume = tiny(np.arange(3 * 480, dtype=np.uint16).reshape(3, 20, 24), PatientID="P9", PatientName="")
    save(volume, tmp_path / "images" / "volume.dcm")
    (tmp_path / "images" / "labels.csv").write_text("\n".join([*lines, "volume.dcm,none"]) + "\n")
    assert open_data(tmp_path / "images", study(data=MR)).intake.left_out == {"volume": 1}


@pytest.mark.parametrize(
    ("patients", "says"), [(("P1",), "1 patient is too few"), (("P1", "P2"), "2 patients are too few")]
)
def test_too_few_patients_to_split_are_refused(folder: Path, patients: tuple[str, ...], says: str) -> None:
    with pytest.raises(DataError, match=says):
        open_data(folder, study(data=MR), patients=frozenset(patients))


def test_a_study_of_another_modality_says_what_is_there(folder: Path) -> None:
    with pytest.raises(DataError, match=r"for this study: 22 other-modality \(of modalities that") as refused:
        open_data(folder, study(data={"modalities": ["XA"]}))
    assert f"'wardround scan {folder}' says what the folder holds" in refused.value.do


def test_a_state_folder_that_cannot_be_written_is_a_storage_error(folder: Path) -> None:
    blocked = folder.parent / "blocked"
    blocked.write_text("a file")
    source = Source(folder, blocked)
    with pytest.raises(StorageError):
        take_in(source, study(data=MR))


def image(*pixels: object) -> Image:
    return Image(np.array(pixels[0] if len(pixels) == 1 else pixels, np.float32), None)


def test_the_aspect_is_kept_and_the_rest_is_zero() -> None:
    form = to_network_form(image(np.ones((1, 10, 40)) * np.linspace(1, 2, 40)), study(data=MR).data)
    assert form.shape == (1, 16, 16)
    rows = np.flatnonzero(form[0].max(axis=1))
    assert (rows.min(), rows.max()) == (6, 9)


def disc(spacing_mm: tuple[float, float]) -> Image:
    """Return 48 x 96 mm of air with a disc of 16 mm off its middle, on a grid of this spacing."""
    rows, columns = (np.arange(round(side / apart)) for side, apart in zip((48, 96), spacing_mm, strict=True))
    y, x = (rows[:, None] + 0.5) * spacing_mm[0], (columns[None] + 0.5) * spacing_mm[1]
    return Image(np.clip(9 - np.hypot(y - 20, x - 30), 0, 2)[None].astype(np.float32), spacing_mm)


@pytest.mark.parametrize("spacing_mm", [(0.5, 1.0), (1.0, 0.5), (1.0, 0.4)])
def test_a_disc_is_round_whatever_the_shape_of_the_pixels(spacing_mm: tuple[float, float]) -> None:
    data = study(data=MR | {"image_size": 64, "intensity": "range"}).data
    form, expected = to_network_form(disc(spacing_mm), data), to_network_form(disc((0.5, 0.5)), data)
    assert np.abs(form - expected).max() < 0.12
    high, wide = np.ptp(np.argwhere(form[0] > 0.5), axis=0) + 1
    assert abs(high - wide) <= 1
    squeezed = to_network_form(Image(disc(spacing_mm).pixels, None), data)
    assert np.abs(squeezed - expected).max() > 0.9


def test_sides_that_differ_by_a_rounding_are_one_length_and_change_no_byte() -> None:
    data, pixels = study(data=MR).data, np.random.default_rng(0).normal(size=(1, 30, 21)).astype(np.float32)
    stated = [None, (1.0, 1.0), (0.351563, 0.351562), (0.2, 0.2015), (5.0, 0.7, 0.7)]
    assert len({to_network_form(Image(pixels, one), data).tobytes() for one in stated}) == 1


@pytest.mark.parametrize("intensity", ["percentile", "range"])
def test_an_image_of_one_value_becomes_zeros(intensity: str) -> None:
    form = to_network_form(image(np.full((1, 20, 20), 1000.0)), study(data=MR | {"intensity": intensity}).data)
    assert not form.any()


@pytest.mark.parametrize("scale", [0.1, 1.0, 5000.0])
def test_scale_and_offset_of_a_scanner_do_not_matter(scale: float) -> None:
    pixels = np.random.default_rng(0).normal(size=(1, 30, 20))
    data = study(data=MR).data
    one, two = to_network_form(image(pixels), data), to_network_form(image(pixels * scale - 1024), data)
    assert two == pytest.approx(one, abs=1e-3)
    assert 0 <= one.min() < one.max() <= 1


def test_colour_becomes_grey_by_luma_and_grey_becomes_three_equal_channels() -> None:
    colour = np.stack([np.full((20, 20), value) for value in (0.0, 1.0, 0.0)])
    colour[:, 0, 0] = 1
    grey = to_network_form(image(colour), study(data=MR | {"intensity": "window"}).data)
    assert grey[0, 8, 8] == pytest.approx(0.587, abs=1e-3)
    three = to_network_form(image(colour[1:2]), study(data=MR | {"channels": 3}).data)
    assert three.shape == (3, 16, 16)
    assert (three[0] == three[1]).all()


def test_a_volume_is_refused_for_a_network_of_single_images() -> None:
    with pytest.raises(ImageRefused) as caught:
        to_network_form(image(np.zeros((1, 4, 20, 20))), study(data=MR).data)
    assert caught.value.reason == "volume"


def pictures(folder: Path, patients: int, copies: dict[int, int]) -> None:
    """Write one image per patient; patient ``copies[n]`` has that of patient n, with noise."""
    rng = np.random.default_rng(5)
    made = [rng.integers(0, 4000, (32, 32)) for _ in range(patients)]
    for one, other in copies.items():
        made[other] = made[one] + rng.integers(-40, 40, (32, 32))
    lines = ["file,label"]
    for number, pixels in enumerate(made):
        save(
            tiny(pixels.clip(0).astype(np.uint16), PatientID=f"P{number:02}", PatientName=""), folder / f"{number}.dcm"
        )
        lines.append(f"{number}.dcm,{'finding' if number % 2 else 'none'}")
    (folder / "labels.csv").write_text("\n".join(lines) + "\n")


def side_of(data: Dataset) -> dict[str, int]:
    return {
        data.identifiers[c]: n for n, part in enumerate((data.train, data.validation, data.test)) for c in part.patients
    }


def test_patients_who_share_near_copies_stand_on_one_side_of_the_split_and_stay_two_in_the_ledger(
    tmp_path: Path,
) -> None:
    copies = {number: number + 1 for number in range(0, 24, 4)}
    pictures(tmp_path / "images", 30, copies)
    for seed in range(5):
        data = open_data(tmp_path / "images", study(data=MR, model={"seed": seed}))
        side = side_of(data)
        assert all(side[f"P{one:02}"] == side[f"P{other:02}"] for one, other in copies.items())
        assert (data.intake.joined_patients, data.intake.duplicates_across_splits) == (12, 0)
        assert data.intake.labels_disagree == 6  # the copies have the other label
        assert len(data.identifiers) == 30
        assert set(side.values()) == {0, 1, 2}
        assert set(data.charged(data.train)) == {name for name, part in side.items() if part == 0}


def test_where_most_patients_are_joined_each_is_dealt_out_alone_and_the_pairs_are_counted(tmp_path: Path) -> None:
    pictures(tmp_path / "images", 8, dict.fromkeys([0], 1) | {1: 2, 2: 3, 3: 4, 4: 5, 5: 6, 6: 7})
    data = open_data(tmp_path / "images", study(data=MR))
    assert set(side_of(data).values()) == {0, 1, 2}
    assert data.intake.duplicates_across_splits > 0


@given(st.lists(st.integers(0, 2), min_size=3, max_size=80), st.integers(0, 2**32 - 1), st.data())
def test_joined_patients_never_part_and_each_split_has_somebody(
    classes: list[int], seed: int, draw: st.DataObject
) -> None:
    of, count = study(model={"seed": seed}), len(classes)
    joined = np.array([draw.draw(st.integers(0, number)) if number % 3 == 0 else number for number in range(count)])
    part_of = split_patients(np.arange(count), np.array(classes), of, joined)
    alone = split_patients(np.arange(count), np.array(classes), of)
    assert part_of is not None
    assert alone is not None
    assert set(part_of) == {0, 1, 2}
    largest = np.bincount(joined).max()
    most = round(of.evaluation.test * count) + round(of.evaluation.validation * count)
    if count - largest >= max(2, most):
        assert all(len({int(part) for part in part_of[joined == unit]}) == 1 for unit in set(joined.tolist()))
    if largest == 1:
        assert part_of.tolist() == alone.tolist()


def test_a_folder_of_files_of_several_images_each_says_which_they_are_and_what_to_do(tmp_path: Path) -> None:
    stack = np.zeros((3, 8, 8), np.uint16)
    for number in range(2):
        save(
            tiny(stack, Modality="DX", PatientID=f"P{number}", PatientName=f"P{number}"),
            tmp_path / "in" / f"{number}.dcm",
        )
    (tmp_path / "in" / "labels.csv").write_text("file,label\n0.dcm,none\n1.dcm,finding\n")
    with pytest.raises(DataError, match="no image can be used for this study: 2 volume") as refused:
        open_data(tmp_path / "in", study())
    assert refused.value.do.startswith(
        "The network of this study sees single images, and 2 enhanced or multi-frame DICOM files hold several: export "
        "each frame or slice as a file of its own. The study takes DX"
    )
