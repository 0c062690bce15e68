"""Boxes from structured reports: regions become boxes, and what is not surely a box leaves its image out."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

import highdicom
import numpy as np
import pytest
from highdicom import sr
from pydicom import FileDataset
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from examples import study
from tiny_dicom import save, tiny
from wardround_client.gallery.catalogue import entries
from wardround_client.gallery.making import make
from wardround_client.intake.box_reports import corners_of, reported_boxes
from wardround_client.intake.boxes import Box, Boxes
from wardround_client.intake.index import scan
from wardround_client.preparation.dataset import take_in
from wardround_client.preparation.source import Source
from wardround_client.preview.make import preview
from wardround_common.errors import LabelError
from wardround_common.study.file import Study

NODULE = sr.CodedConcept("27925004", "SCT", "Nodule")
CYST = sr.CodedConcept("103552005", "SCT", "Cyst")
_PROCEDURE = codes.LN.CTUnspecifiedBodyRegion
SQUARE = np.array([(2, 3), (8, 3), (8, 7), (2, 7), (2, 3)], np.float64)
STUDY = generate_uid()


def images(folder: Path, count: int = 4) -> list[FileDataset]:
    made = []
    for number in range(count):
        pixels = np.random.default_rng(number).integers(0, 1000, (20, 30)).astype(np.uint16)
        image = tiny(pixels, StudyInstanceUID=STUDY)
        for name in ("AccessionNumber", "StudyDate", "StudyTime", "StudyID", "ReferringPhysicianName"):
            setattr(image, name, "")
        image.PatientName, image.PatientBirthDate, image.PatientSex = "P1^", "", ""
        save(image, folder / f"{number}.dcm")
        made.append(image)
    return made


def region(image: Any, points: np.ndarray = SQUARE, kind: str = "POLYLINE", finding: Any = NODULE) -> Any:
    shown = sr.ImageRegion(kind, points, sr.SourceImageForRegion(image.SOPClassUID, image.SOPInstanceUID))
    tracked = sr.TrackingIdentifier(highdicom.UID(), "lesion")
    return sr.PlanarROIMeasurementsAndQualitativeEvaluations(tracked, shown, finding_type=finding)


def report(
    folder: Path, name: str, evidence: list[Any], groups: list[Any], *, person: bool = True, complete: bool = True
) -> None:
    if person:
        seen = sr.ObserverContext(codes.DCM.Person, sr.PersonObserverIdentifyingAttributes("Reader^One"))
        context = sr.ObservationContext(observer_person_context=seen)
    else:
        machine = sr.DeviceObserverIdentifyingAttributes(highdicom.UID(), "M", "M", "M", "1")
        context = sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DCM.Device, machine))
    content = sr.MeasurementReport(context, _PROCEDURE, groups, codes.DCM.ImagingMeasurementReport)
    made = sr.Comprehensive3DSR(
        evidence, content, highdicom.UID(), 9, highdicom.UID(), 1, "Maker", is_complete=complete, record_evidence=False
    )
    made.save_as(folder / f"{name}.dcm")


def boxes(folder: Path, classes: tuple[str, ...] = ("nodule", "mass"), **coded: tuple[str, str]) -> Boxes:
    return reported_boxes(folder, scan(folder, state=folder / ".state"), classes, coded)


def reporting() -> Study:
    section = {"name": "detection", "classes": ["nodule"], "boxes": "reports"}
    tables = study(data={"modalities": ["MR"]}, model={"network": "tiny-unet", "norm": "instance"}).tables(nulls=False)
    return Study.model_validate(tables | {"task": section})


def test_regions_of_a_class_are_boxes_and_an_image_of_the_evidence_without_one_has_nothing(tmp_path: Path) -> None:
    marked, clear, unseen, _ = images(tmp_path)
    report(tmp_path, "report", [marked, clear], [region(marked), region(marked, SQUARE + 9)])
    found = boxes(tmp_path)
    assert found.of == {
        "0.dcm": (Box(3, 2, 7, 8, 0), Box(12, 11, 16, 17, 0)),
        "1.dcm": (),
    }
    assert unseen.SOPInstanceUID
    assert not found.unmet


def test_a_finding_is_of_a_class_by_its_code_also_where_the_word_is_another(tmp_path: Path) -> None:
    one, *_ = images(tmp_path)
    report(tmp_path, "report", [one], [region(one)])
    assert boxes(tmp_path, ("Rundherd",), Rundherd=("SCT", "27925004")).of["0.dcm"][0].of_class == 0
    with pytest.raises(LabelError, match=r"1 structured report marks no lesion of the study.*1 other-finding"):
        boxes(tmp_path, ("Rundherd",))


def test_an_image_is_left_out_where_a_region_is_no_box_or_two_reports_speak(tmp_path: Path) -> None:
    good, other, point, twice = images(tmp_path)
    far = SQUARE + 100
    report(tmp_path, "a", [good, other, point, twice], [region(good), region(other, finding=CYST), region(twice)])
    report(tmp_path, "b", [twice], [region(twice)])
    assert set(boxes(tmp_path).of) == {"0.dcm", "2.dcm"}
    assert boxes(tmp_path).unmet == {"other-finding": 1, "two-reports": 1}
    for file in ("a.dcm", "b.dcm"):
        (tmp_path / file).unlink()
    report(tmp_path, "c", [good, other, point], [region(good), region(other, far), region(point, SQUARE[:1], "POINT")])
    assert set(boxes(tmp_path).of) == {"0.dcm"}
    assert boxes(tmp_path).unmet == {"outside-image": 1, "no-box": 1}


def test_a_machines_report_an_unfinished_one_and_a_broken_one_say_nothing(tmp_path: Path) -> None:
    good, machine, unfinished, broken = images(tmp_path)
    report(tmp_path, "a", [good], [region(good)])
    report(tmp_path, "b", [machine], [region(machine)], person=False)
    report(tmp_path, "c", [unfinished], [region(unfinished)], complete=False)
    report(tmp_path, "d", [broken], [region(broken)])
    whole = (tmp_path / "d.dcm").read_bytes()
    (tmp_path / "d.dcm").write_bytes(whole.replace(b"SCOORD", b"SCOOOO"))
    found = boxes(tmp_path)
    assert set(found.of) == {"0.dcm"}
    assert found.unmet == {"by-a-machine": 1, "not-complete": 1, "unreadable": 1}


def test_without_reports_the_hospital_stops(tmp_path: Path) -> None:
    images(tmp_path)
    with pytest.raises(LabelError, match="there are no structured reports"):
        boxes(tmp_path)


def test_the_box_of_a_circle_and_of_a_turned_ellipse_lies_around_it() -> None:
    assert corners_of("CIRCLE", np.array([(10, 10), (13, 14)], np.float64)) == ((5, 5), (15, 15))
    turn = np.deg2rad(30)
    along, across = 6 * np.array([np.cos(turn), np.sin(turn)]), 2 * np.array([-np.sin(turn), np.cos(turn)])
    centre, angles = np.array([20.0, 10.0]), np.linspace(0, 2 * np.pi, 100_000)
    edge = centre + np.cos(angles)[:, None] * along + np.sin(angles)[:, None] * across
    drawn = corners_of("ELLIPSE", np.stack([centre - along, centre + along, centre - across, centre + across]))
    assert drawn is not None
    assert np.allclose(drawn, [edge.min(axis=0), edge.max(axis=0)], atol=1e-6)
    assert corners_of("POLYLINE", SQUARE[:4]) is None
    assert corners_of("POINT", SQUARE[:1]) is None


def test_a_study_of_reports_takes_in_the_boxes_and_counts_what_it_leaves_out(tmp_path: Path) -> None:
    good, other, *_ = images(tmp_path)
    report(tmp_path, "report", [good, other], [region(good), region(other, finding=CYST)])
    _, found = take_in(Source(tmp_path, tmp_path / ".state"), reporting())
    assert found.words == {"0.dcm": "2,3,8,7,nodule"}
    assert (found.unmet_of, found.unmet) == ("boxes", {"other-finding": 1})


def test_the_preview_and_the_gallery_show_the_boxes_of_reports(tmp_path: Path) -> None:
    good, clear, *_ = images(tmp_path / "images")
    report(tmp_path / "images", "report", [good, clear], [region(good)])
    of, source = reporting(), Source(tmp_path / "images", tmp_path / "state")
    index = scan(source.folder, state=source.state)
    page = preview(source, index, of, datetime.now().astimezone()).page
    assert "Without boxes" not in page
    assert "nodule" in page
    assert make(source, [of]).outlined == 1
    assert [one.boxes for one in entries(source.state, "images", 1)][:2] == [((3, 2, 7, 8),), ()]
