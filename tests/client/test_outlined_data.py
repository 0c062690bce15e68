"""Outlined series as records: which are taken, why others are not, and what the network sees of them."""

from __future__ import annotations

import errno
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from outlined_hospitals import (
    HOSPITALS,
    SIZE,
    SLICES,
    Patient,
    outlining,
    outlining_volumes,
    write_hospital,
    write_mask,
)
from tiny_dicom import save
from wardround_client.hospital.contribution import contribution
from wardround_client.preparation import slices, volumes
from wardround_client.preparation.dataset import Dataset, prepare, take_in
from wardround_client.preparation.examinations import Examination
from wardround_client.preparation.source import Source
from wardround_common.errors import DataError, FullDiskError
from wardround_common.study.file import Study

BOTH = pytest.mark.parametrize(
    ("module", "study"), [(slices, outlining()), (volumes, outlining_volumes())], ids=["slices", "volumes"]
)


def prepared(folder: Path, state: Path, study: Study | None = None) -> Dataset:
    source, of = Source(folder, state), study or outlining()
    return prepare(source, of, *take_in(source, of))


def records(data: Dataset, patient: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the images and masks of a patient, whichever split they are in, in the order of space."""
    for split in (data.train, data.validation, data.test):
        here = np.flatnonzero(split.patients == data.identifiers.index(patient))
        if len(here):
            return split.images(here), split.targets[here]
    raise AssertionError(patient)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[Patient]]]:
    folder = tmp_path_factory.mktemp("outlined")
    return {name: (folder / name, write_hospital(folder / name, name)) for name in HOSPITALS}


@pytest.mark.parametrize("name", HOSPITALS)
def test_a_mask_meets_its_slices_however_it_is_stored(
    name: str, written: dict[str, tuple[Path, list[Patient]]], tmp_path: Path
) -> None:
    folder, patients = written[name]
    data = prepared(folder, tmp_path)
    assert len(data.identifiers) == len(patients)
    assert data.intake.refused == {}
    assert data.intake.left_out == {"other-series": len(patients) * SLICES}
    brought = contribution(data, outlining())
    assert (brought.patients, brought.classes[0].patients, list(brought.warnings())) == (5, 5, [])
    for one in patients:
        images, masks = records(data, one.name)
        assert images.shape[1:] == (1, SIZE, SIZE)
        assert (masks == one.mask).all()
        inside = images[:, 0][masks > 0]
        assert inside.min() > images[:, 0][masks == 0].mean()
    places = data.train.places
    assert places is not None
    assert places.spacing_mm[0].tolist() == [5.0, 2.0, 2.0]


def test_several_series_are_channels_on_the_grid_of_the_outlined_one(
    written: dict[str, tuple[Path, list[Patient]]], tmp_path: Path
) -> None:
    folder, patients = written["south"]
    roles = [{"role": "t1", "description": ["T1*"]}, {"role": "flair", "description": ["*flair*"]}]
    data = prepared(folder, tmp_path, outlining(data={"series": roles}))
    assert data.intake.left_out == {}
    images, masks = records(data, patients[0].name)
    assert images.shape == (SLICES, 2, SIZE, SIZE)
    bright = images[:, 1][masks > 0].mean() - images[:, 1][masks == 0].mean()
    assert bright > 0.5 > abs(images[:, 0][masks > 0].mean() - images[:, 0][masks == 0].mean())


def test_no_mask_leaves_a_patient_out_and_an_empty_one_does_not(tmp_path: Path) -> None:
    one, two, *others = write_hospital(tmp_path / "east", "east", patients=6)
    (tmp_path / "east" / "masks" / f"{one.name}.nii.gz").unlink()
    write_mask(tmp_path / "east", "east", two, np.zeros_like(two.mask))
    data = prepared(tmp_path / "east", tmp_path / "state")
    assert data.intake.left_out == {"no-mask": SLICES, "other-series": 6 * SLICES}
    assert one.name not in data.identifiers
    assert len(data.identifiers) == len(others) + 1
    images, masks = records(data, two.name)
    assert len(images)
    assert not masks.any()


def test_masks_that_outline_nothing_here_are_counted_with_their_reason(tmp_path: Path) -> None:
    folder = tmp_path / "east"
    one, two, *others = write_hospital(folder, "east", patients=6)
    path = folder / "masks" / f"{one.name}.nii.gz"
    path.rename(path.with_name("NOBODY-9.nii.gz"))  # of another patient
    write_mask(folder, "east", two, 7 * two.mask)  # of a structure that the study does not know
    data = prepared(folder, tmp_path / "state")
    assert data.intake.left_out == {
        "no-mask": 2 * SLICES,
        "other-series": 6 * SLICES,
        "mask-source-absent": 1,
        "mask-unknown-class": 1,
    }
    assert len(data.identifiers) == len(others)
    (folder / "structures.csv").write_text("word,class\n7,tumour\n")
    (folder / "roles.csv").write_text("description,role\nnever,flair\n")
    told = prepared(folder, tmp_path / "state")
    assert two.name in told.identifiers
    assert told.intake.refused == data.intake.refused  # the hospital's tables are no files to refuse


@pytest.mark.parametrize("study", [outlining(), outlining_volumes()], ids=["slices", "volumes"])
def test_a_hospital_without_masks_is_told_what_is_missing(tmp_path: Path, study: Study) -> None:
    folder = tmp_path / "south"
    for one in write_hospital(folder, "south", patients=3):
        (folder / one.name / "outline.dcm").unlink()
    with pytest.raises(DataError, match="this folder has no mask, and the study learns from outlines") as caught:
        prepared(folder, tmp_path / "state", study)
    assert "masks" in (caught.value.do or "")


def test_masks_in_other_words_than_the_studys_are_said_with_where_to_translate_them(tmp_path: Path) -> None:
    folder = tmp_path / "east"
    for one in write_hospital(folder, "east", patients=3):
        write_mask(folder, "east", one, 7 * one.mask)
    with pytest.raises(DataError, match="no mask outlines what the study learns, 'tumour'") as caught:
        prepared(folder, tmp_path / "state")
    assert "structures.csv" in (caught.value.do or "")


def test_a_patient_without_a_series_of_the_study_is_left_out(
    written: dict[str, tuple[Path, list[Patient]]], tmp_path: Path
) -> None:
    folder, _ = written["north"]
    wanted = [{"role": "flair", "description": ["*flair*"]}, {"role": "t1c", "contrast": True}]
    with pytest.raises(DataError, match=r"40 missing-series \(of examinations without one of"):
        prepared(folder, tmp_path, outlining(data={"series": wanted}))
    with pytest.raises(DataError, match=r"40 unclear-series \(of examinations in which it is not clear"):
        prepared(folder, tmp_path, outlining(data={"series": []}))


def test_slices_are_prepared_again_when_a_mask_changes(tmp_path: Path) -> None:
    folder, state = tmp_path / "south", tmp_path / "state"
    one, *_ = write_hospital(folder, "south", patients=3)
    before = prepared(folder, state)
    assert prepared(folder, state).fingerprint == before.fingerprint
    write_mask(folder, "south", one, np.roll(one.mask, 1, axis=2))
    after = prepared(folder, state)
    assert after.fingerprint != before.fingerprint
    assert (records(after, one.name)[1] == np.roll(one.mask, 1, axis=2)).all()


@BOTH
def test_a_full_disk_is_said_and_nothing_half_made_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, study: Study
) -> None:
    folder, state = tmp_path / "south", tmp_path / "state"
    write_hospital(folder, "south", patients=3)

    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(module, "_write_one", full)
        with pytest.raises(FullDiskError, match="the disk is full"):
            prepared(folder, state, study)
    assert len(prepared(folder, state, study).identifiers) == 3


@BOTH
def test_a_series_that_changes_while_it_is_read_is_left_out_and_taken_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType, study: Study
) -> None:
    folder, state = tmp_path / "south", tmp_path / "state"
    one, *_ = write_hospital(folder, "south", patients=4)
    write_one = module._write_one

    def changing(examination: Examination, *rest: Any) -> Any:
        if examination.reference.patient == one.name:
            path = folder / one.name / "flair" / "1.dcm"
            path.write_bytes(path.read_bytes() + b"\0\0")
        return write_one(examination, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(module, "_write_one", changing)
        assert prepared(folder, state, study).intake.left_out == {"changed": SLICES, "other-series": 4 * SLICES}
    save(one.series["flair"][SLICES - 1], folder / one.name / "flair" / "1.dcm")
    assert one.name in prepared(folder, state, study).identifiers
