"""Synthetic hospitals: reproducible, readable by any DICOM reader, and of nobody."""

from __future__ import annotations

import csv
import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom.uid import ExplicitVRLittleEndian

from wardround_simulation.phantoms import CLASSES, SCANNERS, Scanner, make_hospital, make_hospitals
from wardround_simulation.phantoms.anatomy import draw_patient, posed, render
from wardround_simulation.phantoms.scanner import detector, expose


def contents(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def labels(hospital: Path) -> list[dict[str, str]]:
    with (hospital / "labels.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def brightness(hospital: Path, file: str) -> NDArray[np.float64]:
    """Pixels from dark (air) to bright (dense tissue), 0 to 1, by the attributes alone."""
    image = pydicom.dcmread(hospital / file)
    values = image.pixel_array.astype(np.float64) * float(image.RescaleSlope) + float(image.RescaleIntercept)
    values = (values - float(image.WindowCenter)) / float(image.WindowWidth) + 0.5
    return 1 - values if image.PhotometricInterpretation == "MONOCHROME1" else values


@pytest.fixture(scope="module")
def four_hospitals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("hospitals")
    make_hospitals(folder, seed=7, patients=6, images_per_patient=3)
    return folder


def test_the_same_seed_gives_the_same_bytes(four_hospitals: Path, tmp_path: Path) -> None:
    make_hospitals(tmp_path, seed=7, patients=6, images_per_patient=3)
    assert contents(tmp_path) == contents(four_hospitals)


def test_another_seed_gives_other_patients_and_images(four_hospitals: Path, tmp_path: Path) -> None:
    make_hospitals(tmp_path, seed=8, patients=6, images_per_patient=3)
    ours, others = contents(four_hospitals), contents(tmp_path)
    assert not set(ours.values()) & set(others.values())
    tables = ("labels.csv", "boxes.csv")
    assert set(ours) & set(others) == {f"{path.name}/{name}" for path in four_hospitals.iterdir() for name in tables}


def test_labels_name_every_file_once_and_both_classes_occur(four_hospitals: Path) -> None:
    for hospital in four_hospitals.iterdir():
        rows = labels(hospital)
        files = [row["file"] for row in rows]
        assert sorted(files) == sorted(path.relative_to(hospital).as_posix() for path in hospital.rglob("*.dcm"))
        assert len(set(files)) == len(files)
        assert {row["label"] for row in rows} == set(CLASSES)


def test_a_patient_has_one_label_and_is_the_patient_in_the_header(four_hospitals: Path) -> None:
    for hospital in four_hospitals.iterdir():
        label_of: dict[str, str] = {}
        for row in labels(hospital):
            assert pydicom.dcmread(hospital / row["file"]).PatientID == row["patient"]
            assert label_of.setdefault(row["patient"], row["label"]) == row["label"]
        assert len(label_of) == 6


def test_the_four_scanners_differ_in_what_trips_readers() -> None:
    assert {scanner.bits_stored for scanner in SCANNERS} == {8, 10, 12, 16}
    assert {scanner.photometric for scanner in SCANNERS} == {"MONOCHROME1", "MONOCHROME2"}
    assert len({scanner.transfer_syntax for scanner in SCANNERS}) == 4
    assert {scanner.signed for scanner in SCANNERS} == {True, False}
    assert any(scanner.padding is not None for scanner in SCANNERS)
    assert any(scanner.rows != scanner.columns for scanner in SCANNERS)


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda scanner: scanner.transfer_syntax.name)
def test_every_transfer_syntax_decodes_to_the_values_that_the_scanner_stored(tmp_path: Path, scanner: Scanner) -> None:
    plain = replace(scanner, transfer_syntax=ExplicitVRLittleEndian)
    make_hospital(tmp_path / "sent", scanner, seed=1, patients=2)
    make_hospital(tmp_path / "plain", plain, seed=1, patients=2)
    for row in labels(tmp_path / "sent"):
        sent = pydicom.dcmread(tmp_path / "sent" / row["file"])
        stored = pydicom.dcmread(tmp_path / "plain" / row["file"])
        assert sent.file_meta.TransferSyntaxUID == scanner.transfer_syntax
        assert (sent.Rows, sent.Columns) == (scanner.rows, scanner.columns)
        np.testing.assert_array_equal(sent.pixel_array, stored.pixel_array)


@pytest.mark.parametrize("scanner", SCANNERS, ids=lambda scanner: scanner.name)
def test_values_use_the_depth_without_leaving_it(scanner: Scanner) -> None:
    rng = np.random.default_rng(0)
    image = render(draw_patient(rng, has_finding=True), *posed(rng, *detector(scanner)))
    values = expose(scanner, image, rng)
    levels = 1 << scanner.bits_stored
    low = -levels // 2 if scanner.signed else 0
    assert values.min() >= low
    assert values.max() < low + levels
    assert int(values.max()) - int(values.min()) > levels // 3


def test_every_scanner_shows_tissue_brighter_than_air_once_its_attributes_are_applied(four_hospitals: Path) -> None:
    for hospital in four_hospitals.iterdir():
        image = brightness(hospital, labels(hospital)[0]["file"])
        rows, columns = image.shape
        band = slice(int(0.45 * rows), int(0.55 * rows))
        tissue = image[band, int(0.2 * columns) : int(0.4 * columns)]
        air = image[band, int(0.83 * columns) : int(0.9 * columns)]
        assert tissue.mean() > air.mean() + 0.1


def test_padding_is_declared_and_is_never_a_measured_value(four_hospitals: Path) -> None:
    padded = four_hospitals / "hospital-d"
    for row in labels(padded):
        image = pydicom.dcmread(padded / row["file"])
        outside = image.pixel_array == image.PixelPaddingValue
        assert not outside[20:-20, 20:-20].any()


def test_nobody_is_in_the_headers(four_hospitals: Path) -> None:
    for path in four_hospitals.rglob("*.dcm"):
        image = pydicom.dcmread(path)
        assert image.PatientIdentityRemoved == "YES"
        assert image.DeidentificationMethod
        assert image.BurnedInAnnotation == "NO"
        assert str(image.PatientName) == image.PatientID == path.parts[-3]
        for element in image:
            assert not element.tag.is_private
            if element.VR in ("DA", "DT", "TM", "PN") and element.keyword != "PatientName":
                assert not element.value, element.keyword


def test_identifiers_are_unique_and_shared_where_they_must_be(four_hospitals: Path) -> None:
    images = [pydicom.dcmread(path) for path in four_hospitals.rglob("*.dcm")]
    assert all(image.SOPInstanceUID == image.file_meta.MediaStorageSOPInstanceUID for image in images)
    assert len({image.SOPInstanceUID for image in images}) == len(images)
    assert len({image.StudyInstanceUID for image in images}) == len({image.PatientID for image in images})


def test_without_the_mass_the_two_classes_are_drawn_alike() -> None:
    x, y = detector(SCANNERS[0])
    images = []
    for has_finding in (False, True):
        rng = np.random.default_rng(3)
        images.append(render(draw_patient(rng, has_finding=has_finding), *posed(rng, x, y)))
    normal, finding = images
    changed = np.abs(finding - normal) > 0.01
    assert 0 < changed.mean() < 0.1
    assert (finding - normal).min() >= 0


def test_more_patients_leave_the_first_ones_as_they_were(tmp_path: Path) -> None:
    scanner = replace(SCANNERS[0], prevalence=1.0)  # all but one have the finding
    make_hospital(tmp_path / "few", scanner, seed=2, patients=3)
    make_hospital(tmp_path / "more", scanner, seed=2, patients=9)
    few, more = contents(tmp_path / "few"), contents(tmp_path / "more")
    same = [name for name in few if name.endswith(".dcm") and few[name] == more[name]]
    assert len(same) >= 1
    assert set(few) <= set(more)


def test_a_hospital_of_one_patient_and_a_fifth_scanner_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="two patients"):
        make_hospitals(tmp_path, seed=0, patients=1)
    with pytest.raises(ValueError, match="1 to 4"):
        make_hospitals(tmp_path, seed=0, hospitals=5)
